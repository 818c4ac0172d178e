"""What packages need of each other becomes requirements between differences."""

from __future__ import annotations

import json

from envbuild.bisect.package_needs import debian_state, node_states, python_state
from envbuild.bisect.requirements import ABSENT, requirements


def stanza(name, version, **fields):
    lines = [f"Package: {name}", "Status: install ok installed", f"Version: {version}", "Architecture: amd64"]
    return debian_state("\n".join([*lines, *(f"{field.replace('_', '-')}: {text}" for field, text in fields.items())]))


def moved(*pairs):
    return {number: [pair] for number, pair in enumerate(pairs)}


def test_a_newer_program_requires_its_newer_library():
    pairs = moved(
        (stanza("curl", "1", Depends="libcurl (= 1)"), stanza("curl", "2", Depends="libcurl (= 2)")),
        (stanza("libcurl", "1"), stanza("libcurl", "2")),
    )
    assert requirements(pairs, ()) == {0: {1}, 1: {0}}


def test_a_lower_bound_binds_only_the_program():
    pairs = moved(
        (stanza("app", "1", Depends="lib (>= 1)"), stanza("app", "2", Depends="lib (>= 2)")),
        (stanza("lib", "1"), stanza("lib", "2")),
    )
    assert requirements(pairs, ()) == {0: {1}}


def test_a_package_that_goes_takes_those_along_that_need_it():
    pairs = moved((stanza("app", "1", Depends="lib"), stanza("app", "2")), (stanza("lib", "1"), ABSENT))
    assert requirements(pairs, ()) == {1: {0}}


def test_breaks_and_conflicts():
    pairs = moved(
        (stanza("lib", "1"), stanza("lib", "2", Breaks="app (<< 2)")), (stanza("app", "1"), stanza("app", "2"))
    )
    assert requirements(pairs, ()) == {0: {1}}
    exim, postfix = (
        stanza("exim", "1", Conflicts="mta", Provides="mta"),
        stanza("postfix", "1", Conflicts="mta", Provides="mta"),
    )
    assert requirements(moved((exim, ABSENT), (ABSENT, postfix)), ()) == {1: {0}}


def test_what_does_not_move_and_alternatives_bind_nobody():
    unchanged = [stanza("lib", "5"), stanza("sh", "1", Provides="shell (= 3)")]
    pairs = moved(
        (stanza("app", "1"), stanza("app", "2", Depends="lib (>= 3), shell (>= 2) | other, a | b, nowhere")),
        (ABSENT, stanza("a", "1")),
        (ABSENT, stanza("b", "1")),
    )
    assert requirements(pairs, unchanged) == {}


def test_a_need_that_its_own_environment_does_not_meet_binds_nobody():
    pairs = moved(
        (stanza("app", "1"), stanza("app", "2", Depends="lib (>= 9)")), (stanza("lib", "1"), stanza("lib", "2"))
    )
    assert requirements(pairs, ()) == {}


def test_packages_that_are_not_installed_say_nothing():
    assert debian_state("Package: a\nStatus: deinstall ok config-files\nVersion: 1\nDepends: b") == ABSENT
    assert debian_state("Package: a\nStatus: nonsense\nVersion: 1") == ABSENT
    assert debian_state("") == ABSENT


def metadata(name, version, *needs):
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {n}" for n in needs)]
    return python_state("\n".join([*lines, "", "text"]).encode(), "usr/lib/site-packages")


def test_python_distributions():
    pairs = moved(
        (
            metadata("Web", "1", "req_lib>=1"),
            metadata("Web", "2", "Req.Lib (>=2,<3) ; python_version > '3'", "x; extra == 'y'"),
        ),
        (metadata("req-lib", "1.5"), metadata("req-lib", "2.1")),
        (metadata("x", "1"), metadata("x", "2")),
    )
    assert requirements(pairs, ()) == {0: {1}}
    assert metadata("a", "1", "b !! nonsense", "c >=x").needs
    assert python_state(b"\xff\n\n", "") == ABSENT


def test_node_packages_follow_ranges_that_changed():
    def manifest(version, **ranges):
        return json.dumps({"version": version, "dependencies": ranges}).encode()

    app, lib, inner, other = (f"srv/node_modules/{name}" for name in ("app", "lib", "app/node_modules/deep", "other"))
    states = node_states(
        {
            app: (manifest("1", lib="^1", deep="1", other="*"), manifest("2", lib="^2", deep="2", other="*")),
            lib: (manifest("1.0"), manifest("2.0")),
            inner: (manifest("1"), manifest("2")),
            other: (manifest("3"), manifest("4")),
        }
    )
    pairs = moved(*states.values())
    assert requirements(pairs, ()) == {0: {1, 2}, 1: {0}, 2: {0}}
    assert node_states({app: (b"[", b"{}"), lib: (None, b"1")})[app] == (ABSENT, ABSENT)


def test_records_that_were_made_to_cost_time_cost_little():
    spaces = " " * 200_000
    odd = python_state(f"Name: a\nVersion: 1\nRequires-Dist: b{spaces}[x]{spaces}({spaces})x\n".encode(), "")
    assert len(odd.needs) <= 1
    assert len(debian_state(f"Package: a\nVersion: 1\nDepends: b {spaces}(({spaces}, {'c|' * 100_000}").needs) <= 2
    count = 2000
    names = ", ".join(f"v{n}" for n in range(5))
    pairs = moved(*((ABSENT, stanza(f"p{n}", "1", Provides=names, Conflicts=names)) for n in range(count)))
    assert requirements(pairs, ()) == {}

"""`envbuild merge` where paths are databases: packages, accounts, alternatives, caches."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.namespaces
SITE = "opt/venv/lib/python3.11/site-packages"


def install(sides, version: dict[str, str]) -> None:
    """A Debian package with files that each version has under other names, and one that all have."""
    for side, number in version.items():
        packages = sides.packages(side)
        packages.debian("other", "1", {"usr/bin/other": "same"})
        files = {"usr/bin/tool": number, f"usr/lib/tool-{number}.so": number, "etc/tool.conf": f"{number}\n"}
        packages.debian("tool", number, files, ("etc/tool.conf",))


def test_a_package_in_two_versions_is_one_conflict_and_a_choice_takes_all_of_it(sides):
    install(sides, {"base": "1", "ours": "2", "theirs": "3"})
    sides.packages("ours").file("srv/a", "ours")
    sides.packages("theirs").file("srv/b", "theirs")
    sides.build()
    (conflict,) = sides.report()["conflicts"]
    assert (conflict["kind"], conflict["name"], conflict["package"]) == ("package", "tool", "dpkg tool")
    assert [conflict[side] for side in ("base", "ours", "theirs")] == ["1", "2", "3"]
    assert {"/usr/bin/tool", "/etc/tool.conf"} <= set(conflict["paths"])
    assert sides.merge("--theirs", "tool").code == 0
    assert (sides.cat("/usr/bin/tool"), sides.cat("/etc/tool.conf")) == ("3", "3\n")
    assert set(sides.ls("/usr/lib")) == {"tool-3.so"}
    assert "Version: 3" in sides.cat("/var/lib/dpkg/status")
    assert "tool-3.so" in sides.cat("/var/lib/dpkg/info/tool.list")
    assert set(sides.ls("/srv")) == {"a", "b"}
    assert sides.merge("--ours", "dpkg:tool").code == 0
    assert set(sides.ls("/usr/lib")) == {"tool-2.so"}


def test_a_package_that_one_side_asked_for_and_the_other_removed(sides):
    """It was there for others: what is asked for by name is no longer apt's to remove, which its mark alone says."""
    mark = "Package: tool\nArchitecture: amd64\nAuto-Installed: 1\n\n"
    for side in ("base", "ours"):
        sides.packages(side).debian("tool", "1", {"usr/lib/tool/a": "x"})
    sides.write("base", {"var/lib/apt/extended_states": mark})
    sides.write("ours", {"var/lib/apt/extended_states": ""})
    sides.write("theirs", {"var/lib/apt/extended_states": "", "var/lib/dpkg/status": "\n"})
    sides.build()
    assert sides.conflicts() == {"tool": "package"}
    assert sides.merge("--ours", "tool").code == 0
    assert "Package: tool\n" in sides.cat("/var/lib/dpkg/status")
    assert set(sides.ls("/usr/lib/tool")) == {"a"}
    assert sides.merge("--theirs", "tool").code == 0
    assert "Package: tool\n" not in sides.cat("/var/lib/dpkg/status")
    assert "usr" not in sides.ls("/") or "lib" not in sides.ls("/usr") or "tool" not in sides.ls("/usr/lib")


def test_a_package_that_both_installed_alike_and_others_of_each(sides):
    for side, name in (("ours", "left"), ("theirs", "right")):
        packages = sides.packages(side)
        packages.debian("common", "1", {"usr/bin/common": "x"})
        packages.debian(name, "1", {f"usr/bin/{name}": "x"})
    sides.build()
    assert sides.merge().code == 0
    status = sides.cat("/var/lib/dpkg/status")
    assert [status.count(f"Package: {name}\n") for name in ("common", "left", "right")] == [1, 1, 1]
    assert set(sides.ls("/usr/bin")) == {"common", "left", "right"}


def test_a_conflicting_file_names_its_package(sides):
    for side, text in (("base", "1"), ("ours", "2"), ("theirs", "3")):
        packages = sides.packages(side)
        packages.debian("server", "1", {"etc/server.conf": "as shipped"})
        packages.file("etc/server.conf", text)
    sides.build()
    (conflict,) = sides.report()["conflicts"]
    assert (conflict["name"], conflict["package"]) == ("/etc/server.conf", "server")
    assert "/etc/server.conf: both changed it, of server" in sides.merge().out


def test_python_distributions_in_two_versions(sides):
    sides.packages("ours").python("alpha", "1.0", {"alpha/__init__.py": "1", "alpha/old.py": ""})
    sides.packages("theirs").python("alpha", "2.0", {"alpha/__init__.py": "2", "alpha/new.py": ""})
    sides.build()
    assert sides.conflicts() == {"alpha": "package"}
    assert sides.merge("--theirs", "python:alpha").code == 0
    assert set(sides.ls(f"/{SITE}")) == {"alpha", "alpha-2.0.dist-info"}
    assert set(sides.ls(f"/{SITE}/alpha")) == {"__init__.py", "new.py"}


def test_a_record_claims_nothing_that_the_other_side_has_of_its_own(sides):
    """Who chooses a package of theirs gets their package, and keeps what no record of ours says is of it."""
    for side, text in (("base", "open"), ("ours", "closed"), ("theirs", "open")):
        sides.write(side, {"etc/secure.conf": text, "etc/passwd": "root:x:0:0:root:/root:/bin/sh\n"})
    sides.packages("ours").python("alpha", "1.0", {"alpha/__init__.py": "1"})
    claims = {"alpha/__init__.py": "2", "../../../../../etc/secure.conf": "open", "../../../../../../../escape": "x"}
    packages = sides.packages("theirs")
    packages.python("alpha", "2.0", {"alpha/__init__.py": "2"})
    record = sides.project.folder / "theirs" / SITE / "alpha-2.0.dist-info/RECORD"
    record.write_text(record.read_text() + "".join(f"{path},,\n" for path in claims) + "../../../../../etc/passwd,,\n")
    sides.build()
    assert sides.merge("--theirs", "alpha").code == 0
    assert sides.cat("/etc/secure.conf") == "closed"
    assert sides.cat(f"/{SITE}/alpha/__init__.py") == "2"
    assert ".." not in sides.ls("/")


def test_node_packages_in_two_versions_and_the_list_of_npm(sides):
    def node(side: str, **versions: str) -> None:
        listed = ",\n".join(f'    "node_modules/{name}": {{"version": "{v}"}}' for name, v in versions.items())
        sides.write(side, {"app/node_modules/.package-lock.json": f'{{\n  "packages": {{\n{listed}\n  }}\n}}\n'})
        for name, version in versions.items():
            text = f'{{"name": "{name}", "version": "{version}"}}'
            sides.write(side, {f"app/node_modules/{name}/package.json": text, f"app/node_modules/{name}/{version}": ""})

    node("base", ms="1.0.0")
    node("ours", left="1.0.0", ms="2.0.0")
    node("theirs", ms="3.0.0", right="1.0.0")
    sides.build()
    assert sides.conflicts() == {"ms": "package"}
    assert sides.merge("--theirs", "ms").code == 0
    assert set(sides.ls("/app/node_modules")) == {".package-lock.json", "left", "ms", "right"}
    assert set(sides.ls("/app/node_modules/ms")) == {"package.json", "3.0.0"}
    assert '"version": "3.0.0"' in sides.cat("/app/node_modules/.package-lock.json")


@pytest.mark.user
def test_a_number_given_twice_conflicts_and_is_renumbered_with_its_files(sides):
    sides.write("base", {"srv/shared": "x"})
    sides.write("ours", {"srv/shared": "x", "srv/ours": "x"})
    sides.write("theirs", {"srv/shared": "x"})
    own = "file(owner=bob, mode=600) /srv/theirs\n    x"
    sides.build(
        ours=("adduser ada uid=1000", "file(owner=ada) /srv/ada\n    x"),
        theirs=("adduser bob uid=1000", own, "user 1000"),
    )
    report = sides.report()
    subjects = {
        (conflict["name"], conflict["subject"], conflict["ours"], conflict["theirs"])
        for conflict in report["conflicts"]
    }
    assert subjects == {("/etc/passwd", "uid 1000", "ada", "bob"), ("/etc/group", "gid 1000", "ada", "bob")}
    assert "--renumber" in sides.merge().out
    done = sides.merge("--renumber")
    assert done.code == 0, done.out
    assert "user bob: 1000 is now 1001" in done.out
    assert "bob:x:1001:1001:" in sides.cat("/etc/passwd")
    owners = {name: (entry["uid"], entry["gid"]) for name, entry in sides.ls("/srv").items()}
    assert owners == {"shared": (0, 0), "ours": (0, 0), "ada": (1000, 1000), "theirs": (1001, 1001)}
    assert sides.project.show("ours:merged")["facts"]["user"] == "1001"
    assert sides.cat("/srv/theirs") == "x\n"


def alternative(status: str, *choices: tuple[str, int]) -> str:
    return "\n".join([status, "/usr/bin/editor", "", *(line for path, n in choices for line in (path, str(n))), "", ""])


def test_alternatives_have_the_choices_of_both_and_link_the_best(sides):
    record = "var/lib/dpkg/alternatives/editor"
    sides.write("ours", {record: alternative("auto", ("/bin/vim", 30))})
    sides.write("theirs", {record: alternative("auto", ("/bin/nano", 40))})
    for side, target in (("ours", "/bin/vim"), ("theirs", "/bin/nano")):
        folder = sides.project.folder / side / "etc/alternatives"
        folder.mkdir(parents=True)
        (folder / "editor").symlink_to(target)
    sides.build()
    assert sides.merge().code == 0
    assert sides.cat(f"/{record}") == alternative("auto", ("/bin/nano", 40), ("/bin/vim", 30))
    assert sides.ls("/etc/alternatives")["editor"]["target"] == "/bin/nano"


MAKER = "#!/bin/sh\nls /usr/lib > /etc/ld.so.cache\necho stolen > /etc/stolen\n"


def test_caches_are_made_anew_by_their_programs_which_change_nothing_else(sides):
    for side, library in (("base", ""), ("ours", "libours.so"), ("theirs", "libtheirs.so")):
        sides.write(side, {"etc/ld.so.cache": library, **({f"usr/lib/{library}": ""} if library else {})})
    sides.write("base", {"usr/lib/libbase.so": ""})
    for side in ("ours", "theirs"):
        sides.write(side, {"usr/lib/libbase.so": ""})
    sides.write("base", {"maker": MAKER})
    sides.build("copy(mode=755) base/maker -> /sbin/ldconfig", base="tar:busybox.tar")
    report = sides.report()
    assert (report["caches"], report["stale"]) == (["ld.so.cache"], {})
    assert sides.cat("/etc/ld.so.cache") == "libbase.so\nlibours.so\nlibtheirs.so\n"
    assert set(sides.ls("/etc")) >= {"ld.so.cache"}
    assert "stolen" not in sides.ls("/etc")


def test_a_cache_without_its_program_stays_and_is_named(sides):
    for side in ("base", "ours", "theirs"):
        sides.write(side, {"etc/ld.so.cache": side})
    sides.build()
    done = sides.merge()
    assert done.code == 0
    assert "ld.so.cache is not made anew: the tree has no program that makes it" in done.err


def test_a_cache_that_one_side_made_is_stale_if_the_other_changed_what_it_is_made_of(sides):
    sides.write("ours", {"etc/ld.so.cache": "ours", "usr/lib/liba.so.1": ""})
    sides.write("theirs", {"usr/lib/libb.so.1": ""})
    sides.build()
    assert set(sides.report()["stale"]) == {"ld.so.cache"}


def test_compiled_python_goes_with_its_source(sides):
    pyc = "app/__pycache__/{}.cpython-311.pyc"
    for side, number in (("base", "1"), ("ours", "2"), ("theirs", "3")):
        text = "".join(f"line {n}\n" for n in range(9))
        both = {"ours": text.replace("line 1", "2"), "theirs": text.replace("line 8", "3")}.get(side, text)
        sides.write(side, {"app/both.py": both, pyc.format("both"): f"both {number}"})
        sides.write(side, {"app/chosen.py": number, pyc.format("chosen"): f"chosen {number}"})
    sides.build()
    assert sides.conflicts() == {"/app/chosen.py": "content"}
    assert sides.merge("--theirs", "/app/chosen.py").code == 0
    assert set(sides.ls("/app/__pycache__")) == {"chosen.cpython-311.pyc"}, "Python compiles what it lacks"
    assert sides.cat(f"/{pyc.format('chosen')}") == "chosen 3"

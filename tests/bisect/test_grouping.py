"""Differences of two trees in groups, by their cause."""

from __future__ import annotations

import os
from hashlib import md5

import pytest

from envbuild.bisect.differences import FactPart, PathPart, StanzaPart
from envbuild.bisect.grouping import grouped
from envbuild.bisect.loose_files import MAX_ALONE, loose_groups
from envbuild.bisect.package_requirements import required_groups
from envbuild.history.operand import Operand
from envbuild.store.store import Store
from envbuild.tree.entry import DIRECTORY, FILE, ROOT_NAME, Entry
from tests.tree.builders import file


@pytest.fixture
def store(tmp_path):
    with Store.open(str(tmp_path / "store")) as opened:
        yield opened


def save(store, content, root=True):
    """The tree of nested dictionaries with texts as files."""
    ids = os.getuid(), os.getgid()
    entries = [Entry(ROOT_NAME, DIRECTORY, 0o755, *ids, 0)] if root else []
    for name, inner in content.items():
        if isinstance(inner, dict):
            entries.append(Entry(name.encode(), DIRECTORY, 0o755, *ids, 0, 0, save(store, inner, False)))
        else:
            entries.append(store.objects.add(Entry(name.encode(), FILE, 0o644, *ids, 0), inner.encode()))
    return store.trees.save(entries)


def at(path, content):
    """Nested dictionaries for one path."""
    for name in reversed(path.split("/")):
        content = {name: content}
    return content


def joined(*parts):
    whole = {}
    for part in parts:
        for name, inner in part.items():
            whole[name] = joined(whole.get(name, {}), inner) if isinstance(inner, dict) else inner
    return whole


def debian(*packages):
    """Packages (name, version, files, needs) with dpkg's records of them."""
    stanzas, parts = [], []
    for name, version, files, needs in packages:
        stanza = f"Package: {name}\nStatus: install ok installed\nVersion: {version}\nArchitecture: amd64\n"
        stanzas.append(stanza + (f"Depends: {needs}\n" if needs else ""))
        sums = "".join(f"{md5(text.encode()).hexdigest()}  {path}\n" for path, text in files.items())
        parts += [at(path, text) for path, text in files.items()]
        parts.append(at(f"var/lib/dpkg/info/{name}.list", "".join(f"/{path}\n" for path in files)))
        parts.append(at(f"var/lib/dpkg/info/{name}.md5sums", sums))
    return joined(at("var/lib/dpkg/status", "\n".join(stanzas) + "\n"), *parts)


def python(name, version, *needs, place="usr/lib/python3/dist-packages"):
    metadata = "\n".join(
        [
            "Metadata-Version: 2.1",
            f"Name: {name}",
            f"Version: {version}",
            *(f"Requires-Dist: {n}" for n in needs),
            "",
            "",
        ]
    )
    return joined(
        at(f"{place}/{name}/__init__.py", f"# {version}"),
        at(f"{place}/{name}-{version}.dist-info/METADATA", metadata),
        at(
            f"{place}/{name}-{version}.dist-info/RECORD",
            f"{name}/__init__.py,,\n{name}-{version}.dist-info/METADATA,,\n",
        ),
    )


def sides(store, old, new, old_facts=None, new_facts=None):
    return [
        Operand(label, "", save(store, content), facts or {}, (), ())
        for label, content, facts in (("old", old, old_facts), ("new", new, new_facts))
    ]


def groups_of(store, old, new, *facts):
    return grouped(store, *sides(store, old, new, *facts)).groups


def test_a_debian_package_has_its_files_its_records_and_its_stanza(store):
    old = debian(("a", "1", {"usr/bin/a": "1"}, ""), ("b", "1", {"usr/bin/b": "1"}, ""), ("c", "1", {}, ""))
    new = debian(
        ("a", "2", {"usr/bin/a": "2"}, ""), ("b", "1", {"usr/bin/b": "1"}, ""), ("d", "1", {"opt/d/x": ""}, "")
    )
    by_name = {group.name: group for group in groups_of(store, old, new)}
    assert {name: (group.kind, group.old, group.new) for name, group in by_name.items()} == {
        "a": ("debian", "1", "2"),
        "c": ("debian", "1", ""),
        "d": ("debian", "", "1"),
    }
    paths = {part.path for part in by_name["a"].parts if isinstance(part, PathPart)}
    assert paths == {b"usr/bin/a", b"var/lib/dpkg/info/a.md5sums"}
    assert [part.package for part in by_name["a"].parts if isinstance(part, StanzaPart)] == ["a:amd64"]
    assert b"opt" not in {part.path for part in by_name["d"].parts if isinstance(part, PathPart)}


def test_packages_require_each_other_by_what_they_say(store):
    old = debian(("app", "1", {"usr/bin/app": "1"}, "lib (= 1)"), ("lib", "1", {"usr/lib/lib.so": "1"}, ""))
    new = debian(("app", "2", {"usr/bin/app": "2"}, "lib (= 2)"), ("lib", "2", {"usr/lib/lib.so": "2"}, ""))
    new = joined(new, python("web", "2", "tool>=2", place="opt/venv/lib/site-packages"))
    old = joined(old, python("tool", "1", place="opt/venv/lib/site-packages"))
    new = joined(new, python("tool", "2", place="opt/venv/lib/site-packages"))
    differences = grouped(store, *sides(store, old, new))
    names = [group.name for group in differences.groups]
    required = required_groups(store.objects, differences.groups, differences.status)
    assert {names[n]: {names[other] for other in others} for n, others in required.items()} == {
        "app": {"lib"},
        "lib": {"app"},
        "web": {"tool"},
    }


def test_what_a_debian_package_brings_for_python_is_a_part_of_it(store):
    def side(version):
        metadata = f"usr/lib/python3/dist-packages/web-{version}.dist-info/METADATA"
        brought = python("web", version)
        listed = {"usr/lib/python3/dist-packages/web/__init__.py": f"# {version}"}
        package = debian(("python3-web", version, listed, ""))
        package = joined(package, at("var/lib/dpkg/info/python3-web.list", f"/{metadata}\n/{next(iter(listed))}\n"))
        return joined(package, brought)

    (group,) = groups_of(store, side("1"), side("2"))
    assert (group.kind, group.name) == ("debian", "python3-web")
    assert len(group.parts) >= 6


def test_loose_files_records_and_facts_are_differences_of_their_own(store):
    old = joined({"a": "1", "b": "1"}, debian(("x", "1", {}, "")), at("etc/ld.so.cache", "1"))
    new = joined({"a": "2", "b": "2"}, debian(("x", "2", {}, "")), at("etc/ld.so.cache", "2"))
    facts = {"env": {"A": "1"}, "labels": {"x": "1"}}, {"env": {"A": "2"}, "user": "web", "labels": {"x": "2"}}
    groups = groups_of(store, old, new, *facts)
    assert [(group.kind, group.name) for group in groups if group.kind != "debian"] == [
        ("records", "/etc/ld.so.cache"),
        ("file", "/a"),
        ("file", "/b"),
        ("fact", "the variable A"),
        ("fact", "the user"),
    ]
    assert groups[-1].parts == (FactPart("user", None, "web"),)


def test_a_directory_in_the_place_of_a_file_is_one_part_with_all_in_it(store):
    groups = groups_of(store, {"x": "file"}, {"x": {"a": "1", "b": {"c": "2"}}})
    assert [(group.name, len(group.parts)) for group in groups] == [("/x", 1)]


def test_very_many_loose_files_are_grouped_by_their_directories(store):
    parts = [PathPart(b"d%d/f%d" % (n % 7, n), None, file()) for n in range(MAX_ALONE + 1)]
    groups = list(loose_groups(store, (), parts))
    assert [group.name for group in groups] == [f"/d{n}" for n in range(7)]
    assert sum(len(group.parts) for group in groups) == len(parts)
    assert len(list(loose_groups(store, (), parts[:-1]))) == MAX_ALONE

"""The locks of pnpm and yarn, as these wrote them: read, placed, and refused where they can not be theirs."""

import base64
import io
import json
import tarfile
from pathlib import Path

import pytest

from envbuild.lockfile.checked_name import UnsafeName
from envbuild.packages.documents import BadDocument
from envbuild.packages.errors import Unresolved
from envbuild.packages.node_locks import OTHER_LOCKS, indented_text, yarn_archive
from envbuild.packages.node_locks.graph import Edge, Graph, NodePackage
from envbuild.packages.node_locks.hoisting import hoisted
from envbuild.packages.node_locks.indented_text import BadProjectLock, Table
from envbuild.packages.node_locks.locked import Project, project_of
from envbuild.plan.step import InstallPackages

LOCKS = Path(__file__).parent / "node_locks"
"""Of a project that needs is-odd 3.0.1, which needs is-number ^6.0.0, and is-number 7.0.0."""
PNPM = (LOCKS / "pnpm-9/pnpm-lock.yaml").read_text()
MANIFEST = (LOCKS / "pnpm-9/package.json").read_text()
SHA512 = f"sha512-{base64.b64encode(bytes(64)).decode()}"


def project(manager: str, lock: str, manifest: str = MANIFEST, settings: str = "", **environment: str) -> Project:
    contents = [("app/package.json", manifest.encode()), (f"app/{OTHER_LOCKS[manager]}", lock.encode())]
    if settings:
        contents.append(("app/.npmrc", settings.encode()))
    options = (("into", "/srv/app"), ("manager", manager))
    action = InstallPackages("npm", (), (("-r", "app"),), options, tuple(environment.items()), "")
    return project_of(action, tuple(contents))


def refused(manager: str, lock: str, manifest: str = MANIFEST) -> str:
    with pytest.raises(BadProjectLock) as caught:
        project(manager, lock, manifest)
    return str(caught.value)


def plain(value: object) -> object:
    if isinstance(value, Table):
        return {name: plain(item) for name, item in value.values.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("form", ["pnpm-6", "pnpm-9"])
def test_pnpm_gives_each_package_a_folder_with_links_to_what_it_needs(form):
    installed = project("pnpm", (LOCKS / form / "pnpm-lock.yaml").read_text())
    packages = installed.packages(frozenset())
    assert [(package.name, package.version, package.origin) for package in packages] == [
        (".pnpm/is-number@6.0.0/node_modules/is-number", "6.0.0", "is-number/-/is-number-6.0.0.tgz"),
        (".pnpm/is-number@7.0.0/node_modules/is-number", "7.0.0", "is-number/-/is-number-7.0.0.tgz"),
        (".pnpm/is-odd@3.0.1/node_modules/is-odd", "3.0.1", "is-odd/-/is-odd-3.0.1.tgz"),
    ]
    assert packages[0].hash.startswith("sha512:5aed551de2")
    assert installed.links(packages) == [
        (".pnpm/is-odd@3.0.1/node_modules/is-number", ".pnpm/is-number@6.0.0/node_modules/is-number"),
        ("is-number", ".pnpm/is-number@7.0.0/node_modules/is-number"),
        ("is-odd", ".pnpm/is-odd@3.0.1/node_modules/is-odd"),
    ]
    assert installed.in_order(packages)[-1] == ".pnpm/is-odd@3.0.1/node_modules/is-odd"
    assert installed.answers(packages)
    for changed in ({"version": "3.0.2"}, {"hash": f"sha512:{'0' * 128}"}, {"name": "is-odd"}, {"origin": "x/-/x.tgz"}):
        assert not installed.answers([*packages[:2], packages[2].replace(**changed)])
    assert not installed.answers(packages[:2])


@pytest.mark.parametrize(("manager", "form"), [("yarn", "yarn-1"), ("yarn", "yarn-4"), ("pnpm", "pnpm-9")])
def test_a_hoisted_layout_has_the_version_of_the_project_at_the_top(manager, form):
    lock = (LOCKS / form / OTHER_LOCKS[manager]).read_text()
    installed = project(manager, lock, settings="node-linker=hoisted")
    assert {place: installed.graph.packages[key].version for place, key in installed.placement.packages.items()} == {
        "is-number": "7.0.0",
        "is-odd": "3.0.1",
        "is-odd/node_modules/is-number": "6.0.0",
    }
    # Later versions of yarn lock no hash that a registry knows, so that it has to be asked.
    assert len(installed.unsaid()) == (3 if form == "yarn-4" else 0)


PEERS = f"""\
lockfileVersion: '9.0'
importers:
  .:
    dependencies:
      alias: {{specifier: 'npm:@s/dom@^1', version: '@s/dom@1.0.0(react@1.0.0)'}}
      dom-next: {{specifier: npm:@s/dom@^1, version: '@s/dom@1.0.0(react@2.0.0)'}}
    devDependencies:
      tool:
        specifier: ^1
        version: 1.0.0
packages:
  '@s/dom@1.0.0':
    resolution: {{integrity: {SHA512}}}
    deprecated: |-
      Not: 'read'
        - at all
    peerDependencies:
      react: '*'
  react@1.0.0: {{resolution: {{integrity: {SHA512}}}}}
  react@2.0.0:
    resolution: {{integrity: {SHA512}, tarball: https://registry.test/react/-/other.tgz}}
  tool@1.0.0:
    resolution: {{integrity: {SHA512}}}
  tool-mac@1.0.0:
    resolution: {{integrity: {SHA512}}}
    os: [darwin, '!linux']
snapshots:
  ? '@s/dom@1.0.0(react@1.0.0)'
  : dependencies:
      react: 1.0.0
  '@s/dom@1.0.0(react@2.0.0)':
    dependencies:
      react: 2.0.0
  react@1.0.0: {{}}
  react@2.0.0: {{}}
  tool@1.0.0:
    optionalDependencies:
      tool-mac: 1.0.0
  tool-mac@1.0.0:
    optional: true
"""
NEEDS = {"dependencies": {"alias": "npm:@s/dom@^1", "dom-next": "npm:@s/dom@^1"}, "devDependencies": {"tool": "^1"}}


def test_peers_aliases_platforms_and_what_is_left_out():
    installed = project("pnpm", PEERS, json.dumps(NEEDS))
    packages = installed.packages(installed.unfit("x64"))
    assert [package.name for package in packages] == [
        ".pnpm/@s+dom@1.0.0_react@1.0.0/node_modules/@s/dom",
        ".pnpm/@s+dom@1.0.0_react@2.0.0/node_modules/@s/dom",
        ".pnpm/react@1.0.0/node_modules/react",
        ".pnpm/react@2.0.0/node_modules/react",
        ".pnpm/tool@1.0.0/node_modules/tool",
    ]
    links = dict(installed.links(packages))
    assert links["dom-next"] == ".pnpm/@s+dom@1.0.0_react@2.0.0/node_modules/@s/dom"
    assert links[".pnpm/@s+dom@1.0.0_react@2.0.0/node_modules/react"] == ".pnpm/react@2.0.0/node_modules/react"
    assert ".pnpm/tool@1.0.0/node_modules/tool-mac" not in links
    assert packages[3].origin == "react/-/other.tgz"
    assert installed.answers(packages)
    assert installed.answers(installed.packages(frozenset()))
    short = project("pnpm", PEERS, json.dumps(NEEDS), NODE_ENV="production")
    assert [package.name for package in short.packages(frozenset())] == [package.name for package in packages[:4]]
    assert "tool" not in project("pnpm", PEERS, json.dumps(NEEDS), settings="omit[]=dev").placement.links


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("'9.0'", "5.4", "app/pnpm-lock.yaml:1: it has the version '5.4', and known are 6 to 9"),
        (
            "specifier: 3.0.1",
            "specifier: 3.0.0",
            ":15: package.json wants is-odd@3.0.1, and the lock has it as '3.0.0'",
        ),
        ("version: 3.0.1", "version: link:../odd", ":16: is-odd comes from 'link:../odd'"),
        ("version: 3.0.1", "version: 3.0.9", "it has nothing about is-odd@3.0.9, which something in it needs"),
        ("importers:\n", "importers:\n  web: {}\n", ":8: it is the lock of a workspace, with the project 'web' too"),
        ("packages:\n", "patchedDependencies:\n  is-odd: {path: p}\npackages:\n", "it patches packages"),
        ("packages:\n", "<<<<<<< ours\npackages:\n", ":18: git's marks of a conflict are in it"),
        ("'9.0'", "&a '9.0'", ":1: anchors, aliases and tags of YAML are not read"),
        ("'9.0'", "!!python/object:os.system x", ":1: anchors, aliases and tags"),
        ("{}", "*a", "anchors, aliases and tags"),
        ("{}", "{a: *a}", "a list or map can't be read"),
        ("{}", "[" * 50, "it is nested too deeply"),
        ("{}", "{a: 1, a: 2}", "a map can't be read"),
        ("{}", "[a", "a list or map has no end"),
        ("'9.0'", "'9.0", "a quote has no end"),
        ("  is-number@7.0.0: {}", "  is-number@6.0.0: {}", "'is-number@6.0.0' is there twice"),
        ("importers:\n", "importers:\n\t.: x\n", "it is indented with a tab"),
        ("importers:\n", "just words\n", "'just words' is not a name and a value"),
        (
            "resolution: {integrity",
            "resolution: {type: git, repo: https://h.test/r.git, x",
            "comes from https://h.test",
        ),
    ],
)
def test_a_lock_of_pnpm_that_can_not_be_used_is_told_with_its_line(old, new, message):
    assert old in PNPM
    assert message in refused("pnpm", PNPM.replace(old, new, 1))


def test_a_hostile_lock_is_refused_before_anything_is_named_after_it():
    with pytest.raises(UnsafeName):
        project("pnpm", PNPM.replace("is-odd", "../odd"), MANIFEST.replace("is-odd", "../odd"))
    with pytest.raises(UnsafeName):
        project("pnpm", PNPM.replace("is-number: 6.0.0", "../x: is-number@6.0.0"))
    with pytest.raises(Unresolved):
        project("pnpm", PNPM.replace("sha512-CQpn", "sha512-")).packages(frozenset())
    with pytest.raises(BadDocument):
        project("pnpm", PNPM, MANIFEST.replace('"3.0.1"', "{}"))
    deep = "".join(f"{' ' * depth}a:\n" for depth in range(100))
    assert "nested too deeply" in refused("pnpm", deep)
    assert "lines" in refused("pnpm", "a: 1\n" * (indented_text.MAX_LINES + 1))


def test_the_text_of_a_long_lock_is_read_in_time():
    text = "packages:\n" + "".join(
        f"\n  pkg{number}@1.0.0:\n    resolution: {{integrity: {SHA512}}}\n    cpu: [x64]\n" for number in range(2000)
    )
    assert len(indented_text.read("x", text.encode()).table("packages").values) == 2000


@pytest.mark.parametrize(
    ("form", "old", "new", "message"),
    [
        (
            "yarn-1",
            "is-number@^6.0.0:",
            "is-number@^5.0.0:",
            "is-odd wants is-number@^6.0.0, and the lock does not have",
        ),
        ("yarn-1", "is-number@^6.0.0:", "is-number@^6.0.0, is-odd@3.0.1:", "is-odd@3.0.1 is there twice"),
        ("yarn-4", '"npm:^6.0.0"', '"npm:^5.0.0"', "is-odd wants is-number@npm:^5.0.0"),
        (
            "yarn-4",
            '"is-odd@npm:3.0.1"\n  dep',
            '"is-odd@patch:is-odd@3#./x.patch"\n  dep',
            "comes from 'patch:is-odd@3#",
        ),
    ],
)
def test_a_lock_of_yarn_that_can_not_be_used_is_told(form, old, new, message):
    lock = (LOCKS / form / "yarn.lock").read_text()
    assert old in lock
    assert message in refused("yarn", lock.replace(old, new, 1))


def test_yarn_aliases_resolutions_old_hashes_and_other_sources():
    lock = """\
"@s/a@npm:real@^1", b@1:
  version "1.0.0"
  resolved "https://registry.test/real/-/real-1.0.0.tgz#0bf0be125b67014adcb0b0921e62db7bffe16b2e"
  dependencies:
    ms "^1"
ms@2.0.0:
  version "2.0.0"
  resolved "https://registry.test/ms/-/ms-2.0.0.tgz#0bf0be125b67014adcb0b0921e62db7bffe16b2e"
"""
    needs = {"dependencies": {"@s/a": "npm:real@^1"}, "resolutions": {"**/ms": "2.0.0"}}
    packages = project("yarn", lock, json.dumps(needs)).packages(frozenset())
    assert [(package.name, package.hash, package.origin) for package in packages] == [
        ("@s/a", "sha1:0bf0be125b67014adcb0b0921e62db7bffe16b2e", "real/-/real-1.0.0.tgz"),
        ("ms", "sha1:0bf0be125b67014adcb0b0921e62db7bffe16b2e", "ms/-/ms-2.0.0.tgz"),
    ]
    for source in ("https://h.test/a.tgz", "git+ssh://h.test/a", "owner/repo", "link:../a", "file:a", "github:o/r"):
        needs = {"dependencies": {"a": source}}
        assert f"package.json wants a from '{source}'" in refused("yarn", lock, json.dumps(needs))
        named = f'"a@{source}":\n  version "1.0.0"\n  resolved "{source}"\n'
        assert f"a comes from '{source}'" in refused("yarn", named, json.dumps(needs))


def graph(**needs: str) -> Graph:
    """A graph of packages such as `a1="b2 c1"`: a in version 1 needs b in version 2; `root` is the project."""
    edges = {key: tuple(Edge(name[:-1], name) for name in text.split()) for key, text in needs.items()}
    names = {name for text in needs.values() for name in text.split()}
    packages = {
        name: NodePackage(name[:-1], name[-1], 1, needs=edges.get(name, ()), peers=("p",) if name[0] == "d" else ())
        for name in names
    }
    return Graph("lock", packages, edges["root"])


@pytest.mark.parametrize(
    ("needs", "places"),
    [
        ({"root": "a1", "a1": "b1", "b1": "a1"}, {"a": "a1", "b": "b1"}),
        (
            {"root": "a1 b1", "a1": "c1", "b1": "c2 x1", "x1": "c2"},
            {"a": "a1", "b": "b1", "c": "c1", "x": "x1", "b/node_modules/c": "c2", "x/node_modules/c": "c2"},
        ),
        # d has p as a peer: at the top it would find p1, and what needs it means p2.
        (
            {"root": "a1 p1", "a1": "p2 d1", "d1": "p2"},
            {"a": "a1", "p": "p1", "a/node_modules/p": "p2", "a/node_modules/d": "d1"},
        ),
    ],
)
def test_packages_lie_where_all_that_need_them_find_them(needs, places):
    assert hoisted(graph(**needs)) == places


def test_a_graph_without_end_of_places_is_refused():
    with pytest.raises(BadProjectLock, match="can't be laid out"):
        hoisted(graph(root="a1 b1", a1="b1", b1="a2", a2="b2", b2="a1"))


def archive(*members: tuple[str, bytes, int]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content, mode in members:
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), mode
            tar.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def test_an_archive_is_held_against_what_yarn_locked(tmp_path, monkeypatch):
    path = tmp_path / "own.tgz"
    path.write_bytes(archive(("package/package.json", b"{}", 0o644), ("package/bin/own", b"#!/bin/sh\n", 0o755)))
    # Of the zip that yarn 4.9 made of this archive.
    made = (
        "10c0/f3a16ddb0541c72f335144f4cf62e2eb4387b817c321eb8f82d1b16f202a4ab2"
        "f286573695223f08736eab03f1949301cde1aa69197e1d156ebe9962ef9e1215"
    )
    yarn_archive.check("own", "1.0.0", str(path), made)
    yarn_archive.check("own", "1.0.0", str(path), "10/unknown")
    path.write_bytes(archive(("package/package.json", b"{ }", 0o644), ("package/bin/own", b"#!/bin/sh\n", 0o755)))
    with pytest.raises(yarn_archive.OtherArchive, match="expected 10c0/"):
        yarn_archive.check("own", "1.0.0", str(path), made)
    path.write_bytes(b"no archive")
    with pytest.raises(yarn_archive.OtherArchive, match="can't be read"):
        yarn_archive.check("own", "1.0.0", str(path), made)
    monkeypatch.setattr(yarn_archive, "MAX_UNPACKED", 4096)
    path.write_bytes(archive(("package/zeros", bytes(1 << 20), 0o644)))
    with pytest.raises(yarn_archive.OtherArchive, match="more than 4,096 bytes"):
        yarn_archive.check("own", "1.0.0", str(path), made)

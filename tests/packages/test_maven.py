"""`maven`: the artifacts of a lockfile.json, in a local repository that `mvn --offline` builds from."""

import base64
import json
import os
import zipfile
from pathlib import Path
from urllib.request import urlopen

import pytest

from envbuild.errors import WorkFailed
from envbuild.lockfile.checked_name import UnsafeName
from envbuild.lockfile.lock import Package
from envbuild.packages import maven_poms, plain_xml
from envbuild.packages.documents import BadDocument
from envbuild.packages.manager import ManagerSettings
from envbuild.packages.maven import MavenManager
from envbuild.packages.maven_lock import BadMavenLock, MavenLock, lock_of
from envbuild.packages.maven_names import CENTRAL, Coordinates, RepositoryOrigin
from envbuild.packages.maven_pom import BadPom, Pom, pom_of
from envbuild.packages.maven_poms import Poms
from envbuild.packages.maven_servers import MavenServers
from envbuild.packages.maven_settings import MavenSettings, NoMavenRepository
from envbuild.packages.plain_names import plain_name
from envbuild.plan.step import InstallPackages
from tests.conftest import DEBIAN, installs_of, purls, wait_for
from tests.packages.conftest import Server
from tests.packages.maven_repository import MavenRepository, jars_of, lock_text, pom_text

ACTION = InstallPackages("maven", (), (("-r", "app"),), (("into", "/m2"),), (), "")
OWN = Coordinates.of("org.example", "own", "1.0")
DIGEST = "ab" * 32
NODE = {
    "groupId": "org.example",
    "artifactId": "own",
    "version": "1.0",
    "checksumAlgorithm": "SHA-256",
    "checksum": DIGEST,
    "scope": "compile",
    "resolved": "https://h.test/maven2/org/example/own/1.0/own-1.0.jar",
    "repositoryId": "central",
    "included": True,
    "children": [],
}
POM = {**NODE, "artifactId": "above", "resolved": "", "relativePath": None}


def read(*dependencies: dict, plugins=(), **others: object) -> MavenLock:
    return lock_of((("app/lockfile.json", lock_text(dependencies, plugins, **others).encode()),))


def named(lock: MavenLock) -> dict[str, str]:
    return {meant.name: locked.origin for meant, locked in lock.files.items()}


def test_a_lock_names_what_maven_chose_and_the_poms_of_the_rest():
    unchosen = {**NODE, "artifactId": "old", "included": False, "checksum": "", "resolved": ""}
    lock = read(
        {**NODE, "children": [unchosen], "parentPom": POM, "boms": [{**POM, "artifactId": "bom", "checksum": ""}]}
    )
    assert named(lock) == {"org.example:own@1.0": "central", "org.example:above@1.0/pom": "central"}
    poms = {
        "org.example:old@1.0/pom",
        "org.example:own@1.0/pom",
        "org.example:bom@1.0/pom",
        "org.example:above@1.0/pom",
    }
    assert {meant.name for meant in lock.read} == poms
    # A plugin's own dependencies that Maven has itself when it runs the plugin, and files of the machine.
    plugin = {**NODE, "artifactId": "p", "resolved": "", "dependencies": [{**NODE, "scope": "provided"}]}
    assert named(read({**NODE, "scope": "system"}, plugins=[plugin])) == {"org.example:p@1.0": "central"}
    assert named(read({**NODE, "scope": "provided"})) == {"org.example:own@1.0": "central"}
    # Modules of the project have no checksum; what stands above it and lies beside it is no other project's.
    assert read({**NODE, "version": "1.0-SNAPSHOT", "checksum": "", "resolved": ""}).files == {}
    own = {"relativePath": "pom.xml", "boms": [POM], "parent": {"relativePath": "../pom.xml", "parent": POM}}
    assert named(read(pom=own)) == {"org.example:above@1.0/pom": "central"}


def test_files_are_named_by_type_and_classifier_and_come_from_the_locks_repository():
    other = "https://h.test/repo/org/example/own/1.0/own-1.0-linux.jar"
    lock = read(
        {**NODE, "classifier": "linux", "repositoryId": "team", "resolved": other},
        {**NODE, "type": "test-jar", "resolved": ""},
        {**NODE, "type": "zip", "resolved": ""},
        {**NODE, "checksumAlgorithm": "SHA-512", "checksum": "cd" * 64},
    )
    assert named(lock) == {
        "org.example:own@1.0/jar/linux": "team+https://h.test/repo",
        "org.example:own@1.0/jar/tests": "central",
        "org.example:own@1.0/zip": "central",
        "org.example:own@1.0": "central",
    }
    assert lock.files[OWN].hash == f"sha512:{'cd' * 64}"
    for meant in lock.files:
        assert Coordinates.of_name(meant.name) == meant
    assert Coordinates.of("org.example", "own", "1.0", "jar", "tests").path == "org/example/own/1.0/own-1.0-tests.jar"
    names = ("org.example:own@1.0/pom", "libc6:amd64", "node_modules/@a/b", "own@1.0")
    assert [*map(plain_name, names)] == ["org.example:own", "libc6", "@a/b", "own"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"checksum": ""}, "app/lockfile.json:15: the lock has no checksum of org.example:own:jar:1.0"),
        ({"checksum": "abc"}, "'abc' is not a checksum of SHA-256"),
        ({"checksum": "AB" * 32}, "is not a checksum of SHA-256"),
        ({"checksumAlgorithm": "MD5"}, "is of 'MD5', not of SHA-256"),
        ({"checksumAlgorithm": ["SHA-256"]}, "not of SHA-256"),
        ({"version": "1.0-SNAPSHOT", "resolved": ""}, "org.example:own:jar:1.0-SNAPSHOT is a snapshot"),
        ({"version": 1}, "an artifact lacks its coordinates"),
        ({"artifactId": None}, "an artifact lacks its coordinates"),
        ({"children": {"x": 1}}, "lacks its coordinates"),
        ({"children": [1]}, "'children' is not a list of objects"),
        ({"repositoryId": "team", "resolved": "https://h.test/other.jar"}, "'https://h.test/other.jar' is not where"),
        ({"repositoryId": 7}, "no address as a text"),
        ({"children": [{**NODE, "checksum": "0" * 64}]}, "org.example:own:jar:1.0 has two checksums"),
    ],
)
def test_a_lock_that_can_not_be_used_is_told_with_its_line(changed, message):
    with pytest.raises(BadMavenLock) as caught:
        read({**NODE, **changed})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"{", "it is not JSON"),
        (b"[" * 100_000, "it is nested too deeply"),
        (b"{}", "it has no dependencies"),
        (b"[]", "it has no dependencies"),
        (b'{"dependencies": [], "lockFileVersion": 2}', "it has the version 2, and known is 1"),
        (b'{"dependencies": [' + b"{}," * 200_000 + b"{}]}", "more than 200,000"),
    ],
    ids=["no json", "deep", "other", "list", "version", "many"],
)
def test_a_text_that_is_no_lock_is_refused(text, message):
    with pytest.raises(BadMavenLock, match=message):
        lock_of((("app/lockfile.json", text),))


def test_a_lock_that_is_too_large_is_refused():
    with pytest.raises(BadMavenLock, match="larger than"):
        lock_of((("app/lockfile.json", b" " * ((32 << 20) + 1)),))


@pytest.mark.parametrize(
    "changed",
    [
        {"groupId": ".."},
        {"groupId": "org..example"},
        {"groupId": "/etc"},
        {"groupId": "org/example"},
        {"artifactId": ".."},
        {"artifactId": "../own"},
        {"artifactId": "-own"},
        {"artifactId": "own\n"},
        {"version": ".."},
        {"version": "1/.."},
        {"version": "[1,2)"},
        {"version": "${x}"},
        {"type": "../jar"},
        {"classifier": "a/b"},
        {"artifactId": "o" * 301},
        {"repositoryId": "../x", "resolved": "https://h.test/org/example/own/1.0/own-1.0.jar"},
        {"repositoryId": "team", "resolved": "file:///etc/org/example/own/1.0/own-1.0.jar"},
        {"repositoryId": "team", "resolved": "https://a:b@h.test/org/example/own/1.0/own-1.0.jar"},
        {"repositoryId": "team", "resolved": "https://h.test/?x=/org/example/own/1.0/own-1.0.jar"},
    ],
    ids=str,
)
def test_names_of_a_hostile_lock_are_refused(changed):
    with pytest.raises(WorkFailed):
        read({**NODE, **changed})


def test_a_lock_of_ours_may_only_add_poms():
    manager = MavenManager()
    contents = (("app/lockfile.json", lock_text([NODE]).encode()),)
    own = Package("org.example:own@1.0", "1.0", f"sha256:{DIGEST}", "central")
    pom = Package("org.example:own@1.0/pom", "1.0", f"sha256:{'0' * 64}", "central")
    assert manager.trusts(ACTION, contents, [own, pom])
    assert [manager.check(package) for package in (own, pom)] == [own, pom]
    other = Package("org.example:other@1.0", "1.0", f"sha256:{'0' * 64}", "central")
    for packages in (
        [pom],
        [own.replace(hash=f"sha256:{'0' * 64}")],
        [own, other],
        [own, pom.replace(origin="team+https://h.test")],
        [own, own],
    ):
        assert not manager.trusts(ACTION, contents, packages)
    assert not manager.trusts(ACTION, (("app/lockfile.json", b"x"),), [own])
    for changed in (
        {"name": "org.example:own"},
        {"name": "own@1.0"},
        {"name": "org.example:../own@1.0"},
        {"name": "org.example:own@1.0/jar"},
        {"name": "org.example:own@1.0/pom/../x"},
        {"version": "1.1"},
        {"origin": "https://h.test"},
        {"origin": "team+file:///x"},
    ):
        with pytest.raises(UnsafeName):
            manager.check(own.replace(**changed))


@pytest.mark.namespaces
def test_what_a_stage_took_is_listed_of_the_image_that_it_was_compiled_for(project, server, tmp_path):
    repository = MavenRepository(server)
    repository.add("org.example", "own", "1.0", b"own")
    linux = Coordinates.of("org.example", "own", "1.0", "zip", "linux")
    repository.put(linux, b"zip")
    base = project.folder.joinpath("busybox.tar").name
    lock = lock_text([repository.node(OWN), repository.node(linux, type="zip")])
    project.write("app/lockfile.json", lock)
    lines = ("from tar:busybox.tar as build", "maven(into=/m2) -r app", "file /made", "    x")
    done = project.build(*lines, f"from tar:{base}", "copy(from=build) /made -> /", HOME=home_of(repository, tmp_path))
    assert done.code == 0, done.out + done.err
    assert purls(project) == [
        "pkg:maven/org.example/own@1.0",
        "pkg:maven/org.example/own@1.0?classifier=linux&type=zip",
    ]
    listed = json.loads(project.command("packages", "web", "--kind", "maven", "--format", "json").out)
    assert [(package["name"], package["stage"], package["path"]) for package in listed] == [
        ("org.example:own", "build", ""), ("org.example:own", "build", ""),
    ]  # fmt: skip
    table = project.command("packages", "web").out.splitlines()
    assert table[1].split() == ["maven", "org.example:own", "1.0", "stage", "build"]
    # An image that stands on it was built with the same.
    project.write("child.env", "from recipe:web.env", "file /more", "    x")
    assert project.command("build", "child.env", HOME=str(tmp_path)).code == 0
    assert purls(project, "child") == purls(project)
    spdx = json.loads(project.command("sbom", "web", "--format", "spdx").out)
    assert spdx["packages"][1]["sourceInfo"] == "taken by the stage build from the lock of a project"


# Poms, as data.


def followed(poms: dict[str, str], *read: str, chosen: bool = True) -> list[str]:
    """Return the names of the poms that are kept, of those that a repository has by GROUP:NAME:VERSION."""

    def coordinates(text: str) -> Coordinates:
        return Coordinates.of(*text.split(":"), "pom")

    known = {coordinates(name): pom_text(*name.split(":"), inside) for name, inside in poms.items()}

    def fetch(wanted) -> dict[Coordinates, Pom]:
        return {meant: pom_of(known[meant], meant) for meant, _ in wanted if meant in known}

    closure = Poms(fetch)
    first = dict.fromkeys(map(coordinates, read), RepositoryOrigin(CENTRAL))
    closure.follow(first, frozenset(first if chosen else ()))
    return sorted(f"{meant.artifact}:{meant.version}" for meant in closure.kept)


def above(name: str, version: str = "1") -> str:
    return f"<parent><groupId>g</groupId><artifactId>{name}</artifactId><version>{version}</version></parent>"


def imports(name: str, version: str) -> str:
    inside = f"<groupId>g</groupId><artifactId>{name}</artifactId><version>{version}</version>"
    inside += "<type>pom</type><scope>import</scope>"
    return (
        f"<dependencyManagement><dependencies><dependency>{inside}</dependency></dependencies></dependencyManagement>"
    )


def needs(name: str, inside: str) -> str:
    named = f"<groupId>g</groupId><artifactId>{name}</artifactId>"
    return f"<dependencies><dependency>{named}{inside}</dependency></dependencies>"


MOVED = "<distributionManagement><relocation><artifactId>b</artifactId></relocation></distributionManagement>"


def test_the_poms_above_and_imported_are_followed():
    poms = {
        "g:a:1": above("p") + "<properties><bom.version>2</bom.version></properties>",
        "g:p:1": above("q")
        + imports("bom", "${bom.version}")
        + "<properties><bom.version>1</bom.version></properties>",
        "g:q:1": imports("other", "${project.version}-x"),
        "g:bom:2": above("bom-parent") + imports("third", "${nowhere}"),
        "g:bom-parent:1": "",
    }
    # What a pom says stands before what those above it say; what nothing sets, and what nobody has, is left out.
    assert followed(poms, "g:a:1") == ["a:1", "bom-parent:1", "bom:2", "other:1-x", "p:1", "q:1"]
    assert followed({}, "g:a:1") == ["a:1"]


def test_what_has_moved_is_followed_to_where_it_is():
    poms = {
        "g:a:1": needs("old", "<version>1</version>"),
        "g:old:1": MOVED,
        "g:b:1": above("p"),
        "g:p:1": "",
        "g:plain:1": "",
    }
    assert followed(poms, "g:a:1") == ["a:1", "b:1", "old:1", "p:1"]
    # The version is managed by what the pom imports; a scope of tests, and what is optional, is nobody else's.
    managed = "<dependencyManagement><dependencies><dependency><groupId>g</groupId><artifactId>old</artifactId>"
    managed += "<version>1</version></dependency></dependencies></dependencyManagement>"
    bom = {**poms, "g:a:1": imports("bom", "1") + needs("old", ""), "g:bom:1": managed}
    assert followed(bom, "g:a:1") == ["a:1", "b:1", "bom:1", "old:1", "p:1"]
    for inside in ("<version>1</version><scope>test</scope>", "<version>1</version><optional>true</optional>", ""):
        assert followed({**poms, "g:a:1": needs("old", inside)}, "g:a:1") == ["a:1"]
    assert followed({**poms, "g:a:1": needs("plain", "<version>1</version>")}, "g:a:1") == ["a:1"]
    assert followed(poms, "g:a:1", chosen=False) == ["a:1"]
    # One that has moved to itself, and two that have moved to each other.
    back = MOVED.replace(">b<", ">old<")
    assert followed({**poms, "g:b:1": back}, "g:a:1") == ["a:1", "b:1", "old:1"]
    assert followed({**poms, "g:old:1": back}, "g:old:1") == ["old:1"]


def test_hostile_poms_end(monkeypatch):
    with pytest.raises(BadPom, match="stands above itself"):
        followed({"g:a:1": above("b"), "g:b:1": above("a")}, "g:a:1")
    with pytest.raises(BadPom, match="stands above itself"):
        followed({"g:a:1": above("a")}, "g:a:1")
    with pytest.raises(BadPom, match="above more than 50 poms"):
        followed({f"g:a{number}:1": above(f"a{number + 1}") for number in range(60)}, "g:a0:1")
    with pytest.raises(BadPom, match="more than 100 deep"):
        followed({f"g:a{number}:1": imports(f"a{number + 1}", "1") for number in range(110)}, "g:a0:1")
    assert followed({"g:a:1": imports("b", "1"), "g:b:1": imports("a", "1") + needs("x", "")}, "g:a:1") == [
        "a:1",
        "b:1",
    ]
    monkeypatch.setattr(maven_poms, "MAX_POMS", 5)
    with pytest.raises(BadPom, match="more than 5 poms"):
        followed({f"g:a{number}:1": above(f"a{number + 1}") for number in range(60)}, "g:a0:1")
    # Properties that mean more and more of others, and themselves.
    bomb = "".join(f"<p{number}>{f'${{p{number + 1}}}' * 10}</p{number}>" for number in range(20))
    for properties in (bomb, "<p0>${p0}</p0>", "<p0>${p1}</p0><p1>${p0}</p1>", f"<p0>{'x' * 2000}</p0>"):
        inside = f"<properties>{properties}</properties>{imports('bom', '${p0}')}"
        assert followed({"g:a:1": inside}, "g:a:1") == ["a:1"]
    for inside in (above(".."), above("p", "${x}"), above("p/../q"), "<parent></parent>"):
        with pytest.raises(BadPom, match="says no group, name and version"):
            followed({"g:a:1": inside}, "g:a:1")
    assert followed({"g:a:1": imports("../b", "1") + needs("../b", "<version>1</version>")}, "g:a:1") == ["a:1"]


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f'<!DOCTYPE project [<!ENTITY l0 "ha">{LAUGHS}]><project>&l9;</project>', "declares a document type"),
        ('<!DOCTYPE project SYSTEM "file:///etc/passwd"><project/>', "declares a document type"),
        ('<!DOCTYPE p [<!ENTITY x SYSTEM "http://h.test/">]><project>&x;</project>', "declares a document type"),
        ("<a>" * 100_000, "nested deeper"),
        ("<project>" + "<a/>" * 5000 + "</project>", "more than 4,000 elements"),
        ("<project>" + "x" * 100_000, "larger than"),
        ("<project>", "is not XML"),
        ("", "is not XML"),
        ("\0", "is not XML"),
        ("<html/>", "it is a 'html', not a pom"),
    ],
    ids=["laughs", "dtd", "entity", "deep", "wide", "large", "open", "empty", "zero", "html"],
)
def test_xml_that_is_no_pom_is_refused(monkeypatch, text, message):
    monkeypatch.setattr(plain_xml, "MAX_ELEMENTS", 4000)
    if message == "larger than":
        monkeypatch.setattr(plain_xml, "MAX_BYTES", 50_000)
    with pytest.raises((BadDocument, BadPom), match=message):
        pom_of(text.encode(), OWN.pom)


def test_a_text_in_many_pieces_takes_no_longer():
    # Kept whole, with a copy for each piece, this takes minutes.
    pom = b"<project><name>" + b"x<!-- -->" * 800_000 + b"</name>" + above("p").encode() + b"</project>"
    assert pom_of(pom, OWN.pom).parent == Coordinates.of("g", "p", "1", "pom")


def test_poms_are_read_as_maven_reads_them():
    # Names of people with entities that nothing defines, other encodings, bytes that are not what they declare.
    for text in (
        b"<project><name>Laugst&oslash;l &amp; Co</name>{}</project>",
        '<?xml version="1.0" encoding="ISO-8859-1"?>\n<project><name>Laugst\xf8l</name>{}</project>'.encode("latin-1"),
        "<project><name>Laugst\xf8l</name>{}</project>".encode("latin-1"),
        "\ufeff<project xmlns='http://maven.apache.org/POM/4.0.0'>{}</project>".encode(),
        b"\n<m:project xmlns:m='x'>{}</m:project>",
    ):
        parent = pom_of(text.replace(b"{}", above("p").encode()), OWN.pom).parent
        assert parent == Coordinates.of("g", "p", "1", "pom")


# Where repositories are.


def settings(home: Path, text: str) -> MavenSettings:
    (home / ".m2").mkdir(exist_ok=True)
    (home / ".m2/settings.xml").write_text(text)
    return MavenSettings(str(home))


def mirrors(*of: str) -> str:
    listed = [
        f"<mirror><id>m{number}</id><mirrorOf>{pattern}</mirrorOf><url>https://m{number}.test/r/</url></mirror>"
        for number, pattern in enumerate(of)
    ]
    return f"<settings><mirrors>{''.join(listed)}</mirrors></settings>"


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        (("central",), "https://m0.test/r"),
        (("other", "*"), "https://m1.test/r"),
        (("*", "central"), "https://m1.test/r"),  # the one with just this name stands before patterns
        (("*,!central", "external:*"), "https://m1.test/r"),
        (("a, central ,b",), "https://m0.test/r"),
    ],
)
def test_a_mirror_stands_for_the_repositories_that_it_names(tmp_path, monkeypatch, of, expected):
    monkeypatch.setattr("envbuild.packages.maven_settings.find_program", lambda _: None)
    assert settings(tmp_path, mirrors(*of)).address_of("central", "") == expected


def test_other_repositories_are_asked_where_the_lock_names_them(tmp_path, monkeypatch):
    monkeypatch.setattr("envbuild.packages.maven_settings.find_program", lambda _: None)
    known = settings(tmp_path, mirrors("central", "external:http:*"))
    assert known.address_of("team", "https://h.test/repo/") == "https://h.test/repo"
    assert known.address_of("team", "http://h.test/repo") == "https://m1.test/r"
    assert known.address_of("team", "http://127.0.0.1:1/repo") == "http://127.0.0.1:1/repo"
    blocked = mirrors("external:http:*").replace("</url>", "</url><blocked>true</blocked>")
    with pytest.raises(NoMavenRepository, match="the mirror 'm0' blocks the repository 'team'"):
        settings(tmp_path, blocked).address_of("team", "http://h.test/repo")
    for text, message in (
        ("", "is not XML"),
        ("<settings/>", "has no mirror of central configured"),
        (mirrors("central").replace("https://m0.test/r/", "${env.MIRROR}"), "'\\$\\{env.MIRROR\\}' is not the address"),
        (mirrors("central").replace("https://m0.test/r/", "file:///x"), "'file:///x' is not the address"),
    ):
        with pytest.raises(NoMavenRepository, match=message):
            settings(tmp_path, text).address_of("central", "")
    profile = (
        "<id>p</id><repositories><repository><id>central</id><url>https://p.test/</url></repository></repositories>"
    )
    for active in ("<activeProfiles><activeProfile>p</activeProfile></activeProfiles>", ""):
        text = f"<settings><profiles><profile>{profile}</profile></profiles>{active}</settings>"
        if active:
            assert settings(tmp_path, text).address_of("central", "") == "https://p.test"
        else:
            with pytest.raises(NoMavenRepository):
                settings(tmp_path, text).address_of("central", "")


def test_central_is_where_this_machines_maven_has_it(tmp_path, monkeypatch):
    for folder in ("bin", "lib", "conf", "home"):
        (tmp_path / folder).mkdir()
    program = tmp_path / "bin/mvn"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    os.symlink(program, tmp_path / "mvn")
    monkeypatch.setattr("envbuild.packages.maven_settings.find_program", lambda _: str(tmp_path / "mvn"))
    pom = "<project><repositories><repository><id>central</id><url>https://c.test/maven2</url></repository></repositories></project>"
    with zipfile.ZipFile(tmp_path / "lib/maven-model-builder-3.9.jar", "w") as archive:
        archive.writestr("org/apache/maven/model/pom-4.0.0.xml", pom)
    assert MavenSettings(str(tmp_path / "home")).address_of("central", "") == "https://c.test/maven2"
    (tmp_path / "conf/settings.xml").write_text(mirrors("central"))
    assert MavenSettings(str(tmp_path / "home")).address_of("central", "") == "https://m0.test/r"
    (tmp_path / "conf/settings.xml").unlink()
    (tmp_path / "lib/maven-model-builder-3.9.jar").write_bytes(b"PK\3\4" + bytes(100))
    with pytest.raises(NoMavenRepository, match="no Maven that names it"):
        MavenSettings(str(tmp_path / "home")).address_of("central", "")


def test_users_of_servers_are_those_of_the_settings(tmp_path):
    listed = "<server><id>m0</id><username>ada</username><password>secret</password></server>"
    listed += "<server><id>m1</id><username>ada</username><password>{encrypted=}</password></server>"
    listed += "<server><id>team</id><username>bob</username><password>p</password></server>"
    known = settings(tmp_path, mirrors("central", "x").replace("<mirrors>", f"<servers>{listed}</servers><mirrors>"))
    assert known.headers({"team": "https://h.test/repo"}) == (
        ("https://m0.test/r/", "Authorization", f"Basic {base64.b64encode(b'ada:secret').decode()}"),
        ("https://h.test/repo/", "Authorization", f"Basic {base64.b64encode(b'bob:p').decode()}"),
    )
    servers = MavenServers(ManagerSettings((), str(tmp_path), 1))
    assert servers.named() == ("https://m0.test/r",)
    assert servers.transport().headers[0][0] == "https://m0.test/r/"


# Builds.


def home_of(repository: MavenRepository, folder: Path) -> str:
    (folder / ".m2").mkdir(parents=True, exist_ok=True)
    (folder / ".m2/settings.xml").write_text(repository.settings())
    return str(folder)


@pytest.mark.namespaces
def test_artifacts_and_the_poms_that_maven_reads_are_laid_out_as_its_own_repository(project, server, tmp_path):
    repository = MavenRepository(server)
    repository.add("org.example", "own", "1.0", b"own", above("above"))
    repository.put(Coordinates.of("g", "above", "1", "pom"), pom_text("g", "above", "1", imports("bom", "2")))
    repository.put(Coordinates.of("g", "bom", "2", "pom"), pom_text("g", "bom", "2"))
    repository.add("org.example", "other", "2.0", b"own")  # the same content as of the first one
    home = home_of(repository, tmp_path / "home")
    nodes = [repository.node(OWN), repository.node(Coordinates.of("org.example", "other", "2.0"))]
    project.write("app/lockfile.json", lock_text(nodes))
    done = project.build("maven(into=/m2) -r app", HOME=home)
    assert done.code == 0, done.out + done.err
    assert sorted(project.ls("/m2/org/example/own/1.0")) == ["own-1.0.jar", "own-1.0.pom"]
    assert project.cat("/m2/org/example/other/2.0/other-2.0.jar") == "own"
    assert list(project.ls("/m2/g/bom/2")) == ["bom-2.pom"]
    (install,) = installs_of(project.folder / "web.env.lock")
    names = [package["name"] for package in install["packages"]]
    assert names == [
        "g:above@1/pom",
        "g:bom@2/pom",
        "org.example:other@2.0",
        "org.example:other@2.0/pom",
        "org.example:own@1.0",
        "org.example:own@1.0/pom",
    ]
    asked = len(server.asked)
    again = project.build(options=("--locked", "--offline", "--rerun", "2"), HOME="/nowhere")
    assert (again.image, len(server.asked)) == (done.image, asked), again.out + again.err
    # Another place has the same files; what the repository has changed meanwhile is not taken.
    lock = (project.folder / "app/lockfile.json").read_text()
    project.write("app/lockfile.json", lock.replace(nodes[0]["checksum"], DIGEST, 1))
    refused = project.build(options=("--locked",), HOME=home)
    assert (refused.code, "than the lock has" in refused.out + refused.err) == (1, True)
    done = project.build(HOME=home)
    assert (done.code, "org.example:own@1.0 1.0: " in done.out, "is not the file that the lock names" in done.out) == (
        1, True, True,
    )  # fmt: skip
    pom = {**POM, "groupId": "g", "artifactId": "above", "version": "1", "checksum": DIGEST}
    project.write("app/lockfile.json", lock_text([{**nodes[0], "parentPom": pom}]))
    done = project.build(HOME=home)
    assert (done.code, "g:above@1/pom 1: " in done.out, "is not the file that the lock names" in done.out) == (
        1, True, True,
    )  # fmt: skip
    (failed,) = done.of("step-failed")
    assert failed["line"] == 2
    renewed = "app/lockfile.json with the tool that writes it: mvn io.github.chains-project:maven-lockfile:generate"
    assert f"renew {renewed}" in failed["message"]


@pytest.mark.namespaces
def test_a_password_goes_to_its_own_server_alone(project, server, tmp_path):
    repository, other = MavenRepository(server), Server()
    try:
        repository.add("org.example", "own", "1.0", b"own")
        MavenRepository(other).add("org.example", "own", "1.0", b"own")
        project.write("app/lockfile.json", lock_text([repository.node(OWN)]))
        home = Path(home_of(repository, tmp_path / "home"))
        user = "<servers><server><id>mine</id><username>ada</username><password>secret</password></server></servers>"
        (home / ".m2/settings.xml").write_text(repository.settings().replace("<settings>", f"<settings>{user}"))
        server.authorization = f"Basic {base64.b64encode(b'ada:secret').decode()}"
        other.authorization = "Basic of-another"
        server.redirects[f"/maven2/{OWN.path}"] = f"{other.address}/maven2/{OWN.path}"
        done = project.build("maven(into=/m2) -r app", HOME=str(home))
        # The pom was given to ada; the server that she was sent on to got no password, and gave nothing.
        assert (done.code, "401" in done.out) == (1, True), done.out
        other.authorization = ""
        done = project.build("maven(into=/m2) -r app", HOME=str(home))
        assert done.code == 0, done.out
        assert "secret" not in (project.folder / "web.env.lock").read_text() + done.out
    finally:
        other.close()


PLUGINS = {"resources": "3.3.0", "compiler": "3.10.1", "surefire": "2.22.3", "jar": "3.3.0"}
TOOLS = "apt maven maven-debian-helper default-jdk-headless libgoogle-gson-java"


@pytest.mark.namespaces
@pytest.mark.mirror
@pytest.mark.nightly  # Debian's maven and a JDK have 400 MB
def test_debians_maven_builds_a_service_offline_from_a_lock(debian, server, tmp_path):
    example = Path(__file__).parents[2] / "recipes/dockerfiles/maven"
    source = "src/main/java/org/example/Greeter.java"
    debian.write(f"app/{source}", (example / source).read_text())
    listed = "".join(
        f"<plugin><artifactId>maven-{name}-plugin</artifactId><version>{version}</version></plugin>"
        for name, version in PLUGINS.items()
    )
    pom = (example / "pom.xml").read_text().replace("<version>debian</version>", "<version>2.10</version>")
    debian.write("app/pom.xml", pom.replace("</finalName>", f"</finalName><plugins>{listed}</plugins>"))
    base = (DEBIAN, "discard /etc/ssl/certs/java/cacerts", TOOLS, "copy(contents) app -> /src")
    # Debian has no maven-lockfile: what Maven takes from Debian's repository into an empty one is what it would lock.
    mirror = "<mirror><id>mine</id><mirrorOf>*</mirrorOf><url>file:///usr/share/maven-repo</url></mirror>"
    debian.write("settings.xml", f"<settings><mirrors>{mirror}</mirrors></settings>")
    maven = "cd /src && mvn --batch-mode --quiet"
    filled = f"run(timeout=10m) {maven} -s /settings.xml -Dmaven.repo.local=/m2 package"
    done = debian.build(*base, "copy settings.xml -> /", filled)
    assert done.code == 0, done.out
    out = tmp_path / "out"
    out.mkdir()
    copies = "cp -rL /usr/share/maven-repo /m2 /out && chown -R $(stat -c %u:%g /out) /out"
    taken = debian.command("run", "-v", f"{out}:/out", "web", "--", "sh", "-c", copies)
    assert taken.code == 0, taken.err
    repository = MavenRepository(server)
    repository.add_folder(out / "maven-repo")
    jars = jars_of(out / "m2")
    plugins = [jar for jar in jars if jar.group == "org.apache.maven.plugins"]
    (own,) = [jar for jar in jars if jar.artifact == "gson"]
    rest = [repository.node(jar, scope="runtime") for jar in jars if jar not in (own, *plugins)]
    components = [{**repository.node(plugin), "dependencies": rest} for plugin in plugins]
    debian.write("app/lockfile.json", lock_text([repository.node(own)], components))
    debian.write(
        "service.env",
        *base[:-1],
        "maven(into=/root/.m2/repository) -r app",
        "copy(contents) app -> /src",
        f"run(timeout=10m) {maven} --offline package",
        f"run cp /root/.m2/repository/{own.path} /src/target/greeter.jar /srv",
        'start ["java", "-Xmx128m", "-cp", "/srv/*", "org.example.Greeter"]',
    )
    done = debian.command("build", "service.env", HOME=home_of(repository, tmp_path / "home"))
    assert done.code == 0, done.out + done.err
    asked = len(server.asked)
    again = debian.command("build", "service.env", "--locked=exact", "--offline", HOME="/nowhere")
    assert (again.code, len(server.asked)) == (0, asked), again.out + again.err
    assert debian.command("run", "-d", "--name", "greeter", "-p", "8080", "service").code == 0
    try:
        (instance,) = json.loads(debian.command("ps", "--format", "json").out)
        address = f"http://127.0.0.1:{instance['ports'][0]['port']}/"

        def answers() -> bool:
            try:
                with urlopen(address, timeout=30) as answer:
                    return answer.read() == b'{"greeting":"hello, world"}'
            except OSError:
                return False

        assert wait_for(answers)
    finally:
        debian.command("rm", "--force", "greeter")

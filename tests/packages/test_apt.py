"""`apt`: resolved in the tree, locked by hash, fetched into the cache, installed without network."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.conftest import installs_of
from tests.packages.conftest import DEBIAN
from tests.packages.repository import Repository

pytestmark = [pytest.mark.namespaces, pytest.mark.mirror, pytest.mark.slow]

FOREIGN, TRIPLET = ("amd64", "x86_64-linux-gnu") if os.uname().machine == "aarch64" else ("arm64", "aarch64-linux-gnu")
READY = "from image:python"
"""A base that is there already, whatever mirror the machine has."""
CONFMODULE = "#!/bin/sh\nset -e\n. /usr/share/debconf/confmodule\n"
QUESTION = {
    "DEBIAN/templates": "Template: own-question/colour\nType: string\nDefault: blue\nDescription: Which colour?\n",
    "DEBIAN/config": f"{CONFMODULE}db_input critical own-question/colour || true\ndb_go || true\n",
    "DEBIAN/postinst": f"{CONFMODULE}db_get own-question/colour\n"
    'echo "$RET, as $DEBIAN_FRONTEND" > /etc/own-question\n',
}
"""Files of a package that asks before it is configured, and notes the answer."""
NO_NETWORK = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}


def locked(project, step: int = 0) -> dict[str, dict]:
    return {package["name"]: package for package in installs_of(project.folder / "web.env.lock")[step]["packages"]}


def test_packages_are_locked_with_version_hash_and_place_and_installed_from_the_cache(debian):
    done = debian.build(DEBIAN, "apt", "    zip", "    bzip2=1.0.*")
    assert done.code == 0, done.err
    packages = locked(debian)
    assert {"zip", "unzip", "bzip2"} - packages.keys() == {"unzip"}, "recommended ones are left out"
    archive = packages["zip"]
    assert archive["hash"].startswith("sha256:")
    assert len(archive["hash"]) == 71
    assert archive["from"].endswith(".deb")
    assert "://" not in archive["from"]
    assert packages["bzip2"]["version"].startswith("1.0.")
    listed = {package["name"]: package for package in debian_packages(debian)}
    assert listed["zip"]["version"] == archive["version"]
    assert listed["zip"]["hash"] == archive["hash"]
    # Installing again takes no network: lock and cache have it all.
    again = debian.build(options=("--no-cache", "--locked"), **NO_NETWORK)
    assert again.code == 0, again.err
    assert again.image == done.image


def debian_packages(project) -> list[dict]:
    import json

    return json.loads(project.command("packages", "web", "--kind", "dpkg", "--format", "json").out)


@pytest.fixture
def own_apt(server, tmp_path, small_mirror) -> str:
    """How a statement begins that takes packages of our own."""
    own = Repository(server, tmp_path / "own")
    own.add("own-box", "1.0")
    own.add("own-zip", "1.0")
    own.add("own-mail", "1.0", "dpkg\nConflicts: own-post")
    own.add("own-post", "1.0")
    own.add("own-app", "1.0", "dpkg\nRecommends: own-extra")
    own.add("own-extra", "1.0")
    own.add("own-question", "1.0", "debconf", files=QUESTION)
    return f'apt(source="{own.source}")'


def test_nothing_of_the_machine_or_of_apts_work_stays(debian, own_apt):
    done = debian.build(READY, f"{own_apt} own-box")
    assert done.code == 0, done.err
    base = debian.build(READY, "run true", name="base.env")
    assert base.code == 0
    for folder in ("/etc/apt", "/etc/apt/sources.list.d", "/etc/apt/preferences.d", "/var/lib/apt/lists", "/usr/sbin"):
        assert debian.ls(folder).keys() == debian.ls(folder, "base").keys(), folder
    assert "dpkg.log" not in debian.ls("/var/log")
    assert "status-old" not in debian.ls("/var/lib/dpkg")
    assert "run" in debian.ls("/")
    assert "envbuild" not in debian.ls("/run")


def test_a_second_statement_resolves_against_the_first(debian, own_apt):
    done = debian.build(READY, f"{own_apt} own-box", f"{own_apt} own-box own-zip")
    assert done.code == 0, done.err
    assert locked(debian, 0).keys() == {"own-box"}
    assert locked(debian, 1).keys() == {"own-zip"}


def test_recommended_packages_come_when_asked_for(debian, own_apt):
    done = debian.build(READY, f"{own_apt.replace('(', '(recommends, ')} own-app")
    assert done.code == 0, done.err
    assert locked(debian).keys() == {"own-app", "own-extra"}


@pytest.mark.nightly  # another index of a whole Debian
def test_a_package_of_another_architecture(debian):
    done = debian.build(DEBIAN, f"apt zlib1g:{FOREIGN}")
    if "Mirror sync in progress" in done.out:
        pytest.skip("the mirror's index of the other architecture does not match its Release file")
    assert done.code == 0, done.err
    assert {f"zlib1g:{FOREIGN}", f"libc6:{FOREIGN}"} <= locked(debian).keys()
    assert FOREIGN in debian.cat("/var/lib/dpkg/arch").split()
    assert any("libz.so.1" in name for name in debian.ls(f"/usr/lib/{TRIPLET}"))


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("no-such-package", "Unable to locate package no-such-package"),
        ("own-zip=0.1", "Version '0.1' for 'own-zip' was not found"),
        ("own-mail own-post", "Conflicts: own-post"),
    ],
)
def test_what_can_not_be_had_is_told_in_apts_words_at_its_line(debian, own_apt, words, reason):
    done = debian.build(READY, "run true", f"{own_apt} {words}")
    assert done.code == 1
    (failed,) = done.of("step-failed")
    assert reason in failed["message"]
    assert (failed["file"], failed["line"]) == ("web.env", 3)
    assert not (debian.folder / "web.env.lock").exists()


def test_debconf_never_asks(debian, own_apt):
    done = debian.build(READY, f"{own_apt} own-question")
    assert done.code == 0, done.err
    assert debian.cat("/etc/own-question") == "blue, as noninteractive\n"
    # What asks all packages before can't, and isn't tried: it would say so.
    assert "apt-utils" not in done.printed


@pytest.mark.nightly  # two installations of the real thing
def test_check_names_the_files_of_a_package_that_are_never_the_same(debian):
    done = debian.build(DEBIAN, "apt ssl-cert", options=("--check",))
    assert done.code == 1
    assert "web.env:2: apt ssl-cert" in done.err
    assert "/etc/ssl/private/ssl-cert-snakeoil.key: content" in done.err
    assert "- " in done.err
    assert "+ " in done.err


@pytest.fixture
def repository(server, tmp_path, small_mirror):
    """A signed repository with one package; the server, the key's text, and what makes its indexes anew."""
    if shutil.which("gpg") is None:
        pytest.skip("gpg is not installed")
    root = tmp_path / "deb"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "usr/share/greeting").mkdir(parents=True)
    (root / "usr/share/greeting/text").write_text("hello\n")
    control = "Package: greeting\nVersion: 1.0\nArchitecture: all\nMaintainer: A <a@b.test>\nDescription: a greeting\n"
    (root / "DEBIAN/control").write_text(control)
    for path in (root, root / "DEBIAN", root / "usr", root / "usr/share", root / "usr/share/greeting"):
        path.chmod(0o755)
    archive = tmp_path / "greeting.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", root, archive], check=True, capture_output=True)
    content = archive.read_bytes()
    path = "pool/greeting_1.0_all.deb"
    sums = {
        name: subprocess.run([f"{name}sum", archive], check=True, capture_output=True, text=True).stdout.split()[0]
        for name in ("md5", "sha256")
    }
    index = f"{control}Filename: {path}\nSize: {len(content)}\nMD5sum: {sums['md5']}\nSHA256: {sums['sha256']}\n\n"
    import hashlib

    digest = hashlib.sha256(index.encode()).hexdigest()
    release = (
        "Origin: test\nSuite: stable\nCodename: stable\nArchitectures: all amd64\nComponents: main\n"
        "Date: Thu, 01 Jan 2026 00:00:00 UTC\n"
        f"SHA256:\n {digest} {len(index)} main/binary-amd64/Packages\n {digest} {len(index)} main/binary-all/Packages\n"
    )
    # The path of its agent's socket may have 107 bytes (unix(7)).
    home = Path(tempfile.mkdtemp(prefix="gpg", dir="/tmp"))
    gpg = ["gpg", "--homedir", home, "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""]
    subprocess.run([*gpg, "--quick-gen-key", "test <t@b.test>", "ed25519", "sign", "never"], check=True)
    key = subprocess.run([*gpg, "--armor", "--export"], check=True, capture_output=True).stdout
    signed = subprocess.run([*gpg, "--clearsign"], input=release.encode(), check=True, capture_output=True).stdout
    subprocess.run(["gpgconf", "--homedir", home, "--kill", "gpg-agent"], check=False)
    shutil.rmtree(home, ignore_errors=True)
    server.files["/extra/dists/stable/InRelease"] = signed
    for architecture in ("amd64", "all"):
        server.files[f"/extra/dists/stable/main/binary-{architecture}/Packages"] = index.encode()
    server.files[f"/extra/{path}"] = content
    return server, key


def test_an_extra_source_with_its_key(debian, repository):
    server, key = repository
    (debian.folder / "greeting.asc").write_bytes(key)
    statement = f'apt(source="deb {server.address}/extra stable main", key=greeting.asc) greeting'
    done = debian.build(READY, statement)
    assert done.code == 0, done.err
    assert debian.cat("/usr/share/greeting/text") == "hello\n"
    (package,) = locked(debian).values()
    assert package["from"] == "extra/pool/greeting_1.0_all.deb"
    assert not [name for name in debian.ls("/etc/apt/sources.list.d") if "envbuild" in name]


def test_a_source_whose_key_is_not_given_is_not_believed(debian, repository):
    server, _ = repository
    done = debian.build(READY, f'apt(source="deb {server.address}/extra stable main") greeting')
    assert done.code == 1
    assert "NO_PUBKEY" in done.out or "is not signed" in done.out


def test_another_file_than_the_index_says_stops_the_build_and_leaves_nothing(debian, repository):
    server, key = repository
    (debian.folder / "greeting.asc").write_bytes(key)
    path = "/extra/pool/greeting_1.0_all.deb"
    server.files[path] = server.files[path][:-1] + b"!"
    before = sorted(archive.name for archive in (debian.store / "packages").iterdir())
    done = debian.build(READY, f'apt(source="deb {server.address}/extra stable main", key=greeting.asc) greeting')
    assert done.code == 1
    (failed,) = done.of("step-failed")
    for text in ("greeting 1.0", "expected sha256:", "got      sha256:", "greeting_1.0_all.deb"):
        assert text in failed["message"]
    assert sorted(archive.name for archive in (debian.store / "packages").iterdir()) == before


def test_a_download_that_breaks_off_is_taken_up_where_it_broke(debian, repository):
    server, key = repository
    (debian.folder / "greeting.asc").write_bytes(key)
    path = "/extra/pool/greeting_1.0_all.deb"
    server.broken.add(path)
    for archive in (debian.store / "packages").glob("*"):
        if archive.stat().st_size == len(server.files[path]):
            archive.unlink()
    done = debian.build(READY, f'apt(source="deb {server.address}/extra stable main", key=greeting.asc) greeting')
    assert done.code == 0, done.err
    ranges = [asked for where, asked in server.asked if where == path]
    assert ranges == ["", f"bytes={len(server.files[path]) // 2}-"]


@pytest.fixture
def own(server, tmp_path, small_mirror) -> Repository:
    """A repository with two versions of a program and of its data, which go with each other only."""
    made = Repository(server, tmp_path / "own")
    for version in ("1.0-1", "2.0-1"):
        made.add("own-data", version)
        made.add("own-clock", version, f"own-data (= {version})")
        made.add("own-calendar", version, "own-clock (>= 1.0)")
    return made


def versions(project, *names: str, step: int = 0) -> dict[str, str]:
    return {name: package["version"] for name, package in locked(project, step).items() if not names or name in names}


def test_an_older_version_is_installed_with_what_only_goes_with_it(debian, own):
    done = debian.build(READY, f'apt(source="{own.source}") own-clock=1.0-1', "run cat /usr/share/own-*/text")
    assert done.code == 0, done.out
    assert versions(debian) == {"own-clock": "1.0-1", "own-data": "1.0-1"}
    assert done.printed.endswith("1.0-1\n1.0-1\n")


def test_an_older_version_replaces_a_newer_one_of_the_tree_and_of_the_lock(debian, own):
    newest = f'apt(source="{own.source}") own-calendar'
    done = debian.build(READY, newest)
    assert done.code == 0, done.out
    assert set(versions(debian).values()) == {"2.0-1"}
    done = debian.build(READY, newest, f'apt(source="{own.source}") own-clock=1.0-1')
    assert done.code == 0, done.out
    assert versions(debian, step=1) == {"own-clock": "1.0-1", "own-data": "1.0-1"}
    assert [debian.cat(f"/usr/share/{name}/text") for name in ("own-clock", "own-data")] == ["1.0-1\n"] * 2
    # What the lock has for the first statement is newer than what the same statement asks for now.
    done = debian.build(READY, f'apt(source="{own.source}") own-clock=1.0-1')
    assert done.code == 0, done.out
    assert versions(debian) == {"own-clock": "1.0-1", "own-data": "1.0-1"}


def test_an_older_version_that_is_not_to_be_had_is_told_in_apts_words(debian, own):
    own.remove("own-data", "1.0-1")
    done = debian.build(READY, f'apt(source="{own.source}") own-clock=1.0-1')
    assert done.code == 1
    assert "clock : Depends: own-data (= 1.0-1)" in done.of("step-failed")[0]["message"]

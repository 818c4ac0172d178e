"""`cargo`: the crates of a Cargo.lock, laid out as `cargo vendor` does."""

import gzip
import hashlib
import io
import json
import subprocess
import tarfile
from pathlib import Path

import pytest

from envbuild.lockfile.checked_name import UnsafeName
from envbuild.lockfile.lock import Package
from envbuild.packages import cargo_tasks
from envbuild.packages.cache import Address
from envbuild.packages.cargo import CargoManager
from envbuild.packages.cargo_lock import BadCargoLock, crates_of
from envbuild.packages.cargo_servers import CargoServers, NoCrateRegistry
from envbuild.packages.cargo_tasks import BadCrate
from envbuild.packages.manager import ManagerSettings
from envbuild.plan.step import InstallPackages
from tests.conftest import DEBIAN, installs_of, purls
from tests.packages.crate_registry import CRATES_INDEX, CrateRegistry, crate

DIGEST = "ab" * 32
PINNED = (
    f'version = 3\n[[package]]\nname = "own"\nversion = "1.0.0"\nsource = "{CRATES_INDEX}"\nchecksum = "{DIGEST}"\n'
)
ACTION = InstallPackages("cargo", (), (("-r", "app"),), (("into", "/src"),), (), "")
FILES = {"Cargo.toml": b'[package]\nname = "own"\nversion = "1.0.0"\n', "src/lib.rs": b"pub fn own() {}\n"}


def read(lock: str) -> list[Package]:
    return crates_of((("app/Cargo.lock", lock.encode()),))


def test_the_crates_of_registries_are_those_of_the_lock_and_its_parts_are_none():
    packages = [Package("own@1.0.0", "1.0.0", f"sha256:{DIGEST}", "crates-io")]
    assert read(f'{PINNED}[[package]]\nname = "app"\nversion = "0.1.0"\n') == packages
    first = PINNED.replace("version = 3\n", "").replace(f'checksum = "{DIGEST}"\n', "")
    assert read(f'{first}[metadata]\n"checksum own 1.0.0 ({CRATES_INDEX})" = "{DIGEST}"\n') == packages
    other = "sparse+https://crates.test/index/"
    assert read(PINNED.replace(CRATES_INDEX, other))[0].origin == other
    manager = CargoManager()
    assert manager.trusts(ACTION, (("app/Cargo.lock", PINNED.encode()),), packages)
    for changed in ({"hash": f"sha256:{'0' * 64}"}, {"name": "own@1.0.1"}, {"origin": other}):
        assert not manager.trusts(ACTION, (("app/Cargo.lock", PINNED.encode()),), [packages[0].replace(**changed)])
    assert not manager.trusts(ACTION, (("app/Cargo.lock", b"x"),), packages)
    assert manager.check(packages[0]) == packages[0]
    for changed in ({"name": "../own@1.0.0"}, {"name": "own@1.0.1"}, {"origin": "https://h.test"}, {"version": "-x"}):
        with pytest.raises(UnsafeName):
            manager.check(packages[0].replace(**changed))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("version = 3", "version = 5", "app/Cargo.lock: it has the version 5, and known are 1 to 4"),
        (CRATES_INDEX, "git+https://h.test/own#1", "app/Cargo.lock:3: own comes from 'git+https://h.test/own#1'"),
        (CRATES_INDEX, "registry+https://h.test/x.git", ":3: own is of 'registry+https://h.test/x.git'"),
        (DIGEST, "abc", ":3: the lock has no checksum of own"),
        ("[[package]]", "[[package", "it is not TOML"),
        ("[[package]]", "x = " + "[" * 5000 + "\n[[package]]", "it is n"),
        ("[[package]]", "[package]", "it has no list of packages"),
        ('version = "1.0.0"', "version = 1", "one of its packages has no name and version"),
    ],
)
def test_a_lock_that_can_not_be_used_is_told_with_its_line(old, new, message):
    assert old in PINNED
    with pytest.raises(BadCargoLock) as caught:
        read(PINNED.replace(old, new, 1))
    assert message in str(caught.value)


def test_names_of_a_hostile_lock_are_refused():
    for old, new in (('"own"', '"../own"'), ('"own"', '"-own"'), ("1.0.0", "1.0.0/..")):
        with pytest.raises(UnsafeName):
            read(PINNED.replace(old, new))


def packed(*members: tuple[str, bytes, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content, kind in members:
            info = tarfile.TarInfo(name)
            info.size, info.type = len(content), kind
            info.linkname = "/etc/passwd" if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


TOML = ("own-1.0.0/Cargo.toml", b"x", tarfile.REGTYPE)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (packed(TOML, ("own-1.0.0/../x", b"", tarfile.REGTYPE)), "lies outside"),
        (packed(TOML, ("/etc/x", b"", tarfile.REGTYPE)), "lies outside"),
        (packed(TOML, ("own-1.0.01/x", b"", tarfile.REGTYPE)), "lies outside"),
        (packed(TOML, ("own-1.0.0/x", b"", tarfile.SYMTYPE)), "is not a plain file"),
        (packed(TOML, ("own-1.0.0/x", b"", tarfile.LNKTYPE)), "is not a plain file"),
        (packed(TOML, ("own-1.0.0/x", b"", tarfile.CHRTYPE)), "is not a plain file"),
        (packed(("own-1.0.0/x", b"", tarfile.REGTYPE)), "no Cargo.toml"),
        (b"no archive", "gzip"),
        (gzip.compress(bytes(5000)), "more than 4,096 bytes"),
    ],
    ids=["above", "absolute", "beside", "link", "hard link", "device", "no manifest", "no archive", "bomb"],
)
def test_an_archive_that_is_not_a_crates_is_not_unpacked(tmp_path, monkeypatch, content, message):
    monkeypatch.setattr(cargo_tasks, "MAX_UNPACKED", 1 << 20)
    if "4,096" in message:
        monkeypatch.setattr(cargo_tasks, "MAX_UNPACKED", 4096)
    path = tmp_path / "own.crate"
    path.write_bytes(content)
    with pytest.raises(BadCrate, match=message):
        cargo_tasks.install_task(ACTION, [(Package("own@1.0.0", "1.0.0", f"sha256:{DIGEST}", "crates-io"), str(path))])


def servers(home: Path, settings: str) -> CargoServers:
    (home / ".cargo").mkdir(exist_ok=True)
    (home / ".cargo/config.toml").write_text(settings)
    return CargoServers(ManagerSettings((), str(home), 1 << 30))


def test_the_registry_is_that_of_cargos_settings(tmp_path, server):
    replaced = '[source.crates-io]\nreplace-with = "a"\n[source.a]\n'
    assert servers(tmp_path, f'{replaced}registry = "sparse+https://c.test/i/"').registry == "https://c.test/i/"
    named = '[source.crates-io]\nreplace-with = "a"\n[registries.a]\nindex = "sparse+https://c.test/i/"'
    assert servers(tmp_path, named).registry == "https://c.test/i/"
    for settings, message in (
        ("", "nothing on this machine names a registry"),
        (f'{replaced}registry = "https://c.test/x.git"', "is a git repository"),
        (f'{replaced}replace-with = "a"', "nothing on this machine"),
        ("source = 1", "tables of tables"),
        ("[", "can't be read"),
    ):
        with pytest.raises(NoCrateRegistry, match=message):
            assert servers(tmp_path, settings).registry
    with pytest.raises(NoCrateRegistry):
        assert CargoServers(ManagerSettings((), "/nowhere", 1)).registry
    package = Package("own@1.0.0", "1.0.0", f"sha256:{DIGEST}", "crates-io")
    mine = servers(tmp_path, CrateRegistry(server).settings())
    assert mine.find(ACTION, (), package) == ([Address(f"{server.address}/crates/own/1.0.0/download")], [])
    server.files["/index/config.json"] = b'{"dl": "https://f.test/{lowerprefix}/{crate}-{version}.crate"}'
    (address,), _ = servers(tmp_path, CrateRegistry.settings(mine_at(server))).find(ACTION, (), package)
    assert address.url == "https://f.test/3/o/own-1.0.0.crate"
    assert address.giver is not None


def mine_at(server) -> CrateRegistry:
    kept = server.files["/index/config.json"]
    registry = CrateRegistry(server)
    server.files["/index/config.json"] = kept
    return registry


@pytest.mark.namespaces
def test_crates_are_fetched_by_their_hashes_and_laid_out_for_cargo(project, server, tmp_path):
    registry = CrateRegistry(server)
    registry.add("own", "1.0.0", FILES)
    registry.add("own", "2.0.0", {**FILES, ".gitignore": b"x\n"})
    home = tmp_path / "home"
    (home / ".cargo").mkdir(parents=True)
    (home / ".cargo/config.toml").write_text(registry.settings())
    project.write("app/Cargo.lock", registry.lock("app", ("own 1.0.0", "own 2.0.0")))
    done = project.build("cargo(into=/src) -r app", "run ls -a /src/vendor/own-2.0.0", HOME=str(home))
    assert done.code == 0, done.out + done.err
    assert ".gitignore" not in done.printed
    record = json.loads(project.cat("/src/vendor/own-1.0.0/.cargo-checksum.json"))
    (install,) = installs_of(project.folder / "web.env.lock")
    assert record["package"] == install["packages"][0]["hash"].removeprefix("sha256:")
    assert record["files"]["src/lib.rs"] == hashlib.sha256(FILES["src/lib.rs"]).hexdigest()
    assert 'directory = "vendor"' in project.cat("/src/.cargo/config.toml")
    assert purls(project) == ["pkg:cargo/own@1.0.0", "pkg:cargo/own@2.0.0"]
    asked = len(server.asked)
    again = project.build(options=("--locked", "--offline", "--rerun", "2"), HOME="/nowhere")
    assert (again.image, len(server.asked)) == (done.image, asked), again.out + again.err
    # What the registry has under another version is not what the lock names, nor is another crate of the same hash.
    server.files["/crates/own/3.0.0/download"] = crate("own", "3.0.0", {**FILES, "other": b""})
    lock = (project.folder / "app/Cargo.lock").read_text()
    project.write("app/Cargo.lock", lock.replace("2.0.0", "3.0.0"))
    refused = project.build(options=("--locked",), HOME=str(home))
    assert (refused.code, "than the lock has" in refused.out + refused.err) == (1, True)
    done = project.build(HOME=str(home))
    assert (done.code, "'own-2.0.0/Cargo.toml' lies outside of own-3.0.0" in done.out) == (1, True)
    second = install["packages"][1]["hash"].removeprefix("sha256:")
    project.write("app/Cargo.lock", lock.replace("2.0.0", "3.0.0").replace(second, DIGEST))
    done = project.build(HOME=str(home))
    assert (done.code, "is not the file that the lock names" in done.out) == (1, True)
    project.write("app/Cargo.lock", lock.replace("2.0.0", "3.0.0").replace(second, DIGEST))
    done = project.build(HOME=str(tmp_path))
    assert "cargo: nothing on this machine names a registry" in done.out + done.err
    assert "replace-with" in done.out + done.err


@pytest.mark.namespaces
@pytest.mark.mirror
@pytest.mark.nightly  # Debian's cargo has 400 MB
def test_debians_cargo_builds_with_debians_crates_offline(debian, server, tmp_path):
    registry = CrateRegistry(server)
    crates = [("itoa", "librust-itoa-dev"), ("cfg-if", "librust-cfg-if-0.1-dev"), ("cfg-if", "librust-cfg-if-dev")]
    subprocess.run(["apt-get", "download", *(package for _, package in crates)], cwd=tmp_path, check=True)
    for file in tmp_path.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", file, tmp_path / "unpacked"], check=True)
    versions = {"itoa": [], "cfg-if": []}
    for folder in sorted((tmp_path / "unpacked/usr/share/cargo/registry").iterdir()):
        name, _, version = folder.name.rpartition("-")
        registry.add_folder(name, version, folder)
        versions[name].append(version)
    (tmp_path / ".cargo").mkdir()
    (tmp_path / ".cargo/config.toml").write_text(registry.settings())
    debian.write("app/Cargo.lock", registry.lock("app", ("itoa", *(f"cfg-if {v}" for v in versions["cfg-if"]))))
    dependencies = 'itoa = "1"\ncfg-if = "1"\nold = { package = "cfg-if", version = "0.1" }'
    debian.write("app/Cargo.toml", f'[package]\nname = "app"\nversion = "0.1.0"\n[dependencies]\n{dependencies}')
    debian.write(
        "app/src/main.rs",
        "old::cfg_if! { if #[cfg(unix)] { const N: u32 = 42; } else { const N: u32 = 1; } }",
        'fn main() { println!("{}", itoa::Buffer::new().format(N)); }',
    )
    build = "run cd /src/app && cargo build --offline --locked && target/debug/app"
    done = debian.build(
        DEBIAN, "apt cargo", "cargo(into=/src) -r app", "copy(contents) app -> /src/app", build, HOME=str(tmp_path)
    )
    assert done.code == 0, done.out
    assert "42\n" in done.printed

"""`apt(source)`: Debian source packages, locked by hash and unpacked as dpkg-source does."""

import pytest

from envbuild.lockfile.checked_name import UnsafeName
from envbuild.lockfile.lock import Package
from envbuild.packages.debian_source import SourceManager
from envbuild.packages.errors import NoManager, Unresolved
from envbuild.packages.source_tasks import NO_DPKG_SOURCE, install_task, read_answer, refuse, resolve_task
from envbuild.plan.step import InstallPackages
from tests.conftest import installs_of
from tests.packages.conftest import DEBIAN

SITE = "http://mirror.invalid/debian"
POOL = f"{SITE}/pool/main/h/hello/"


def digits(name: str) -> str:
    return (name.encode().hex() * 64)[:64]


def uris(*files: str) -> str:
    return "".join(f"'{POOL}{file}' {file} 100 SHA256:{digits(file)}\n" for file in files)


def record(*files: str, name: str = "hello", version: str = "1:2.10-3") -> str:
    sums = "".join(f"\n {digits(file)} 100 {file}" for file in files)
    return f"Package: {name}\nBinary: hello\nVersion: {version}\nChecksums-Sha256:{sums}\n\n"


FILES = ("hello_2.10-3.dsc", "hello_2.10.orig.tar.gz", "hello_2.10.orig.tar.gz.asc", "hello_2.10-3.debian.tar.xz")


def action(*wanted: str, into: str = "/src") -> InstallPackages:
    return InstallPackages("aptsource", wanted, (), (("into", into), ("source", "")), (), "")


def test_each_file_of_a_source_package_is_locked_by_its_hash():
    answer = read_answer(uris(*FILES), record("other.dsc", version="9") + record(*FILES), [SITE])
    assert [(package.name, package.version) for package, _ in answer] == [
        ("hello", "1:2.10-3"),
        ("hello:debian.tar.xz", "1:2.10-3"),
        ("hello:orig.tar.gz", "1:2.10-3"),
        ("hello:orig.tar.gz.asc", "1:2.10-3"),
    ]
    package, address = answer[0]
    assert package.origin == "debian/pool/main/h/hello/hello_2.10-3.dsc"
    assert (package.hash, address) == (f"sha256:{digits(FILES[0])}", POOL + FILES[0])
    packages = [(package, f"/cache/{number}") for number, (package, _) in enumerate(answer)]
    assert install_task(action("hello"), packages).argv[4:] == ("hello_2.10-3.dsc", "/src")
    assert install_task(action("hello", into="/src/"), packages).argv[4:] == ("hello_2.10-3.dsc", "/src/hello-2.10")


def test_a_locked_version_stays_unless_the_statement_names_one():
    pinned = [Package("hello", "1:2.10-3", f"sha256:{digits('x')}", "debian/hello_2.10-3.dsc")]
    assert resolve_task(action("hello", "sl=1"), pinned, b"", b"").argv[4:] == ("hello=1:2.10-3", "sl=1")


@pytest.mark.parametrize(
    ("file", "listed", "refused"),
    [
        ("hello_2.10-3.dsc", record("hello_2.10-3.dsc", name="../etc"), UnsafeName),
        ("hello_2.10-3.dsc", record("hello_2.10-3.dsc", version="-x"), UnsafeName),
        ("hello_2.10-3.dsc", record("another.dsc"), Unresolved),
        ("--include=x.dsc", record("--include=x.dsc"), UnsafeName),
        ("hello.sh", record("hello.sh"), Unresolved),
        ("..%2f..%2fetc%2fx.dsc", record("..%2f..%2fetc%2fx.dsc"), UnsafeName),
    ],
)
def test_an_index_that_misleads_is_refused(file, listed, refused):
    with pytest.raises(refused):
        read_answer(uris(file), listed, [SITE])


@pytest.mark.parametrize(
    ("name", "origin"),
    [
        ("hello:../x", "debian/hello.dsc"),
        ("-hello", "debian/hello.dsc"),
        ("hello", "debian/../hello.dsc"),
        ("hello", "debian/hello.deb"),
        ("hello", "hello.dsc"),
    ],
)
def test_a_lock_that_misleads_is_refused(name, origin):
    with pytest.raises(UnsafeName):
        SourceManager().check(Package(name, "1", f"sha256:{digits('x')}", origin))


def test_a_tree_that_can_not_unpack_says_what_to_install():
    with pytest.raises(NoManager) as refused:
        refuse(NO_DPKG_SOURCE, "")
    assert "apt dpkg-dev" in str(refused.value.hint)


@pytest.mark.nightly
@pytest.mark.namespaces
@pytest.mark.mirror
@pytest.mark.slow
def test_sources_are_unpacked_with_their_patches_and_vendored(debian):
    done = debian.build(
        DEBIAN,
        "apt dpkg-dev xz-utils",
        "apt(source) sl -> /opt/sl",
        "run test -f /opt/sl/debian/rules && test -d /opt/sl/.pc",
    )
    assert done.code == 0, done.out
    install = installs_of(debian.folder / "web.env.lock")[1]
    assert install["install"] == "aptsource"
    assert install["packages"][0]["name"] == "sl"
    filled = debian.command("vendor", "-o", "v")
    assert filled.code == 0, filled.err
    for package in install["packages"]:
        assert (debian.folder / "v/sha256" / package["hash"].removeprefix("sha256:")).is_file()
    again = debian.build(options=("--no-cache", "--locked", "--offline", "--vendor", "v"))
    assert (again.code, again.image) == (0, done.image), again.out + again.err

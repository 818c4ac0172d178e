"""The base `host`, cut from the packages of the machine that the tests run on, and tried out."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from envbuild.bases.host import prepare_host
from envbuild.bases.programs import NoSuchProgram
from envbuild.debian.host_dpkg import DpkgDatabase, NoSuchPackage
from envbuild.tree.entry import LINK
from envbuild.tree.target import PreparedBase
from tests.bases.targets import Folder, Memory, in_memory
from tests.child import become, in_child

pytestmark = [
    pytest.mark.skipif(not DpkgDatabase.exists(), reason="this machine has no dpkg"),
]
HAS_PYTHON = os.path.exists("/usr/bin/python3")


@pytest.fixture(scope="module")
def plain() -> Memory:
    base = prepare_host(())
    tree = in_memory(base)
    tree.base = base
    return tree


class Inside:
    """Runs commands in a base, as its root."""

    def __init__(self, base: PreparedBase, root: Path) -> None:
        self.root = root
        root.mkdir()
        base.write(Folder(root))
        # Programs want it; the sandbox binds the machine's.
        (root / "dev" / "null").touch()

    def __call__(self, *words: str) -> str:
        prefix = [] if os.geteuid() == 0 else ["unshare", "--map-root-user"]
        done = subprocess.run(
            [*prefix, "/usr/sbin/chroot", str(self.root), *words],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def inside(tmp_path_factory):
    folder = tmp_path_factory.mktemp("host")
    yield Inside(prepare_host(("python3",) if HAS_PYTHON else ()), folder / "root")
    subprocess.run(["rm", "-rf", folder], check=True)


@pytest.mark.user
@pytest.mark.namespaces
def test_dpkg_and_apt_truly_work(inside):
    assert inside("dpkg", "--audit") == ""
    assert inside("dpkg", "--configure", "-a") == ""
    assert "\nii  dpkg " in inside("dpkg", "-l")
    assert "apt " in inside("apt-get", "--version")
    assert "Building dependency tree" in inside("apt-get", "check")
    assert inside("dpkg", "-S", "/bin/sh").endswith(": /bin/sh\n")


@pytest.mark.namespaces
def test_programs_work(inside):
    """An alternative, a script's interpreter, accounts, the loader's cache."""
    assert inside("sh", "-c", "echo 1 2 | awk '{ print $2 }'") == "2\n"
    assert inside("perl", "-e", "print 6 * 7") == "42"
    assert inside("getent", "passwd", "root", "_apt").startswith("root:x:0:0:")
    assert "libc.so.6 (libc6" in inside("ldconfig", "-p")
    assert inside("sh", "-c", "stat -c %a /tmp /var/tmp /root") == "1777\n1777\n700\n"


@pytest.mark.namespaces
@pytest.mark.skipif(not HAS_PYTHON, reason="this machine's packages have no python3")
def test_python_works(inside):
    assert inside("python3", "-c", "import ssl, sqlite3, ctypes, lzma; print('all there')") == "all there\n"


@pytest.mark.user
@pytest.mark.namespaces
@pytest.mark.root
def test_a_package_can_be_installed_and_removed(inside, tmp_path):
    """With a script, an account, an alternative and the triggers of libraries."""
    control = tmp_path / "deb" / "DEBIAN"
    control.mkdir(parents=True)
    (control / "control").write_text(
        "Package: trial\nVersion: 1\nArchitecture: all\nMaintainer: T <t@example.org>\nDescription: a trial\n"
    )
    (control / "postinst").write_text(
        "#!/bin/sh\nset -e\nuseradd -r trial\nldconfig\n"
        "update-alternatives --install /usr/bin/trial trial /usr/bin/env 1\n"
    )
    (control / "postinst").chmod(0o755)
    deb = str(tmp_path / "trial.deb")
    subprocess.run(["dpkg-deb", "--build", str(tmp_path / "deb"), deb], check=True, capture_output=True)
    shutil.copy(deb, inside.root / "root" / "trial.deb")
    assert "Setting up trial (1)" in inside("dpkg", "-i", "/root/trial.deb")
    assert inside("dpkg", "--audit") == ""
    assert "trial:x:" in inside("getent", "passwd", "trial")
    assert "Removing trial" in inside("dpkg", "-P", "trial")


def test_the_essential_packages_and_apt_are_there(plain):
    status = plain.text("var/lib/dpkg/status")
    names = {line.split(": ")[1] for line in status.splitlines() if line.startswith("Package: ")}
    assert {"apt", "base-files", "bash", "coreutils", "dpkg", "libc6"} <= names
    assert "Status: install ok installed" in status
    assert "half" not in "".join(line for line in status.splitlines() if line.startswith("Status:"))


@pytest.mark.user
def test_nothing_of_the_machines_people_names_and_settings_is_in_it(plain):
    people = {user.pw_name for user in pwd.getpwall() if 1000 <= user.pw_uid < 60000}
    inside = {line.split(":")[0] for line in plain.text("etc/passwd").splitlines()}
    assert not people & inside
    hostname = os.uname().nodename
    assert hostname not in plain.text("etc/hosts").split()
    for path in (
        "etc/hostname",
        "etc/resolv.conf",
        "etc/apt/sources.list",
        "var/lib/dpkg/lock",
        "var/log/dpkg.log",
        "var/lib/dpkg/status-old",
    ):
        assert path not in plain
    below = [path for path in plain.entries if path.startswith((b"etc/apt/sources.list.d/", b"var/lib/apt/lists/"))]
    assert [path for path in below if plain.entries[path].kind != "d"] == []
    assert plain.contents[b"etc/machine-id"] == b""
    owned = {path for path in plain.entries if path.startswith(b"etc/apt/apt.conf.d/")}
    database = DpkgDatabase()
    listed = {
        os.fsencode(path.strip("/")) for package in database.packages.values() for path in database.files(package)
    }
    assert owned <= listed


def test_every_library_that_a_program_needs_is_in_it(plain):
    """Of all programs and libraries in the base, by their own words."""
    from envbuild.debian.elf import read_elf

    names = {path.rpartition(b"/")[2].decode() for path in plain.entries}
    missing = set()
    for path in plain.contents:
        if path.startswith((b"usr/bin/", b"usr/sbin/", b"usr/lib/x86_64")):
            elf = read_elf("/" + os.fsdecode(path))
            if elf is not None:
                missing |= {name for name in elf.needed if name not in names}
    assert missing == set()


def test_links_lead_somewhere(plain):
    """Links of programs and libraries, and the alternatives: none may dangle because of what was left out."""
    merged = {path: entry.target for path, entry in plain.entries.items() if entry.kind == LINK and b"/" not in path}

    def there(path: bytes) -> bool:
        first, _, rest = path.partition(b"/")
        return (merged[first] + b"/" + rest if first in merged else path) in plain.entries

    dangling = []
    for path, entry in plain.entries.items():
        if entry.kind == LINK and path.startswith((b"usr/bin/", b"usr/lib/x86_64", b"etc/alternatives/")):
            folder = b"" if entry.target.startswith(b"/") else path.rpartition(b"/")[0]
            if not there(os.path.normpath(b"/" + folder + b"/" + entry.target).strip(b"/")):
                dangling.append(path)
    assert dangling == []


def test_the_same_machine_gives_the_same_tree(plain):
    again = in_memory(prepare_host(()))
    assert again.entries == plain.entries
    newest = max(entry.mtime for entry in plain.entries.values())
    assert newest == plain.base.epoch * 10**9


@pytest.mark.user
@pytest.mark.root
def test_an_ordinary_user_gets_the_same_tree(plain):
    """Not one file, owner, mode or note differs."""
    base = plain.base

    def prepare_it_too() -> None:
        become(65534, 65534)
        again = prepare_host(())
        assert (again.identity, again.notes) == (base.identity, base.notes)
        assert in_memory(again).entries == plain.entries

    in_child(prepare_it_too)


def test_a_name_that_is_neither_package_nor_program():
    with pytest.raises(NoSuchPackage, match="no installed package or program"):
        prepare_host(("no-such-thing",))
    with pytest.raises(NoSuchProgram, match="no program of that name"):
        prepare_host(("no-such-thing",), without_dpkg=True)


@pytest.mark.namespaces
def test_without_dpkg_the_programs_and_what_they_load(tmp_path):
    run = Inside(prepare_host(("awk", "ldd"), without_dpkg=True), tmp_path / "root")
    assert run("awk", "BEGIN { print 1 + 1 }") == "2\n"
    # A script, whose interpreter came along.
    assert "ldd" in run("ldd", "--version")
    assert not (tmp_path / "root/var/lib/dpkg").exists()


@pytest.mark.namespaces
def test_plain_host_without_dpkg_is_a_shell_and_the_usual_programs(tmp_path):
    base = prepare_host((), without_dpkg=True)
    run = Inside(base, tmp_path / "root")
    assert base.identity.endswith("programs of this machine")
    assert run("sh", "-c", "mkdir /a; echo x > /a/b; cp /a/b /a/c; ls /a; id -u; sed s/x/y/ /a/c") == "b\nc\n0\ny\n"


@pytest.mark.skipif(not os.path.isdir("/usr/share/ca-certificates"), reason="this machine has no ca-certificates")
def test_authorities_are_those_of_the_package_without_the_machines_own():
    tree = in_memory(prepare_host(("ca-certificates",)))
    shipped = tree.text("etc/ca-certificates.conf").splitlines()
    assert len(shipped) > 50
    assert all(f"usr/share/ca-certificates/{path}".encode() in tree.entries for path in shipped)
    assert tree.text("etc/ssl/certs/ca-certificates.crt").count("BEGIN CERTIFICATE") == len(shipped)
    names = [os.fsdecode(path).rpartition("/")[2] for path in tree.entries if path.startswith(b"etc/ssl/certs/")]
    by_name = [name for name in names if name.endswith(".pem")]
    assert len(by_name) == len(shipped)
    assert any(re.fullmatch(r"[0-9a-f]{8}\.\d", name) for name in names)  # OpenSSL looks them up by these

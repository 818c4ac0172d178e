"""What is read of dpkg's database, on a small machine that the test makes up."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from envbuild.bases.host import prepare_host, true_path
from envbuild.debian.host_dpkg import DpkgDatabase, NoSuchPackage, parse_alternative
from tests.bases.targets import Memory, in_memory

STATUS = """\
Package: base-files
Essential: yes
Status: install ok installed
Architecture: amd64
Version: 12
Pre-Depends: awk
Conffiles:
 /etc/issue 00000000000000000000000000000000
 /etc/debian_version 202cb962ac59075b964b07152d234b70

Package: mawk
Status: hold ok triggers-pending
Triggers-Pending: /usr/bin
Architecture: amd64
Version: 1.3
Provides: awk (= 1)
Depends: libc6:any (>= 2.34) | libc7,
 libgone | libz

Package: libc6
Status: install ok installed
Architecture: i386
Multi-Arch: same
Version: 2

Package: libc6
Status: install ok installed
Architecture: amd64
Multi-Arch: same
Version: 2

Package: libz
Status: install ok installed
Architecture: all
Version: 1

Package: other
Status: install ok installed
Architecture: amd64
Version: 1

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1

Package: half
Status: install ok half-configured
Architecture: amd64
Version: 1

Package: dpkg
Status: install ok installed
Architecture: amd64
Version: 1
"""


@pytest.fixture
def machine(tmp_path: Path):
    """Adds files to a machine; `lists` says which package they are of. The machine's usr is merged."""
    root = tmp_path / "machine"
    info = root / "var/lib/dpkg/info"
    info.mkdir(parents=True)
    (root / "var/lib/dpkg/status").write_text(STATUS)
    (root / "usr/bin").mkdir(parents=True)
    (root / "bin").symlink_to("usr/bin")
    root.chmod(0o755)
    tmp_path.chmod(0o755)

    def put(package: str, **files: str) -> Path:
        for path, text in files.items():
            place = root / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
        return root

    put.root = root
    put.lists = lambda package, *paths: (info / f"{package}.list").write_text("".join(f"{p}\n" for p in ("/.", *paths)))
    return put


def cut(machine, *programs: str) -> Memory:
    return in_memory(prepare_host(programs, str(machine.root)))


def test_needs_are_followed_through_provides_and_alternatives(machine):
    database = DpkgDatabase(str(machine.root))
    assert [package.name for package in database.closure(["base-files"])] == ["base-files", "libc6", "libz", "mawk"]
    assert database.essential() == ["base-files"]


def test_only_packages_that_work_are_there_and_the_native_ones(machine):
    packages = DpkgDatabase(str(machine.root)).packages
    assert sorted(packages) == ["base-files", "dpkg", "libc6", "libz", "mawk", "other"]
    assert packages["libc6"].info_name == "libc6:amd64"


def test_a_name_that_is_not_there_is_an_error_with_the_nearest(machine):
    with pytest.raises(NoSuchPackage) as caught:
        prepare_host(("mawkk",), str(machine.root))
    assert "host(mawkk)" in caught.value.message
    assert caught.value.hint == "did you mean 'mawk'?"


def test_of_several_paths_the_first_that_a_package_has_says_whose_it_is(machine):
    machine.lists("mawk", "/usr/bin/real", "/usr/bin/other")
    machine.lists("other", "/bin/tool", "/bin/tool2")
    database = DpkgDatabase(str(machine.root))
    assert database.owner_of("/bin/tool", "/usr/bin/real") == "other"
    assert database.owner_of("/usr/bin/real", "/bin/tool") == "mawk"
    assert database.owner_of("/bin/too", "/bin", "/usr/bin/other") == "mawk"
    assert database.owner_of("/none") is None


def test_files_of_a_package_are_not_those_of_one_whose_name_goes_on(machine):
    info = machine.root / "var/lib/dpkg/info"
    for name in ("libz.postinst", "libz.list", "libz2.list", "liby.list"):
        (info / name).touch()
    database = DpkgDatabase(str(machine.root))
    assert database.info_files(database.packages["libz"]) == ["libz.list", "libz.postinst"]


def test_a_program_stands_for_its_package(machine):
    machine("other", **{"usr/bin/tool": "x"})
    machine.lists("other", "/bin/tool")
    assert "usr/bin/tool" in cut(machine, "tool")
    assert "usr/bin/tool" not in cut(machine)


def test_paths_in_linked_folders_are_where_they_really_lie(machine):
    machine("mawk", **{"usr/bin/mawk": "awk!"})
    machine.lists("mawk", "/bin", "/bin/mawk")
    tree = cut(machine)
    assert tree.text("usr/bin/mawk") == "awk!"
    assert tree.entries[b"bin"].target == b"usr/bin"
    assert b"bin/mawk" not in tree.entries
    assert true_path("/binary/x", {"bin"}) == "/binary/x"


def test_diverted_files(machine):
    """libz diverts mawk's tool and is taken: both stay. `other` diverts libc6's and is not: that goes back."""
    (machine.root / "var/lib/dpkg/diversions").write_text(
        "/usr/bin/tool\n/usr/bin/tool.real\nlibz\n/usr/bin/ldd\n/usr/bin/ldd.real\nother\n"
    )
    machine(
        "", **{"usr/bin/tool": "libz", "usr/bin/tool.real": "mawk", "usr/bin/ldd": "other", "usr/bin/ldd.real": "c"}
    )
    machine.lists("mawk", "/usr/bin/tool")
    machine.lists("libz", "/usr/bin/tool")
    machine.lists("libc6:amd64", "/usr/bin/ldd")
    machine.lists("other", "/usr/bin/ldd")
    tree = cut(machine)
    assert (tree.text("usr/bin/tool"), tree.text("usr/bin/tool.real")) == ("libz", "mawk")
    assert tree.text("usr/bin/ldd") == "c"
    assert "usr/bin/ldd.real" not in tree
    assert tree.text("var/lib/dpkg/diversions") == "/usr/bin/tool\n/usr/bin/tool.real\nlibz\n"


def test_the_status_is_settled(machine):
    text = cut(machine).text("var/lib/dpkg/status")
    assert "Package: mawk\nStatus: install ok installed\nArchitecture" in text
    assert "Triggers-Pending" not in text
    assert "other" not in text
    assert "i386" not in text


def test_documentation_stays_behind_but_not_licenses(machine):
    paths = ["usr/share/doc/mawk/README", "usr/share/doc/mawk/copyright", "usr/share/man/man1/mawk.1.gz"]
    machine("mawk", **dict.fromkeys(paths, "text"))
    machine.lists("mawk", *(f"/{path}" for path in paths))
    tree = cut(machine)
    assert [path for path in paths if path in tree] == ["usr/share/doc/mawk/copyright"]


def test_files_that_not_everybody_may_read_are_left_out_and_told(machine):
    machine("mawk", **{"etc/secret": "s", "etc/closed/plain": "p", "etc/open": "o"})
    (machine.root / "etc/secret").chmod(0o640)
    (machine.root / "etc/closed").chmod(0o700)
    machine.lists("mawk", "/etc/secret", "/etc/closed", "/etc/closed/plain", "/etc/open")
    base = prepare_host((), str(machine.root))
    tree = in_memory(base)
    assert ("etc/secret" in tree, "etc/closed/plain" in tree, "etc/open" in tree) == (False, False, True)
    assert base.notes == ("left out, as not everybody may read them on this machine: /etc/secret, /etc/closed/plain",)


def test_a_configuration_file_that_was_changed_is_told(machine):
    machine("base-files", **{"etc/issue": "mine", "etc/debian_version": "123"})
    machine.lists("base-files", "/etc/issue", "/etc/debian_version")
    base = prepare_host((), str(machine.root))
    assert base.notes == (
        "taken as they are on this machine, though changed since their package was installed: /etc/issue",
    )


def test_what_belongs_to_no_package_stays_behind(machine):
    machine("", **{"etc/apt/sources.list": "deb x", "etc/resolv.conf": "nameserver", "usr/local/bin/own": "x"})
    machine("", **{"etc/hosts": "192.0.2.1 secret-host"})
    tree = cut(machine)
    assert not [path for path in ("etc/apt/sources.list", "etc/resolv.conf", "usr/local/bin/own") if path in tree]
    assert "secret-host" not in tree.text("etc/hosts")


def test_the_date_is_that_of_the_newest_packaged_file(machine):
    """Not of dpkg's own notes or of files that were touched here: those have fractions of seconds."""
    machine("mawk", **{"etc/old": "o", "etc/new": "n", "etc/touched": "t"})
    for name, time in (("old", 1000 * 10**9), ("new", 2000 * 10**9), ("touched", 3000 * 10**9 + 5)):
        os.utime(machine.root / "etc" / name, ns=(time, time))
    machine.lists("mawk", "/etc/old", "/etc/new", "/etc/touched")
    base = prepare_host((), str(machine.root))
    assert base.epoch == 2000
    tree = in_memory(base)
    times = {path: tree.entries[path].mtime // 10**9 for path in (b"etc/old", b"etc/touched", b"", b"etc/hosts")}
    assert times == {b"etc/old": 1000, b"etc/touched": 2000, b"": 2000, b"etc/hosts": 2000}


AWK = """\
manual
/usr/bin/awk
awk.1.gz
/usr/share/man/man1/awk.1.gz
nawk
/usr/bin/nawk

/usr/bin/gawk
10
/usr/share/man/man1/gawk.1.gz

/usr/bin/mawk
5
/usr/share/man/man1/mawk.1.gz
/usr/bin/mawk

""".splitlines()


def test_an_alternatives_file():
    awk = parse_alternative("awk", AWK)
    assert awk.link == "/usr/bin/awk"
    assert awk.slaves == (("awk.1.gz", "/usr/share/man/man1/awk.1.gz"), ("nawk", "/usr/bin/nawk"))
    assert awk.choices[1] == ("/usr/bin/mawk", 5, ("/usr/share/man/man1/mawk.1.gz", "/usr/bin/mawk"))


def test_alternatives_are_cut_to_what_was_taken(machine):
    folder = machine.root / "var/lib/dpkg/alternatives"
    folder.mkdir()
    (folder / "awk").write_text("\n".join(AWK) + "\n")
    machine("mawk", **{"usr/bin/mawk": "x", "usr/bin/gawk": "not of a package"})
    machine.lists("mawk", "/usr/bin/mawk")
    tree = cut(machine)
    assert tree.entries[b"usr/bin/awk"].target == b"/etc/alternatives/awk"
    assert tree.entries[b"etc/alternatives/awk"].target == b"/usr/bin/mawk"
    assert tree.entries[b"etc/alternatives/nawk"].target == b"/usr/bin/mawk"
    assert tree.text("var/lib/dpkg/alternatives/awk") == (
        "auto\n/usr/bin/awk\nnawk\n/usr/bin/nawk\n\n/usr/bin/mawk\n5\n/usr/bin/mawk\n\n"
    )

"""Files that cost their writer nothing and their reader everything: holes, and many names of one file."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest

from tests.attacks import lowered
from tests.attacks.limited import limited
from tests.bases.tar_bytes import END, file, header, pax, record
from tests.conftest import ENVBUILD, Project, busybox_tar, call
from tests.in_namespace import output_of

pytestmark = pytest.mark.namespaces

LARGE = 30_000_000
STORED = 12_000_000
"""Less than a store has that keeps a LARGE file, and more than one with the base alone."""


def used(folder: Path) -> int:
    """The bytes that a folder has on disk, each inode once; read as root of a namespace where it must."""
    return int(output_of("du", "--summarize", "--block-size=1", str(folder)).split()[0])


def write_to(path: Path, project: Project, *words: str) -> None:
    """Runs a command of envbuild that writes into this file, and succeeds."""
    done = call(ENVBUILD, words, project.folder, project.environment)
    assert done.returncode == 0, done.stderr
    path.write_bytes(done.stdout)


def test_a_hard_linked_sparse_file_of_a_step_stays_sparse(project: Project):
    done = project.build(f"run truncate -s {LARGE} /a && ln /a /b && ln /a /c")
    assert done.code == 0, done.out
    assert {name: entry["size"] for name, entry in project.ls().items() if name in "abc"} == dict.fromkeys("abc", LARGE)
    assert used(project.store) < STORED
    # Each name is a file of its own, also where the next step looks.
    done = project.build(
        f"run truncate -s {LARGE} /a && ln /a /b && ln /a /c",
        f"run echo x >> /a && test $(stat -c %s /b) = {LARGE}",
    )
    assert done.code == 0, done.out
    assert used(project.store) < STORED


def test_what_is_written_between_holes_is_kept(project: Project, tmp_path: Path):
    write = "printf start > /a && truncate -s 5000000 /a && printf middle >> /a && truncate -s 9000001 /a && ln /a /b"
    assert project.build(f"run {write}").code == 0
    expected = b"start" + bytes(5_000_000 - 5) + b"middle" + bytes(9_000_001 - 5_000_006)
    listed = project.ls()
    for name in "ab":
        assert listed[name]["size"] == len(expected)
    for name in ("/a", "/b"):
        write_to(tmp_path / "read", project, "cat", "web", name)
        assert (tmp_path / "read").read_bytes() == expected


def test_a_step_that_leaves_a_terabyte_of_nothing_ends(project: Project):
    project.write("web.env", "from tar:busybox.tar", "run truncate -s 1000000000000 /a")
    done = limited(project, "build", "web.env", memory=2 << 30, seconds=30)
    assert done.returncode == 1, done.stderr
    assert "never written" in done.stderr
    assert "ENVBUILD_SPARSE_LIMIT" in done.stderr
    assert "web.env:2" in done.stderr


def test_names_of_one_file_count_as_copies(project: Project):
    many = "run head -c 100000 /dev/urandom > /a && for n in $(seq 100); do ln /a /a$n; done"
    done = project.build(many, ENVBUILD_SPARSE_LIMIT="5MB")
    assert done.code == 1
    assert "never written" in done.err + done.out
    assert project.build(many, ENVBUILD_SPARSE_LIMIT="20MB").code == 0


def test_the_user_lifts_the_limit_or_discards(project: Project):
    large = "run truncate -s 6000000 /a"
    assert project.build(large, ENVBUILD_SPARSE_LIMIT="5MB").code == 1
    assert project.build("discard /a", large, ENVBUILD_SPARSE_LIMIT="5MB").code == 0
    assert project.build(large, ENVBUILD_SPARSE_LIMIT="7MB").code == 0
    done = project.build(large, ENVBUILD_SPARSE_LIMIT="much")
    assert (done.code, "not a valid size" in done.err) == (2, True)


def test_reading_what_is_left_is_under_the_time_limit(project: Project):
    project.write("web.env", "from tar:busybox.tar", "run(timeout=500ms) truncate -s 900000000000 /a")
    done = project.call(lowered.little_time_to_read, "build", "web.env", ENVBUILD_SPARSE_LIMIT="1TB")
    assert done.returncode == 1
    assert "time limit ran out while what it left was read" in done.stderr


def test_a_command_that_fails_says_so_whatever_it_left(project: Project):
    done = project.build("run truncate -s 1000000000000 /a; exit 7")
    assert done.code == 1
    assert "exit status 7" in done.err + done.out


def _archive(project: Project, *members: bytes) -> None:
    plain = project.folder / "plain.tar"
    busybox_tar(plain)
    whole = plain.read_bytes().rstrip(b"\0")
    whole += bytes(-len(whole) % 512)
    (project.folder / "root.tar").write_bytes(whole + b"".join(members) + END)


def test_an_archive_of_holes_is_kept_sparse(project: Project):
    map_ = (b"1\n%d\n1\n" % (LARGE - 1)).ljust(512, b"\0")
    sparse = pax(
        record(b"GNU.sparse.major", b"1"),
        record(b"GNU.sparse.minor", b"0"),
        record(b"GNU.sparse.name", b"large"),
        record(b"GNU.sparse.realsize", b"%d" % LARGE),
    ) + file(b"x", map_ + b"e")
    link = header(b"more", kind=b"1", link=b"large")
    _archive(project, sparse, link)
    done = project.build("from tar:root.tar", f"run test $(stat -c %s /more) = {LARGE}")
    assert done.code == 0, done.out
    assert used(project.store) < STORED


def test_an_archive_that_holds_little_and_means_much_is_refused(project: Project):
    data = file(b"large", bytes(2_000_000))
    _archive(project, data, *(header(b"n%d" % n, kind=b"1", link=b"large") for n in range(10_000)))
    done = project.build("from tar:root.tar")
    assert done.code == 2
    assert "does not hold" in done.err + done.out


def test_a_copy_of_an_instance_keeps_its_holes(project: Project, tmp_path: Path):
    assert project.build("run true").code == 0
    make = f"truncate -s {LARGE} /srv-a; printf end >> /srv-a; ln /srv-a /srv-b; sleep 600"
    done = project.command("run", "-d", "--name", "one", "web", "--", "sh", "-c", make)
    assert done.code == 0, done.err
    try:
        wait = "for n in $(seq 100); do test -e /srv-b && exit 0; sleep 0.1; done; exit 1"
        assert project.command("exec", "one", "--", "sh", "-c", wait).code == 0
        write_to(tmp_path / "out.tar", project, "cp", "one:/srv-a", "-")
        assert (tmp_path / "out.tar").stat().st_size < 100_000
        assert project.command("cp", "one:/srv-a", str(tmp_path / "copy")).code == 0
        assert (tmp_path / "copy").stat().st_blocks * 512 < 1_000_000
        with tarfile.open(tmp_path / "out.tar") as archive:
            (member,) = archive.getmembers()
            assert (member.name, member.size) == ("srv-a", LARGE + 3)
            opened = archive.extractfile(member)
            assert opened is not None
            opened.seek(LARGE)
            assert opened.read() == b"end"
        done = project.command("cp", "-", "one:/root", stdin=(tmp_path / "out.tar").read_bytes())
        assert done.code == 0, done.err
        assert project.command("exec", "one", "--", "tail", "-c", "3", "/root/srv-a").out == "end"
        # What it wrote is read for `diff` and `commit`, within the same limits.
        assert "srv-b" in project.command("diff", "one", "--files").out
        assert used(project.store) < STORED
        done = project.command("diff", "one", "--files", ENVBUILD_SPARSE_LIMIT="20MB")
        assert (done.code, "never written" in done.err) == (1, True)
    finally:
        project.command("rm", "-f", "one")


def test_an_archive_of_an_instance_has_hard_links(project: Project, tmp_path: Path):
    assert project.build("run mkdir /srv && head -c 300000 /dev/urandom > /srv/a").code == 0
    make = "cp /srv/a /srv/b && ln /srv/b /srv/c && sleep 600"
    assert project.command("run", "-d", "--name", "one", "web", "--", "sh", "-c", make).code == 0
    try:
        wait = "for n in $(seq 100); do test -e /srv/c && exit 0; sleep 0.1; done; exit 1"
        assert project.command("exec", "one", "--", "sh", "-c", wait).code == 0
        write_to(tmp_path / "out.tar", project, "cp", "one:/srv", "-")
        with tarfile.open(tmp_path / "out.tar") as archive:
            kinds = {member.name: (member.type, member.linkname) for member in archive.getmembers()}
        assert kinds["srv/c"] == (tarfile.LNKTYPE, "srv/b")
        assert kinds["srv/b"][0] == tarfile.REGTYPE
    finally:
        project.command("rm", "-f", "one")


def test_parts_give_every_byte(tmp_path: Path):
    from envbuild.linux.sparse_files import data_of, parts, size_of_holes

    path = tmp_path / "file"
    for layout in ([], [(0, 5)], [(5_000_000, 7)], [(0, 10), (9_000_000, 2_500_000)], [(19_999_990, 10)]):
        with open(path, "wb") as out:
            out.truncate(20_000_000)
            for offset, length in layout:
                out.seek(offset)
                out.write(os.urandom(length))
        with open(path, "rb") as opened:
            joined = b"".join(piece for piece, _ in parts(opened.fileno(), 20_000_000))
            assert joined == path.read_bytes()
            data = sum(length for _, length in data_of(opened.fileno(), 20_000_000))
            assert data + size_of_holes(opened.fileno(), 20_000_000) == 20_000_000

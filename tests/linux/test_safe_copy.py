"""Copying between directories that are held open: what copies have, and what hostile trees come to."""

import os
import stat
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from envbuild.linux.safe_copy import MAX_DEPTH, Copier, InTheWay, Rules, TooDeep

pytestmark = pytest.mark.user


@contextmanager
def held(*paths: Path):
    descriptors = [os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in paths]
    try:
        yield descriptors
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


@pytest.fixture
def copy(tmp_path):
    """Copies the contents of `from` to `to`; returns what was skipped."""
    (tmp_path / "from").mkdir()
    (tmp_path / "to").mkdir()

    def copied(rules: Rules = Rules()) -> list[tuple[str, str]]:  # noqa: B008 - frozen
        skipped = []
        copier = Copier(rules, lambda path, why: skipped.append((path, why)))
        with held(tmp_path / "from", tmp_path / "to") as (source, target):
            copier.contents(source, target)
        return skipped

    return copied


def test_all_of_a_file_comes_along(copy, tmp_path):
    source = tmp_path / "from" / "file"
    source.write_text("text")
    source.chmod(0o6640)
    try:
        os.setxattr(source, "user.colour", b"blue")
    except OSError as error:
        pytest.skip(f"no attributes on this file system: {error}")
    os.utime(source, ns=(1, 1_000_000_000_987_654_321))
    assert copy(Rules(special=True)) == []
    made = tmp_path / "to" / "file"
    assert stat.S_IMODE(made.stat().st_mode) == 0o6640
    assert made.stat().st_mtime_ns == 1_000_000_000_987_654_321
    assert os.getxattr(made, "user.colour") == b"blue"
    copy()
    assert stat.S_IMODE(made.stat().st_mode) == 0o640


def test_names_of_one_file_stay_such_also_when_it_is_copied_again(copy, tmp_path):
    source = tmp_path / "from"
    (source / "d").mkdir()
    (source / "a").write_text("text")
    os.link(source / "a", source / "d" / "b")
    os.link(source / "a", source / "c")
    for _ in range(2):
        copy()
        assert len({os.stat(tmp_path / "to" / name).st_ino for name in ("a", "d/b", "c")}) == 1
        assert sorted(os.listdir(tmp_path / "to")) == ["a", "c", "d"]


def test_names_that_are_no_text_and_links_that_lead_nowhere(copy, tmp_path):
    odd = os.fsencode(tmp_path / "from") + b"/\xff\n\x1b"
    with open(odd, "wb"):
        pass
    os.symlink(b"/none/\xff", tmp_path / "from" / "link")
    copy()
    assert sorted(os.listdir(os.fsencode(tmp_path / "to"))) == [b"link", b"\xff\n\x1b"]
    assert os.readlink(os.fsencode(tmp_path / "to" / "link")) == b"/none/\xff"


def test_what_is_no_file_is_skipped(copy, tmp_path):
    os.mkfifo(tmp_path / "from" / "fifo")
    assert copy() == [("/fifo", "a named pipe")]
    assert copy(Rules(pipes=True)) == []
    assert stat.S_ISFIFO((tmp_path / "to" / "fifo").stat().st_mode)


@pytest.mark.parametrize("there", ["link", "file"])
def test_a_folder_goes_through_nothing_else(copy, tmp_path, there):
    (tmp_path / "else").mkdir()
    (tmp_path / "from" / "d").mkdir()
    (tmp_path / "from" / "d" / "x").write_text("text")
    if there == "link":
        (tmp_path / "to" / "d").symlink_to(tmp_path / "else")
    else:
        (tmp_path / "to" / "d").write_text("mine")
    with pytest.raises(InTheWay, match=f"a {there} is in its way"):
        copy()
    assert os.listdir(tmp_path / "else") == []


def test_a_file_takes_the_place_of_a_link_and_never_of_a_folder(copy, tmp_path):
    (tmp_path / "else").write_text("theirs")
    (tmp_path / "from" / "f").write_text("text")
    (tmp_path / "to" / "f").symlink_to(tmp_path / "else")
    copy()
    assert (tmp_path / "else").read_text() == "theirs"
    assert (tmp_path / "to" / "f").read_text() == "text"
    os.unlink(tmp_path / "to" / "f")
    (tmp_path / "to" / "f").mkdir()
    with pytest.raises(InTheWay, match="a directory is in its way"):
        copy()
    assert os.listdir(tmp_path / "to") == ["f"]


def test_folders_within_folders_without_end_are_refused(copy, tmp_path):
    here = os.open(tmp_path / "from", os.O_RDONLY)
    for _ in range(MAX_DEPTH + 5):
        os.mkdir("d", dir_fd=here)
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)  # as the command line does
    try:
        with pytest.raises(TooDeep):
            copy()
    finally:
        sys.setrecursionlimit(before)


def test_folders_that_become_links_meanwhile_lead_nowhere_else(copy, tmp_path):
    secret = tmp_path / "else"
    secret.mkdir()
    (secret / "secret").write_text("secret")
    swapped = tmp_path / "from" / "d"
    over = threading.Event()

    def swap() -> None:
        while not over.is_set():
            swapped.mkdir()
            swapped.rmdir()
            swapped.symlink_to(secret)
            swapped.unlink()

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(100):
            try:
                copy()
            except (InTheWay, FileNotFoundError):
                pass
            there = tmp_path / "to" / "d"
            if there.is_symlink():
                there.unlink()
            elif there.exists():
                assert os.listdir(there) == []
                there.rmdir()
    finally:
        over.set()
        thread.join()
    assert os.listdir(secret) == ["secret"]

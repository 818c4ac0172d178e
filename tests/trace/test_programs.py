"""The program that the kernel reads to execute another, found in files that a step may have made up."""

import os
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from envbuild.trace.programs import interpreter_of


@pytest.fixture
def root(tmp_path):
    opened = os.open(tmp_path, os.O_PATH)
    yield opened
    os.close(opened)


def elf(interpreter: bytes, **header: int) -> bytes:
    words = {"place": 64, "size": 56, "count": 1, "offset": 120, "length": len(interpreter)} | header
    head = bytearray(b"\x7fELF\x02\x01".ljust(64, b"\0"))
    struct.pack_into("<Q", head, 32, words["place"])
    struct.pack_into("<HH", head, 54, words["size"], words["count"])
    return bytes(head) + struct.pack("<IIQQQQQQ", 3, 4, words["offset"], 0, 0, words["length"], 0, 0) + interpreter


@pytest.mark.parametrize(
    ("content", "interpreter"),
    [
        (b"#!/bin/sh -e\n", b"/bin/sh"),
        (b"#! \t/bin/sh", b"/bin/sh"),
        (b"#!sh\n", b"sh"),
        (b"#!\n/bin/sh", b""),
        (b"#!", b""),
        (b"", b""),
        (b"\x7fELF", b""),
        (elf(b"/lib/ld.so\0"), b"/lib/ld.so"),
        (elf(b"/lib/ld.so\0", count=0), b""),
        (elf(b"/lib/ld.so\0", count=65535), b""),
        (elf(b"/lib/ld.so\0", size=57), b""),
        (elf(b"/lib/ld.so\0", place=(1 << 64) - 1), b""),
        (elf(b"/lib/ld.so\0", offset=(1 << 64) - 1), b""),
        (elf(b"/lib/ld.so\0", length=1 << 62), b"/lib/ld.so"),
    ],
)
def test_what_is_read_to_execute_a_file(root, tmp_path, content, interpreter):
    (tmp_path / "program").write_bytes(content)
    assert interpreter_of(root, b"/program", b"", {}) == interpreter


def test_a_file_is_read_again_only_if_it_is_another(root, tmp_path):
    known = {}
    (tmp_path / "program").write_text("#!/one\n")
    (tmp_path / "link").symlink_to("/program")
    assert interpreter_of(root, b"/link", b"", known) == b"/one"
    assert interpreter_of(root, b"/link", b"", known) == b""
    (tmp_path / "program").write_text("#!/other\n")
    assert interpreter_of(root, b"/link", b"", known) == b"/other"


def test_what_is_no_file_holds_nobody_up(root, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "out").symlink_to("../../../../etc/passwd")
    for path in (b"/fifo", b"/loop", b"/out", b"/", b"/none/x", b"/" + b"n" * 5000):
        assert interpreter_of(root, path, b"", {}) == b""


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(st.sampled_from([b"#!", b"\x7fELF\x02\x01", elf(b"/x\0")]), st.binary(max_size=200))
def test_any_content_has_at_most_a_path(root, tmp_path, head, rest):
    (tmp_path / "program").write_bytes(head + rest)
    assert len(interpreter_of(root, b"/program", b"", {})) < 4096

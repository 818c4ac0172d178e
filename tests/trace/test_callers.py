"""What a tracer reads of other processes: here of the test's own."""

import ctypes
import os
import subprocess
import sys

import pytest

from envbuild.trace.callers import Callers, Untraceable
from envbuild.trace.calls import AT_FDCWD, PathCall

AT = PathCall(1, 0)


@pytest.fixture
def callers():
    proc = os.open("/proc", os.O_PATH)
    callers = Callers(proc)
    yield callers
    callers.close()
    os.close(proc)


def test_paths_in_memory(callers):
    for path in (b"", b"/etc", b"x" * 191, b"x" * 192, b"x" * 4095):
        text = ctypes.create_string_buffer(path)
        assert callers.text(os.getpid(), ctypes.addressof(text)) == path
    too_long = ctypes.create_string_buffer(b"x" * 5000)
    assert callers.text(os.getpid(), ctypes.addressof(too_long)) == b""
    assert callers.text(os.getpid(), 0) == callers.text(os.getpid(), (1 << 64) - 8) == b""
    with pytest.raises(Untraceable):
        callers.text(os.getpid(), 1)


def test_a_path_that_was_changed_meanwhile_is_noticed(callers):
    text = ctypes.create_string_buffer(b"/etc/a")
    named = callers.text(os.getpid(), ctypes.addressof(text))
    callers.check(os.getpid(), ctypes.addressof(text), named)
    text[5] = b"b"
    with pytest.raises(Untraceable):
        callers.check(os.getpid(), ctypes.addressof(text), named)


def test_of_a_process_that_is_gone_nothing_is_kept(callers):
    text = ctypes.create_string_buffer(b"/etc/a")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        callers.read(process.pid, ctypes.addressof(text), 1) if os.geteuid() == 0 else None
        process.communicate(b"\n")
    assert callers.text(process.pid, ctypes.addressof(text)) == b""
    assert callers.memory == {}


def test_where_paths_begin(callers, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    here = os.fsencode(os.path.realpath(tmp_path))
    pid = os.getpid()
    assert callers.place(pid, AT, (AT_FDCWD, 0), b"a") == (here + b"/a", b"")
    assert callers.place(pid, AT, (AT_FDCWD, 0), b"") == (here, b"")
    assert callers.place(pid, AT, (AT_FDCWD, 0), b"/a") == (b"/a", b"")
    opened = os.open("/usr", os.O_PATH)
    reading, writing = os.pipe()
    try:
        assert callers.place(pid, AT, (opened, 0), b"a") == (b"/usr/a", b"")
        assert callers.place(pid, AT, (opened, 0), b"") == (b"", b"")
        assert callers.place(pid, AT, (reading, 0), b"a") == (b"", b"")
    finally:
        for descriptor in (opened, reading, writing):
            os.close(descriptor)
    assert callers.place(pid, AT, (writing + 1000, 0), b"a") == (b"", b"")

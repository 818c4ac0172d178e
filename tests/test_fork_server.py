"""The server that tests fork their commands from, and what its processes may be used for again."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from envbuild import digest
from tests.child import in_child
from tests.forked import ForkServer
from tests.reused import NOTED, Beginning, outlives_its_children

ENVBUILD = Path(__file__).parents[1] / "envbuild"


@pytest.mark.namespaces
def test_a_command_that_hangs_tells_where_each_of_its_threads_is(project):
    project.write("web.env", "from tar:busybox.tar", "run echo begun; sleep 1000")
    with pytest.raises(subprocess.TimeoutExpired) as caught:
        project.command("build", "web.env", timeout=3)
    (note,) = caught.value.__notes__
    assert note.count("(most recent call first)") >= 2
    assert "in _run_stage" in note
    assert "in _wait_for_all" in note


def ended_early() -> int:
    """Ends its process by a signal."""
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def test_a_process_that_ended_is_no_longer_asked(tmp_path):
    server = ForkServer()
    entry = f"{ended_early.__module__}:{ended_early.__name__}"
    try:
        for entries, code in ((None, 0), (entry, -signal.SIGKILL), (None, 0)):
            words = ["--version"]
            done = server.run(words, tmp_path, os.environ, **({"entry": entries} if entries else {}))
            assert (done.returncode, bool(done.stdout)) == (code, code == 0)
    finally:
        server.close()


def open_a_file() -> None:
    os.open("/", os.O_RDONLY)


def start_a_thread() -> None:
    threading.Thread(target=threading.Event().wait, daemon=True).start()


def lower_a_limit() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def ignore_a_signal() -> None:
    # As a child of a C library would: Python doesn't know of it, and can't put it back.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])


def rename() -> None:
    Path("/proc/self/comm").write_text("other")


@pytest.mark.parametrize("change", [open_a_file, start_a_thread, lower_a_limit, ignore_a_signal, rename])
def test_a_process_that_is_another_by_then_runs_no_further_command(change: Callable[[], None]):
    def look() -> None:
        beginning = Beginning()
        assert beginning.is_back()
        change()
        assert not beginning.is_back()

    in_child(look)


def test_what_python_has_of_a_command_is_put_back():
    def look() -> None:
        before = list(sys.path), signal.getsignal(signal.SIGTERM)
        beginning = Beginning()
        sys.path.append("/elsewhere")
        signal.signal(signal.SIGTERM, lambda *_: None)
        signal.setitimer(signal.ITIMER_REAL, 1000)
        digest._hashed += 1
        tempfile.tempdir = "/elsewhere"
        assert beginning.is_back()
        assert (list(sys.path), signal.getsignal(signal.SIGTERM)) == before
        assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
        assert (digest._hashed, tempfile.tempdir) != (1, "/elsewhere")

    hashed = digest._hashed
    digest._hashed = 0
    in_child(look)
    digest._hashed = hashed


def test_a_process_waits_for_its_children_only_a_moment():
    def look() -> None:
        subprocess.Popen(["true"])
        assert outlives_its_children()
        lasting = subprocess.Popen(["sleep", "1000"])
        assert not outlives_its_children()
        lasting.kill()

    in_child(look)


def test_all_that_envbuild_notes_of_its_process_is_known():
    noted = {
        (".".join(("envbuild", *path.relative_to(ENVBUILD).with_suffix("").parts)), name)
        for path in ENVBUILD.rglob("*.py")
        for name in re.findall(r"^ +global (\w+)", path.read_text(), re.MULTILINE)
    }
    assert noted == {(module, name) for module, name in NOTED if module.startswith("envbuild")} - {
        ("envbuild.store.supplier", "supplier")  # set from outside
    }

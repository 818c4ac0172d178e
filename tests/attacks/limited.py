"""A command of envbuild, or a part of a test, within real limits of the system: of memory and of time."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable

from tests.child import in_child
from tests.conftest import Project


def limited(
    project: Project, *words: str, memory: int = 1 << 30, seconds: int = 60
) -> subprocess.CompletedProcess[str]:
    """Runs a command that may have so many bytes of addresses, and so many seconds of the processor."""
    done = subprocess.run(
        ["prlimit", f"--as={memory}", f"--cpu={seconds}", sys.executable, "-m", "envbuild", *words],
        cwd=project.folder,
        env=project.environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode >= 0, f"ended by signal {-done.returncode}: {done.stderr}"
    return done


def within(body: Callable[[], None], *, memory: int, seconds: int) -> None:
    """Calls this in a fork of this process that may have so many bytes of addresses more than this one, and so many
    seconds of the processor."""

    def inside() -> None:
        with open("/proc/self/statm") as file:
            size = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (size + memory, size + memory))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        body()

    in_child(inside)

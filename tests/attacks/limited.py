"""A command of envbuild within real limits of the system: of memory and of time."""

from __future__ import annotations

import subprocess

from tests.conftest import Project

_SCRIPT = """
import os, resource, sys
memory, seconds = int(sys.argv[1]), int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
os.execv(sys.executable, [sys.executable, "-m", "envbuild", *sys.argv[3:]])
"""


def limited(
    project: Project, *words: str, memory: int = 1 << 30, seconds: int = 60
) -> subprocess.CompletedProcess[str]:
    """Runs a command that may have so many bytes of addresses, and so many seconds of the processor."""
    done = project.python(_SCRIPT, str(memory), str(seconds), *words)
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode >= 0, f"ended by signal {-done.returncode}: {done.stderr}"
    return done

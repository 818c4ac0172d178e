"""A command of envbuild within real limits of the system: of memory and of time."""

from __future__ import annotations

import subprocess
import sys

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

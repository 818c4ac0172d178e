"""Runs a command of envbuild and tells the peak memory of its processes.

`python -m tests.peak_memory WORD...` is a process of its own, as a child's peak begins with that of the process which
starts it, and pytest's is large.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.conftest import Project


def peak_memory(project: Project, *words: str) -> tuple[int, bytes]:
    """Runs a command, which has to succeed: the kilobytes of its largest process, and all that it printed."""
    printed = project.folder.parent / "printed"
    done = subprocess.run(
        [sys.executable, "-m", "tests.peak_memory", str(printed), str(project.folder), *words],
        cwd=Path(__file__).parents[1],
        env=project.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    kilobytes, code = json.loads(done.stdout)
    assert code == 0, printed.read_bytes()[-1000:]
    return kilobytes, printed.read_bytes()


def main() -> None:
    printed, folder, *words = sys.argv[1:]
    with open(printed, "wb") as file:
        command = [sys.executable, "-m", "envbuild", *words]
        done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=file, stderr=file, check=False)
    print(json.dumps([resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, done.returncode]))


if __name__ == "__main__":
    main()

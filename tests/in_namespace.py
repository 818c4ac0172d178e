"""Work on files of several owners, as root of the user namespace that envbuild works in.

`run_inside` is for a test, or a part of it, that has to be there itself. `python -m tests.in_namespace` does one of

own FOLDER      gives the user all that is in it, and the right to enter and remove it
run WORDS...    runs a program
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from envbuild.sandbox.user_namespace import enter_user_namespace
from tests.child import in_child


def own(folder: Path) -> None:
    """Gives all in a folder to the user, who could not remove some of it otherwise."""
    if os.geteuid() != 0:
        _call("own", str(folder))


def copy(source: Path, target: Path) -> None:
    """Copies a folder with owners, times and hard links."""
    words = ["cp", "-a", "--reflink=auto", str(source), str(target)]
    if os.geteuid() == 0:
        subprocess.run(words, check=True)
    else:
        output_of(*words)


def run_inside(body: Callable[[], None]) -> None:
    """Calls this in a child process that has entered the namespace, and fails as it fails."""

    def inside() -> None:
        enter_user_namespace()
        body()

    in_child(inside)


def output_of(*words: str) -> str:
    """Returns what a program prints that runs in the namespace, and succeeds there."""
    done = _call("run", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


def _call(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "tests.in_namespace", *words],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        check=False,
    )


def _own(path: str) -> None:
    os.chown(path, 0, 0, follow_symlinks=False)
    os.chmod(path, 0o700)
    with os.scandir(path) as items:
        folders = [item.path for item in items if item.is_dir(follow_symlinks=False)]
    for folder in folders:
        _own(folder)


if __name__ == "__main__":
    enter_user_namespace()
    if sys.argv[1] == "own":
        sys.setrecursionlimit(9999)
        _own(sys.argv[2])
    else:
        os.execvp(sys.argv[2], sys.argv[2:])

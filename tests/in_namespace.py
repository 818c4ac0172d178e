"""Work on files of several owners, as root of the user namespace that envbuild works in.

`run_inside` is for a test, or a part of it, that has to be there itself. `python -m tests.in_namespace` does one of

own FOLDER      gives the user all that is in it, and the right to enter and remove it
run WORDS...    runs a program
"""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from envbuild.sandbox.user_namespace import enter_user_namespace


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
        done = _call("run", *words)
        assert done.returncode == 0, done.stderr


def run_inside(body: Callable[[], None]) -> None:
    """Calls this in a child process that has entered the namespace, and fails as it fails."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(reading)
            enter_user_namespace()
            body()
            code = 0
        except BaseException:
            os.write(writing, traceback.format_exc().encode()[-60_000:])  # less than a pipe takes
        finally:
            os._exit(code)
    os.close(writing)
    with open(reading, errors="replace") as file:
        problem = file.read()
    _, status = os.waitpid(pid, 0)
    if status:
        pytest.fail(problem or f"ended with {os.waitstatus_to_exitcode(status)}", pytrace=False)


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

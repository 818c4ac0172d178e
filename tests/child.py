"""Parts of a test that have to run in a process of their own: under a limit, as another user, in a namespace."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable

import pytest


def in_child(body: Callable[[], None]) -> None:
    """Calls this in a fork of this process, which knows what this one knows, and fails as it fails."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(reading)
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


def become(uid: int, gid: int) -> None:
    """Makes this process, a child of root's, one of this user, in no other group."""
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)

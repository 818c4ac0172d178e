"""Starts the supervisor of an instance as a process that outlives the terminal and whoever started it."""

from __future__ import annotations

import os
import traceback

from envbuild.errors import WorkFailed
from envbuild.runtime.supervisor import supervise
from envbuild.sandbox import syscalls
from envbuild.store.instances import Instance


def start_in_background(instance: Instance, store_path: str) -> None:
    """Returns when the instance's command was started. Raises WorkFailed with the reason if it was not.

    The process must have one thread and be in no namespace of its own yet.
    """
    reading, writing = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        # Twice: the one between is gone at once, and the supervisor is nobody's child and leads no session that a
        # terminal could end.
        os.setsid()
        if os.fork() == 0:
            _become(instance, store_path, reading, writing)
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with open(reading, encoding="utf-8", errors="replace") as file:
        said = file.read()
    if said != "started":
        reason, _, hint = (said or "the supervisor ended at once").partition("\n")
        raise WorkFailed(f"{instance.name}: {reason}", hint or f"see {instance.path}/supervisor")


def _become(instance: Instance, store_path: str, reading: int, writing: int) -> None:
    status = 1
    try:
        os.close(reading)
        os.chdir("/")
        # Nothing of whoever started it stays open, but for the pipe that is waited on.
        os.dup2(writing, 3, inheritable=False)
        writing = 3
        syscalls.close_range(4, on_exec=False)
        nothing = os.open(os.devnull, os.O_RDWR)
        errors = os.open(f"{instance.path}/supervisor", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for target, source in ((0, nothing), (1, errors), (2, errors)):
            os.dup2(source, target)

        def ready(text: str) -> None:
            os.write(writing, (text or "started").encode())
            os.close(writing)

        supervise(instance, store_path, ready)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)

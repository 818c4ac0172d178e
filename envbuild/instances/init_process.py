"""Process 1 of an instance, by its pid on the host: pinned before anything is done with it.

A number may be another process's by now. A pidfd (pidfd_open(2)) and an open folder of /proc stay with the process
that they were opened for; and whether that is the one that was meant is told by the time when it was started.
"""

from __future__ import annotations

import os

from envbuild.instances.records import State
from envbuild.linux import signals as signal


def start_time(pid: int, folder: int | None = None) -> int:
    """Return when a process was started, in ticks since the machine was (proc(5), /proc/PID/stat); 0 if it is gone.

    `folder` is its own in /proc, where that is open.
    """
    try:
        opened = os.open(
            "stat" if folder is not None else f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder
        )
    except OSError:
        return 0
    try:
        text = os.read(opened, 4096)
    except OSError:
        return 0
    finally:
        os.close(opened)
    # The name before it may hold anything, brackets too.
    return int(text[text.rindex(b")") + 2 :].split()[19])


def kill_first(state: State) -> bool:
    """Kill process 1 of an instance, and with it all that runs there (pid_namespaces(7)); False if it is gone."""
    if not state.pid:
        return False
    try:
        held = os.pidfd_open(state.pid)
    except ProcessLookupError:
        return False
    try:
        if start_time(state.pid) != state.begun:
            return False  # another process has its number
        signal.pidfd_send_signal(held, signal.SIGKILL)
    except ProcessLookupError:
        return False
    finally:
        os.close(held)
    return True

"""Whether a process is as it was before it ran a command of envbuild, so that it can run the next one.

    beginning = Beginning()
    ...
    if not (beginning.is_back() and outlives_its_children()):
        os._exit(code)

What a command may change for its own process is compared or put back: namespaces, ids, rights, limits, control group,
descriptors, threads, children, signals, and what modules note of the process that they are in. Folder, variables, words
and standard streams are each command's own anyway.
"""

from __future__ import annotations

import faulthandler
import gc
import os
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Any

TRACE = signal.SIGRTMAX - 1
"""Has a command print where each of its threads is: for one that hangs."""
NOTED = (
    ("envbuild.digest", "_hashed"),
    ("envbuild.linux.boot", "_boot_id"),
    ("envbuild.linux.own_id", "_before"),
    ("envbuild.module_pack", "_finder"),
    ("envbuild.sandbox.stdio", "_pipes"),
    ("envbuild.sandbox.user_namespace", "_entered"),
    ("envbuild.store.supplier", "supplier"),
    ("tempfile", "tempdir"),
)
"""The global variables that functions of envbuild set, and those of Python's library that hang on the environment."""
NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid_for_children", "time_for_children", "user", "uts")
FIELDS = ("Name", "Uid", "Gid", "Groups", "Threads", "NoNewPrivs", "Seccomp", "CapPrm", "CapEff", "CapBnd", "CapAmb")
SIGNALS = ("SigBlk", "SigIgn", "SigCgt")
"""Of /proc/self/status."""
OF_C = 3 << 31
"""The two signals that the C library has for itself (signal(7)). It asks for them when it first has use for them."""
PATIENCE = 10
"""How often a process looks for its children to be gone, each time after twice as many milliseconds."""
GROWN = 32 << 10
"""Kilobytes by which a process may grow: its forks, too, would cost more."""
LIMITS = [getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")]


class Beginning:
    """What a process was when this was made."""

    def __init__(self) -> None:
        self._path = list(sys.path)
        self._finders = list(sys.meta_path)
        self._handlers = {number: signal.getsignal(number) for number in signal.valid_signals() - {TRACE}}
        self._noted = [(module, name, getattr(module, name)) for module, name in _noted()]
        show_on_trace()
        self._outside, self._size = _outside()

    def is_back(self) -> bool:
        """Puts back what can be, and tells whether all is as it was."""
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except OSError:
            return False  # the next command would write it
        sys.path[:], sys.meta_path[:] = self._path, self._finders
        for number, handler in self._handlers.items():
            if signal.getsignal(number) is not handler and handler is not None:  # not set by Python
                signal.signal(number, handler)
        show_on_trace()
        signal.setitimer(signal.ITIMER_REAL, 0)
        for module, name, value in self._noted:
            setattr(module, name, value)
        outside, size = _outside()
        if outside != self._outside:
            gc.collect()  # what nothing leads to may hold descriptors
            outside, size = _outside()
        return outside == self._outside and size < self._size + GROWN


def show_on_trace() -> None:
    """Has this process print where each of its threads is when it gets TRACE."""
    faulthandler.unregister(TRACE)
    faulthandler.register(TRACE)


def _noted() -> list[tuple[Any, str]]:
    return [(sys.modules[module], name) for module, name in NOTED if module in sys.modules]


def _outside() -> tuple[list[object], int]:
    """Returns what the kernel has of this process, and its size in kilobytes."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return [
        *(status[name] for name in FIELDS),
        *(int(status[name], 16) & ~OF_C for name in SIGNALS),
        sorted(os.listdir("/proc/self/fd")),
        [os.readlink(f"/proc/self/ns/{name}") for name in NAMESPACES if os.path.lexists(f"/proc/self/ns/{name}")],
        os.readlink("/proc/self/root"),
        Path("/proc/self/cgroup").read_text(),
        [resource.getrlimit(limit) for limit in LIMITS],
        os.getpriority(os.PRIO_PROCESS, 0),
    ], int(status["RssAnon"].split()[0])


def outlives_its_children() -> bool:
    """Waits a moment until no child is left: a build doesn't wait for a process that it told to end."""
    for pause in range(PATIENCE):
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return True
        time.sleep(2**pause / 1000)
    return False

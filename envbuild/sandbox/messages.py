"""What the main process, the helper and a sandbox's process 1 say to each other: the words, and what they mean.

They stand apart from those who act on them: the main process loads only what it needs itself.
"""

from __future__ import annotations

import struct

ORDER = struct.Struct("=cIid")
"""An order to the helper: what, number of the run, an argument (flags, or a signal), time limit in seconds (0 for
none)."""
START, SERVE_STEPS, KILL, KILL_ALL = b"s", b"t", b"k", b"a"
HOST_NETWORK, TELL = 1, 2
"""Flags of START: the network of the caller; say which process it is before anything is run in it."""

PROCESS = "process"
"""The helper's answer to TELL."""
NAMESPACE = "namespace"
"""What the helper says first where ids are shifted: a user namespace with the sandboxes' ids, or why there is none."""
STARTED = "started"
"""A step server's, when the process 1 of a step was started: the mount points that had to be made, and the number of
the order that changes into the working directory (child_orders.py), with the socket on which that process says how the
command ended."""
RUNNING = "running"
"""Process 1's, when the command of a request with `serve` was executed."""

ENTER, SIGNAL, SOCKETS = "enter", "signal", "sockets"
PAUSE, CONNECTED, ROOT = "pause", "connected", "root"
"""What process 1 is asked for beside the command (session.py)."""
ENTERED, REFUSED, TERMINAL = "entered ended", "entered refused", "entered terminal"
SOCKET, PAUSED, NETWORK, THE_ROOT = "a socket", "paused", "a network", "the root"
"""Its answers (beside.py)."""

TEXTS = "texts"
"""In a shape: any number of texts."""
Shape = tuple["type | str", ...]

MOST_SOCKETS = 8
"""So many come with one answer."""
ANSWERS: dict[str, tuple[Shape, int]] = {
    PROCESS: ((int,), 0),
    RUNNING: ((), 0),
    "terminal": ((), 1),
    "ended": ((int, int, TEXTS), 0),
    "failed": ((str, str), 0),
    "bug": ((str, str), 0),
    "timed out": ((), 0),
    ENTERED: ((int, int, int), 0),
    REFUSED: ((int, str, str), 0),
    TERMINAL: ((int,), 1),
    SOCKET: ((int, str, int), MOST_SOCKETS),
    PAUSED: ((), 0),
    NETWORK: ((), 3),
    THE_ROOT: ((int,), 1),
}
"""All that may come from a sandbox: the shape of what it says, and how many descriptors come with it; fewer arrive
where this process has no room for more. Who reads an answer relies on it, as process 1 may have been taken over by what
runs in its sandbox."""


def fits(payload: tuple[object, ...], shape: Shape) -> bool:
    """Whether a message says what it should, by the types of its parts."""
    if len(payload) != len(shape):
        return False
    for value, kind in zip(payload, shape, strict=True):
        if isinstance(kind, str):
            if not isinstance(value, tuple) or not all(isinstance(one, str) for one in value):
                return False
        elif not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            return False
    return True

"""What the main process, the helper and a sandbox's process 1 say to each other: the words, and what they mean.

They stand apart from those who act on them: the main process loads only what it needs itself.
"""

from __future__ import annotations

import struct

ORDER = struct.Struct("=cIid")
"""An order to the helper: what, number of the run, an argument (flags, or a signal), time limit in seconds (0 for
none)."""
START, KILL, KILL_ALL = b"s", b"k", b"a"
HOST_NETWORK, TELL = 1, 2
"""Flags of START: the network of the caller; say which process it is before anything is run in it."""

PROCESS = "process"
"""The helper's answer to TELL."""
NAMESPACE = "namespace"
"""What the helper says first where ids are shifted: a user namespace with the sandboxes' ids, or why there is none."""
RUNNING = "running"
"""Process 1's, when the command of a request with `serve` was executed."""

ENTER, SIGNAL, SOCKETS = "enter", "signal", "sockets"
PAUSE, CONNECTED, ROOT = "pause", "connected", "root"
"""What process 1 is asked for beside the command (session.py)."""
ENTERED, REFUSED, TERMINAL = "entered ended", "entered refused", "entered terminal"
SOCKET, PAUSED, NETWORK, THE_ROOT = "a socket", "paused", "a network", "the root"
"""Its answers (beside.py)."""

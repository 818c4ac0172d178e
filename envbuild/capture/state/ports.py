"""The ports that are listened on, and by which program (proc_pid_net(5), proc_pid_fd(5))."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from ipaddress import ip_address

from envbuild.capture.machine_root import MachineRoot

SECONDS = 3.0
"""After this time no more processes are asked what they have open."""
_LISTENS = {"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"}
"""The state of a socket that waits for whoever comes (include/net/tcp_states.h of Linux)."""
_SOCKET = re.compile(r"socket:\[(\d+)\]")
_MAX_BYTES = 64 << 20


def listening(root: MachineRoot) -> Iterator[tuple[str, ...]]:
    """Yield protocol, address, port and program of each; of others' programs an ordinary user may not know the name."""
    sockets: dict[str, tuple[str, str, str]] = {}
    for protocol, state in _LISTENS.items():
        for line in (root.read_text(f"/proc/net/{protocol}", _MAX_BYTES) or "").split("\n")[1:]:
            words = line.split()
            if len(words) > 9 and words[3] == state:
                address, port = _address(words[1])
                sockets[words[9]] = (protocol, address, port)
    programs = _programs(set(sockets)) if sockets else {}
    for inode, row in sockets.items():
        yield (*row, programs.get(inode, ""))


def _programs(wanted: set[str]) -> dict[str, str]:
    """Return the path of the program that has each socket open; of several the one that comes first by its name."""
    end = time.monotonic() + SECONDS
    programs: dict[str, str] = {}
    for process in os.listdir("/proc"):
        if not process.isdigit():
            continue
        if time.monotonic() > end:
            break
        try:
            inodes = wanted.intersection(_open_sockets(f"/proc/{process}/fd"))
            program = os.readlink(f"/proc/{process}/exe").removesuffix(" (deleted)") if inodes else ""
        except OSError:
            continue  # it ended, or is somebody else's
        for inode in inodes:
            programs[inode] = min(program, programs.get(inode, program))
    return programs


def _open_sockets(folder: str) -> Iterator[str]:
    for descriptor in os.listdir(folder):
        try:
            match = _SOCKET.fullmatch(os.readlink(f"{folder}/{descriptor}"))
        except OSError:
            continue  # it was closed
        if match:
            yield match[1]


def _address(text: str) -> tuple[str, str]:
    """Return the address and port of a text such as 0100007F:0016, whose 32 bit words are in the machine's order."""
    digits, _, port = text.partition(":")
    packed = b"".join(bytes.fromhex(digits[at : at + 8])[::-1] for at in range(0, len(digits), 8))
    return str(ip_address(packed)), str(int(port, 16))

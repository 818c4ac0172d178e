"""The members of a named network: a file for each in `networks/NAME/`, locked as long as the member lives.

So nothing has to be running to know it, and what a crash leaves is seen to be left over by whoever looks next. The
file `hosts` there is shown as /etc/hosts in all members.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from envbuild.errors import WorkFailed, fields
from envbuild.record import Record

LOCK = ".lock"
"""In `networks/`: who changes any network of the store holds it."""
HOSTS = "hosts"
_LOCAL = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"


class Entry(Record):
    """A member: the process that looks after it, its network's number (10.89.SUBNET.0/24), its own number there (0
    while it has none yet), its names, the ids of its user namespace, and when the process was started
    (init_process.py)."""

    pid: int
    subnet: int
    number: int = 0
    names: tuple[str, ...] = ()
    ids: tuple[str, int, str] = ("root", 0, "")
    begun: int = 0

    @property
    def address(self) -> str:
        """Its own."""
        return f"10.89.{self.subnet}.{self.number}"


@fields
class MemberDamaged(WorkFailed):
    """The record of a living member can't be read, for example because the disk was full when it was written."""

    path: str

    def text(self) -> tuple[str, str]:
        return (
            f"{self.path}, the record of a member of this network, is damaged",
            "end the instances of that network: envbuild ps",
        )


@contextmanager
def changing(folder: str) -> Iterator[None]:
    """Meanwhile nobody else changes the networks of a store; `folder` is theirs, and made if it is missing."""
    os.makedirs(folder, mode=0o700, exist_ok=True)
    descriptor = os.open(f"{folder}/{LOCK}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def add(network: str, entry: Entry) -> tuple[str, int]:
    """Put a new member down: the path of its file, and the descriptor that holds it as long as it is open."""
    os.makedirs(network, mode=0o700, exist_ok=True)
    path = f"{network}/{os.urandom(6).hex()}"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    put(descriptor, entry)
    return path, descriptor


def put(descriptor: int, entry: Entry) -> None:
    """Put down what has changed of a member."""
    _overwrite(descriptor, json.dumps({name: getattr(entry, name) for name in entry.__match_args__}))


def living(network: str) -> list[Entry]:
    """Return the members that live. What others left is taken away, with the whole network if there is nobody."""
    members = []
    names = os.listdir(network) if os.path.isdir(network) else []
    for name in names:
        if name != HOSTS:
            entry = _read(f"{network}/{name}")
            if entry is not None:
                members.append(entry)
    if names and not members:
        shutil.rmtree(network)
    return members


def tell_names(network: str) -> str:
    """Have all members know the names of all that live: the path of the file that says so."""
    path = f"{network}/{HOSTS}"
    lines = [f"{member.address}\t{' '.join(member.names)}\n" for member in living(network) if member.number]
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.fchmod(descriptor, 0o644)
        _overwrite(descriptor, _LOCAL + "".join(sorted(lines)))
    finally:
        os.close(descriptor)
    return path


def tidy(folder: str) -> None:
    """Forget members that are gone without having said so, of all networks below `folder`."""
    if not os.path.isdir(folder):
        return
    with changing(folder):
        for name in os.listdir(folder):
            network = f"{folder}/{name}"
            try:
                if name != LOCK and living(network):
                    tell_names(network)
            except MemberDamaged:
                continue  # told to who joins that network


def subnets(folder: str) -> set[int]:
    """Return the numbers that the networks of a store have."""
    numbers = set()
    for name in os.listdir(folder):
        try:
            numbers |= {member.subnet for member in living(f"{folder}/{name}")} if name != LOCK else set()
        except MemberDamaged:
            continue  # two networks with one number do not meet: each has a namespace of its own
    return numbers


def _read(path: str) -> Entry | None:
    """Return a member, None and its file gone if it does not live."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return _parse(os.pread(descriptor, 1 << 16, 0), path)
        os.unlink(path)
        return None
    finally:
        os.close(descriptor)


def _parse(content: bytes, path: str) -> Entry:
    try:
        plain = json.loads(content)
        plain["names"], plain["ids"] = tuple(plain["names"]), tuple(plain["ids"])
        return Entry(**{name: plain[name] for name in Entry.__match_args__ if name in plain})
    except (ValueError, TypeError, KeyError) as error:
        # As on a disk that was full when it was written.
        raise MemberDamaged(path) from error


def _overwrite(descriptor: int, text: str) -> None:
    """Change a file in place and at once: who has it mounted keeps seeing it, and never a half of it."""
    content = text.encode()
    padded = content.ljust(os.fstat(descriptor).st_size, b"\n")
    os.pwrite(descriptor, padded, 0)
    os.ftruncate(descriptor, len(content))

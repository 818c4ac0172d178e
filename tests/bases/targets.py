"""Where the tests let bases write: into memory, to compare; into a directory, to go in and try."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

from envbuild.tree.entry import DIRECTORY, FIFO, FILE, LINK, Entry
from envbuild.tree.target import PreparedBase


def content_of(source: bytes | int | None) -> bytes:
    if not isinstance(source, int):
        return source or b""
    with open(source, "rb", closefd=False) as file:
        return file.read()


class Memory:
    """A tree in memory: entries with digest and size, and the files' bytes."""

    def __init__(self) -> None:
        self.entries: dict[bytes, Entry] = {}
        self.contents: dict[bytes, bytes] = {}
        self.links: list[tuple[bytes, bytes]] = []

    def add(self, path: bytes, entry: Entry, source: bytes | int | None = None) -> None:
        if entry.kind == FILE:
            data = content_of(source)
            entry = entry._replace(digest=sha256(data).hexdigest(), size=len(data))
            self.contents[path] = data
        self.entries[path] = entry._replace(name=b"")

    def get(self, path: bytes) -> Entry | None:
        return self.entries.get(path)

    def link(self, path: bytes, other: bytes) -> None:
        self.entries[path] = self.entries[other]
        self.contents[path] = self.contents[other]
        self.links.append((path, other))

    def text(self, path: str) -> str:
        return self.contents[os.fsencode(path)].decode()

    def __contains__(self, path: str) -> bool:
        return os.fsencode(path) in self.entries


def in_memory(base: PreparedBase) -> Memory:
    memory = Memory()
    base.write(memory)
    base.close()
    return memory


class Folder:
    """A tree in a directory, with owners and modes if the process is allowed to set them."""

    def __init__(self, root: Path) -> None:
        self.root = os.fsencode(root)
        self.added: dict[bytes, Entry] = {}

    def add(self, path: bytes, entry: Entry, source: bytes | int | None = None) -> None:
        self.added[path] = entry
        place = os.path.join(self.root, path) if path else self.root
        os.makedirs(os.path.dirname(place), exist_ok=True)
        if entry.kind == DIRECTORY:
            os.makedirs(place, exist_ok=True)
        elif entry.kind == FILE:
            with open(place, "wb") as file:
                file.write(content_of(source))
        elif entry.kind == LINK:
            os.symlink(entry.target, place)
        elif entry.kind == FIFO:
            os.mkfifo(place)
        else:
            raise AssertionError(f"a device in {path!r}")
        if os.geteuid() == 0:
            os.lchown(place, entry.uid, entry.gid)
        if entry.kind != LINK:
            os.chmod(place, entry.mode)
        os.utime(place, ns=(entry.mtime, entry.mtime), follow_symlinks=False)

    def get(self, path: bytes) -> Entry | None:
        return self.added.get(path)

    def link(self, path: bytes, other: bytes) -> None:
        os.link(os.path.join(self.root, other), os.path.join(self.root, path))

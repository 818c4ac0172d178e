"""The `.git` of a commit that `fetch(keep-git)` keeps: a repository with this commit, without what came before it.

What is in it follows from the commit alone, so that it is the same wherever and whenever it is made: its objects in one
pack, a HEAD that is the commit, an index of its files that has nothing of any file system, and settings that are always
the same. It has no branches, tags, remotes, hooks or logs: what a server calls a commit may change any day.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Callable, Iterator

from envbuild.git.blobs import Blobs
from envbuild.git.pack_writer import PackWriter
from envbuild.git.tracked_files import LINK, SUBMODULE, TrackedFile

DIRECTORY_MODE = 0o040000
MAX_COMMIT = 16 << 20
"""Bytes of a commit without its files."""

_SETTINGS = "[core]\n\trepositoryformatversion = {version}\n\tfilemode = true\n\tbare = false\n"
_SHA256 = "[extensions]\n\tobjectformat = sha256\n"
DIRECTORIES = ("objects", "objects/pack", "refs", "refs/heads", "refs/tags")

Write = Callable[[int], int]
"""Writes a content to a descriptor, and returns its size."""


def files_of_repository(
    commit: str, files: list[TrackedFile], blobs: Blobs, limit: Callable[[], int]
) -> Iterator[tuple[str, Write]]:
    """Yield the files of the `.git`, by their paths in it, each with what writes it: before the next is asked for.
    `files` is what is in the commit, with directories, `blobs` reads a repository that has it, and
    `limit` says how many bytes are left.

    Raises BlobTooLarge, NoBlob and GitTooSlow.
    """
    algorithm = "sha256" if len(commit) == 64 else "sha1"
    root, parents = _above(blobs.read(commit, MAX_COMMIT, "commit"))
    yield "HEAD", _text(f"{commit}\n")
    settings = _SETTINGS.format(version=int(algorithm == "sha256"))
    yield "config", _text(settings + _SHA256 * (algorithm == "sha256"))
    if parents:
        yield "shallow", _text(f"{commit}\n")
    yield "index", _bytes(_index(files, algorithm))
    objects = {commit: "commit", root: "tree"}
    for file in files:
        if file.mode == DIRECTORY_MODE:
            objects.setdefault(file.oid, "tree")
    for file in files:
        if file.mode not in (DIRECTORY_MODE, SUBMODULE):
            objects.setdefault(file.oid, "blob")
    index = b""

    def write_pack(target: int) -> int:
        nonlocal index
        pack = PackWriter(target, len(objects), algorithm)
        for oid, kind in objects.items():
            with blobs.content(oid, limit() - pack.size, kind) as (size, read):
                pack.add(oid, kind, size, read)
        index = pack.finish()
        return pack.size

    yield f"objects/pack/pack-{commit}.pack", write_pack
    yield f"objects/pack/pack-{commit}.idx", _bytes(index)


def _above(commit: bytes) -> tuple[str, bool]:
    """Return the tree of a commit, and whether there are commits before it: as the commit itself has it, since git
    hides them in a repository that lacks them."""
    first, second = (commit + b"\n\n").split(b"\n", 2)[:2]
    return first.removeprefix(b"tree ").decode("ascii", "replace"), second.startswith(b"parent ")


def _text(text: str) -> Write:
    return _bytes(text.encode())


def _bytes(data: bytes) -> Write:
    def write(target: int) -> int:
        view = memoryview(data)
        while view:
            view = view[os.write(target, view) :]
        return len(data)

    return write


def _index(files: list[TrackedFile], algorithm: str) -> bytes:
    """Return an index (gitformat-index(5), version 2) of files that git has not looked at: it compares their contents
    when it is first asked."""
    rows = sorted((os.fsencode(file.path), file) for file in files if file.mode != DIRECTORY_MODE)
    parts = [b"DIRC" + struct.pack(">II", 2, len(rows))]
    for path, file in rows:
        mode = file.mode if file.mode in (LINK, SUBMODULE) else 0o100755 if file.mode & 0o100 else 0o100644
        entry = struct.pack(">10I", 0, 0, 0, 0, 0, 0, mode, 0, 0, 0) + bytes.fromhex(file.oid)
        entry += struct.pack(">H", min(len(path), 0xFFF)) + path
        parts.append(entry + bytes(8 - len(entry) % 8))
    data = b"".join(parts)
    return data + hashlib.new(algorithm, data, usedforsecurity=False).digest()

"""The files of a commit as an archive that is the same for everybody: what `fetch git+https://...` pins and keeps.

With (keep-git) it has a repository of that commit, too. git itself checks nothing out: no filter, conversion, hook or
attribute of the repository applies, and files of LFS are the pointers that the commit has. Modes are 644 and 755, the
time of all is the commit's.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial

from envbuild.archive.tar_writer import DIRECTORY, LINK, TarWriter
from envbuild.git.blobs import Blobs, BlobTooLarge
from envbuild.git.kept_directory import DIRECTORIES, DIRECTORY_MODE, files_of_repository
from envbuild.git.network_program import MAX_SECONDS, Allowed, TooMuchOfGit
from envbuild.git.program import output
from envbuild.git.remote import bring
from envbuild.git.submodules import MODULES, BadSubmodule, address_of, addresses_of
from envbuild.git.tracked_files import LINK as LINK_MODE
from envbuild.git.tracked_files import SUBMODULE, BadTree, TrackedFile, files_of_tree
from envbuild.language.git_address import GitAddress

MAX_SUBMODULES = 200
MAX_NESTED = 8
MAX_TARGET = 4095
MAX_PATH, MAX_DEPTH = 4000, 250
"""Of a path with those of the submodules that it lies in: what an archive may have."""

KEPT = b".git"

Look = Callable[[str, str], str]
"""Where an address leads that another one gives (the recipe where that is ""). Raises an error where it may not."""


def write_archive_of(address: GitAddress, commit: str, target: int, space: str, look: Look, allowed: Allowed) -> None:
    """Write the files of a commit to the descriptor `target`; `space` is a directory to work in.

    Raises NoSuchCommit, BadTree, BadSubmodule, TooMuchOfGit, GitTooMuch, GitTooSlow, what `look` does, and what keeps
    git from asking a server.
    """
    folder = f"{space}/0"
    bring(look(address.repository, ""), commit, folder, allowed)
    date = output(folder, "log", "-1", "--format=%ct", "--end-of-options", commit).strip()
    writer = TarWriter(target, int(date) if date.isdigit() and len(date) < 19 else 0)
    writer.comment(commit)
    _Commits(writer, address, space, look, allowed).write(folder, address.repository, commit, b"", 0)
    writer.finish()


class _Commits:
    def __init__(self, writer: TarWriter, address: GitAddress, space: str, look: Look, allowed: Allowed) -> None:
        self._writer = writer
        self._submodules = address.submodules
        self._keep_git = address.keep_git
        self._space = space
        self._look = look
        self._allowed = allowed
        self._count = 0

    def write(self, folder: str, url: str, commit: str, above: bytes, depth: int) -> None:
        """Add the files of a commit below the path `above`."""
        files = _files(output(folder, "ls-tree", "-r", "-t", "-z", "--full-tree", "--end-of-options", commit))
        modules = next((file for file in files if file.path == MODULES and file.mode & 0o170000 == 0o100000), None)
        addresses = addresses_of(folder, modules, url) if self._submodules else {}
        with Blobs(folder, MAX_SECONDS) as blobs:
            for file in files:
                path = above + os.fsencode(file.path)
                if len(path) > MAX_PATH or path.count(b"/") > MAX_DEPTH:
                    raise BadTree(f"the path {file.path[:80]}... is too long or too deep")
                if file.mode == DIRECTORY_MODE:
                    self._writer.add(path, DIRECTORY, 0o755)
                elif file.mode == SUBMODULE:
                    self._writer.add(path, DIRECTORY, 0o755)
                    if self._submodules:
                        self._submodule(file, addresses, url, path, depth)
                elif file.mode == LINK_MODE:
                    self._writer.add(path, LINK, 0o777, _target(blobs, file))
                else:
                    mode = 0o755 if file.mode & 0o100 else 0o644
                    self._add(path, mode, partial(self._copy, blobs, file.oid), url)
            if self._keep_git:
                self._repository(blobs, commit, files, above + KEPT, url)

    def _repository(self, blobs: Blobs, commit: str, files: list[TrackedFile], path: bytes, url: str) -> None:
        for name in ("", *DIRECTORIES):
            self._writer.add(os.path.join(path, name.encode()).rstrip(b"/"), DIRECTORY, 0o755)
        for name, write in files_of_repository(commit, files, blobs, self._left):
            mode = 0o444 if name.startswith("objects/") else 0o644
            self._add(path + b"/" + name.encode(), mode, write, url)

    def _copy(self, blobs: Blobs, oid: str, target: int) -> int:
        return blobs.copy(oid, target, self._left())

    def _left(self) -> int:
        return self._allowed.size - self._writer.size

    def _add(self, path: bytes, mode: int, write: Callable[[int], int], url: str) -> None:
        try:
            self._writer.add_file(path, mode, write)
        except BlobTooLarge:
            raise TooMuchOfGit(url, self._allowed.size) from None

    def _submodule(self, file: TrackedFile, addresses: dict[str, str], url: str, path: bytes, depth: int) -> None:
        self._count += 1
        if depth >= MAX_NESTED or self._count > MAX_SUBMODULES:
            raise BadSubmodule(url, file.path, f"there are more than {MAX_SUBMODULES}, or {MAX_NESTED} in each other")
        address = address_of(file.path, addresses, url)
        folder = f"{self._space}/{self._count}"
        left = Allowed(self._left(), self._allowed.stopped)
        bring(self._look(address, url), file.oid, folder, left)
        self.write(folder, address, file.oid, path + b"/", depth + 1)


def _files(listing: bytes) -> list[TrackedFile]:
    """Return the files of a commit. Raises BadTree also for names that can't be in one directory."""
    files = list(files_of_tree(listing))
    kinds = {str(file.path): file.mode for file in files}
    if len(kinds) < len(files):
        raise BadTree("it has two files of one name")
    for path in kinds:
        if "/" in path and kinds.get(path.rpartition("/")[0]) != DIRECTORY_MODE:
            raise BadTree(f"'{path}' does not lie in a directory")
    return files


def _target(blobs: Blobs, file: TrackedFile) -> bytes:
    try:
        target = blobs.read(file.oid, MAX_TARGET)
    except BlobTooLarge:
        target = b""
    if not target or b"\0" in target:
        raise BadTree(f"the link '{file.path}' leads nowhere")
    return target

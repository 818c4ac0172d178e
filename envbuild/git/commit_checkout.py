"""The files of a commit, written into a directory of our own: as git keeps them, with no filter and no hook."""

from __future__ import annotations

import os

from envbuild.git.blobs import Blobs
from envbuild.git.repository import Repository
from envbuild.git.tracked_files import LINK, SUBMODULE
from envbuild.linux.nofollow import Folder

MAX_FILE = 8 << 30
"""Bytes of a file in a commit."""
_MAX_TARGET = 4096


def check_out_commit(repository: Repository, commit: str, folder: str) -> None:
    """Write the files of a commit into an empty directory; submodules are empty directories there.

    No link is followed, whatever names the commit has. Raises BadTree, BlobTooLarge, NoBlob, GitTooSlow and OSError.
    """
    with Folder(folder) as top, Blobs(repository.root) as blobs:
        for file in repository.tracked(commit):
            with top.below(file.path) as (at, name):
                if file.mode == SUBMODULE:
                    at.folder(name).__exit__()
                elif file.mode == LINK:
                    at.symlink(blobs.read(file.oid, _MAX_TARGET), name)
                else:
                    target = at.create(name)
                    try:
                        blobs.copy(file.oid, target, MAX_FILE)
                        os.fchmod(target, 0o755 if file.mode & 0o100 else 0o644)
                    finally:
                        os.close(target)

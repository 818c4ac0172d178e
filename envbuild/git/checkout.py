"""A revision's files, or those of the index, in a folder that is thrown away: nobody's working tree is touched."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from envbuild.git.repository import Repository


@contextmanager
def checked_out(repository: Repository, commit: str | None) -> Iterator[str]:
    """A folder with all files of a commit, or of the index if `commit` is None. Raises GitFailed."""
    with tempfile.TemporaryDirectory(prefix="envbuild-git-") as folder:
        files = os.path.join(folder, "files")
        os.mkdir(files)
        # A commit is read into an index of its own, so that the user's is not touched.
        index = None if commit is None else os.path.join(folder, "index")
        if commit is not None:
            repository.run_at_root("read-tree", commit, index=index)
        repository.run_at_root("checkout-index", "--all", f"--prefix={files}/", index=index)
        yield files

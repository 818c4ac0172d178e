"""A revision's files, or those of the index, in a folder that is thrown away: nobody's working tree is touched."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from envbuild.git.repository import GitFailed, Repository


@contextmanager
def checked_out(repository: Repository, commit: str | None) -> Iterator[str]:
    """A folder with all files of a commit, or of the index if `commit` is None."""
    with tempfile.TemporaryDirectory(prefix="envbuild-git-") as folder:
        if commit is None:
            repository.run_at_root("checkout-index", "--all", f"--prefix={folder}/")
        else:
            # An index of its own, so that the user's is not touched.
            environment = {**os.environb, b"GIT_INDEX_FILE": os.fsencode(f"{folder}.index")}
            try:
                for words in (["read-tree", commit], ["checkout-index", "--all", f"--prefix={folder}/"]):
                    done = subprocess.run(
                        ["git", "-C", repository.root, *words], env=environment, capture_output=True, check=False
                    )
                    if done.returncode:
                        raise GitFailed(tuple(words), done.stderr.decode("utf-8", "replace"))
            finally:
                if os.path.exists(f"{folder}.index"):
                    os.unlink(f"{folder}.index")
        yield folder

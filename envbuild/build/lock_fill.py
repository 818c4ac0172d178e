"""Fills in the results that a lock lacks, as after a merge, where this store has all of them. Nothing runs, and no pin
changes."""

from __future__ import annotations

from envbuild.build.build import cached_job
from envbuild.build.lock_check import check_pins, missing_results
from envbuild.build.lock_write import lock_of
from envbuild.build.request import BuildRequest
from envbuild.lockfile import lock_file
from envbuild.store.store import Store


def fill_in(path: str, store: Store) -> list[str]:
    """Write the results into the lock of the recipe at `path`, and into those of the recipes that it is built from;
    return the paths of the locks that were written. None is, if a step was not run here yet.

    Raises the errors of a build that can't begin, and LockOutOfDate where a pin would have to change.
    """
    job = cached_job(BuildRequest(path=path, locked=True), store)
    written: list[str] = []
    if not job.progress.complete:
        return written
    for recipe in job.graph.recipes:
        assert recipe.lock is not None
        lock = lock_of(job, recipe)
        check_pins(recipe.lock_path, recipe.lock, lock)
        # A lock with stale lines only stays as it is: an edited file would be in the way of the next pull.
        if missing_results(recipe.lock, lock):
            lock_file.write(recipe.lock_path, lock_file.dump(lock))
            written.append(recipe.lock_path)
    return written

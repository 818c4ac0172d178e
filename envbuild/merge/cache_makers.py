"""Runs the programs that make the caches of a merged tree, each in a sandbox of its own without a network."""

from __future__ import annotations

import time
from contextlib import ExitStack

from envbuild.build.helper_ahead import start_helper
from envbuild.build.sandbox_worker import Worker
from envbuild.merge.caches import Cache, cache_of
from envbuild.record import Record
from envbuild.sandbox.spec import OF_TREE, Request
from envbuild.store.layer_check import CLOCK_STEP
from envbuild.store.store import Store
from envbuild.tree.apply import Edit, edit
from envbuild.tree.diff import diff, expanded
from envbuild.tree.entry import FILE, Digest
from envbuild.tree.lookup import LinkCircle, has_tmp, lookup
from envbuild.tree.times import StepTimes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SECONDS = 60.0
"""The time after which the maker of a cache is ended."""
_ENVIRONMENT = (
    ("HOME", "/root"),
    ("LANG", "C.UTF-8"),
    ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
    ("TZ", "UTC"),
)


class RemadeCaches(Record):
    """A tree with its caches made anew. `made` are their names, and `left` those that stay as they were, with the
    reasons."""

    tree: Digest
    made: tuple[str, ...] = ()
    left: tuple[tuple[str, str], ...] = ()


def remake_caches(store: Store, tree: Digest, stale: Iterable[bytes], epoch: int) -> RemadeCaches:
    """Make the caches that these paths are of anew, of what is in the tree. Only paths of the cache itself are taken of
    what a program leaves. The tree is in the store, and this process has one thread. `epoch` in seconds.

    Raises MachineLacks kinds where the machine refuses sandboxes.
    """
    caches = list(dict.fromkeys(cache for path in sorted(stale) if (cache := cache_of(path)) is not None))
    commands = {cache.name: _command(store, tree, cache) for cache in caches}
    left = [(cache.name, "the tree has no program that makes it") for cache in caches if commands[cache.name] is None]
    made: list[str] = []
    runs = [(cache, command) for cache in caches if (command := commands[cache.name]) is not None]
    if runs:
        with ExitStack() as stack:
            worker = stack.enter_context(Worker.start(store, start_helper(store, tree)))
            for cache, command in runs:
                reason, tree = _made(store, worker, tree, cache, command, epoch)
                if reason:
                    left.append((cache.name, reason))
                else:
                    made.append(cache.name)
    return RemadeCaches(tree, tuple(made), tuple(left))


def _command(store: Store, tree: Digest, cache: Cache) -> tuple[str, ...] | None:
    for command in cache.commands:
        try:
            program = lookup(store.trees, tree, command[0].encode())
        except LinkCircle:
            continue
        if program is not None and program.kind == FILE and program.mode & 0o111:
            return command
    return None


def _made(
    store: Store, worker: Worker, tree: Digest, cache: Cache, command: tuple[str, ...], epoch: int
) -> tuple[str, Digest]:
    """Run a cache's program; return why it failed, "" if it did not, and the tree with what it made of the cache."""
    began = time.time_ns() - CLOCK_STEP
    layers = store.layers(tree)
    with store.workspace(tree) as space:
        request = Request(
            layers=layers,
            argv=command,
            environment=(*_ENVIRONMENT, ("SOURCE_DATE_EPOCH", str(epoch))),
            upper=space.upper,
            work=space.work,
            timeout=SECONDS,
            tmp=OF_TREE if has_tmp(store.trees, tree) else "",
        )
        outcome = worker.run(request, lambda data: None)
        if outcome.status:
            return f"{command[0]} failed (exit code {outcome.status})", tree
        times = StepTimes(epoch, None, began, time.time_ns() + CLOCK_STEP)
        shot = store.snapshot(space, tree, times=times, made=outcome.made, deadline=time.monotonic() + SECONDS)
    return "", edit(store.trees, tree, _of_cache(store, cache, tree, shot.tree), epoch * 10**9)


def _of_cache(store: Store, cache: Cache, before: Digest, after: Digest) -> Iterator[Edit]:
    """Yield the edits of the cache's own paths: a program of the tree has no say in any other."""
    for change in expanded(store.trees, diff(store.trees, before, after)):
        if cache.pattern.fullmatch(change.path):
            yield Edit(change.path, change.after, True)

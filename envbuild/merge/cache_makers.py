"""Runs the programs that make the caches of a merged tree, each in a sandbox of its own without a network."""

from __future__ import annotations

import os
from contextlib import ExitStack

from envbuild.build.helper_ahead import start_helper
from envbuild.build.sandbox_worker import Worker
from envbuild.merge.caches import Cache, cache_of
from envbuild.merge.draft import Draft
from envbuild.merge.upper_cache import CacheTooLarge, cache_files
from envbuild.record import Record
from envbuild.sandbox.spec import OF_TREE, Request
from envbuild.store.layer_writer import LayerWriter
from envbuild.store.store import Store
from envbuild.tree.apply import Edit, edit
from envbuild.tree.diff import diff, expanded
from envbuild.tree.entry import DIRECTORY, FILE, Digest, Entry
from envbuild.tree.lookup import LinkCircle, has_tmp, lookup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

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


def remake_caches(store: Store, tree: Digest, near: Digest, stale: Iterable[bytes], epoch: int) -> RemadeCaches:
    """Make the caches that these paths are of anew, of what is in the tree. Only paths of the cache itself are taken of
    what a program leaves. The tree is in the store, `near` is one like it that is mounted more often, and this process
    has one thread. `epoch` in seconds.

    Raises MachineLacks kinds where the machine refuses sandboxes.
    """
    caches = list(dict.fromkeys(cache for path in sorted(stale) if (cache := cache_of(path)) is not None))
    commands = {cache.name: _command(store, tree, cache) for cache in caches}
    left = [(cache.name, "the tree has no program that makes it") for cache in caches if commands[cache.name] is None]
    made: list[str] = []
    runs = [(cache, command) for cache in caches if (command := commands[cache.name]) is not None]
    if runs:
        with ExitStack() as stack:
            worker = stack.enter_context(Worker.start(store, start_helper(store, near)))
            space = stack.enter_context(store.workspace(tree))
            layers = _layers(store, tree, near, runs, f"{space.path}/merged")
            edits: list[Edit] = []
            for cache, command in runs:
                reason = _make(store, worker, tree, layers, command, epoch, cache, edits)
                if reason:
                    left.append((cache.name, reason))
                else:
                    made.append(cache.name)
        tree = edit(store.trees, tree, edits, epoch * 10**9)
    return RemadeCaches(tree, tuple(made), tuple(left))


def _layers(
    store: Store, tree: Digest, near: Digest, runs: list[tuple[Cache, tuple[str, ...]]], folder: str
) -> tuple[str, ...]:
    """Return layers that show what these caches are made of as it is in a tree: those that the tree has, else one that
    lasts as long as this merge, over those of `near`.

    If `near` has the same programs, the layer has only what they read: thousands of other files take longer to link
    than all else here. Equal files in it are one inode, which no program minds that makes a cache: to tell them apart
    takes a walk over the whole tree.
    """
    if store.stacks.chain(tree):
        return store.layers(tree)
    below = store.layers(near)
    trees, shown = Draft(store.trees), tree
    if all(_program(store, near, command) == _program(store, tree, command) for _, command in runs):
        caches = [cache for cache, _ in runs]
        changes = expanded(store.trees, diff(store.trees, near, tree))
        read = [change for change in changes if any(cache.concerns(change.path) for cache in caches)]
        files = [Edit(change.path, change.after, True) for change in read if not _is_folder(change.after)]
        shown = edit(trees, near, files, 0)
    os.mkdir(folder, 0o700)
    LayerWriter(trees, store.objects, {}).write(folder, shown, near)
    return os.path.realpath(folder), *below


def _is_folder(entry: Entry | None) -> bool:
    return entry is not None and entry.kind == DIRECTORY


def _program(store: Store, tree: Digest, command: tuple[str, ...]) -> Entry | None:
    try:
        return lookup(store.trees, tree, command[0].encode())
    except LinkCircle:
        return None


def _command(store: Store, tree: Digest, cache: Cache) -> tuple[str, ...] | None:
    for command in cache.commands:
        program = _program(store, tree, command)
        if program is not None and program.kind == FILE and program.mode & 0o111:
            return command
    return None


def _make(
    store: Store,
    worker: Worker,
    tree: Digest,
    layers: tuple[str, ...],
    command: tuple[str, ...],
    epoch: int,
    cache: Cache,
    edits: list[Edit],
) -> str:
    """Run a cache's program, and add what it made of the cache to the edits; return why it failed, "" if it did not."""
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
            return f"{command[0]} failed (exit code {outcome.status})"
        files = cache_files(store.trees, tree, space.upper, cache.pattern, epoch * 10**9, owners=store.objects.owners)
        try:
            edits += [Edit(path, entry and store.objects.add(entry, content), True) for path, entry, content in files]
        except CacheTooLarge:
            return f"{command[0]} left more than a cache has"
    return ""

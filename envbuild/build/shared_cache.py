"""Registries as a cache that a team shares: what the store lacks of a build's results is looked up there by key.

Looking up brings records alone: the key of a step follows from the tree before it, and a record says its tree. So a
build walks along records without any tree being here, and only what something runs on, and what the image is in the
end, is fetched (shared_trees.py). What a registry does wrong, or too slowly, costs a warning: then it is asked no more.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Sequence
from typing import Any

from envbuild.build.bases import Bases
from envbuild.build.events import Emit, Notice
from envbuild.build.graph import Graph, Stage
from envbuild.build.progress import BaseTree, StepResult
from envbuild.build.shared_keys import base_key, chain_key, is_pinned, is_shared, is_shared_base
from envbuild.build.shared_trees import SharedTrees
from envbuild.build.walk import PendingStep
from envbuild.errors import UsageError
from envbuild.lockfile.lock import first_line
from envbuild.oci.manifest import BadImage
from envbuild.sharing.cache_process import CacheGone, CacheProcess
from envbuild.sharing.shared_step import SharedStep, read_records, tag_of
from envbuild.store.database import StoreDamaged
from envbuild.store.network_record import load as load_network
from envbuild.store.record_text import fits
from envbuild.store.store import Store

_BASE = {"tree": str, "epoch": int, "origin": str}
_MAX_EPOCH = 1 << 33
_WORD = re.compile(r"[\x20-\x7e]{0,1000}")


class SharedCache:
    """The shared caches of one build, in the order in which they are asked. Threads of the build may use it."""

    def __init__(
        self,
        store: Store,
        graph: Graph,
        bases: Bases,
        emit: Emit,
        processes: Sequence[CacheProcess],
        warned: set[str],
    ) -> None:
        """`warned` are the warnings that the user had already."""
        self._graph = graph
        self._bases = bases
        self._processes = processes
        self._warned = warned
        self._emit = emit
        self._lock = threading.RLock()
        self._offers: dict[CacheProcess, dict[str, SharedStep]] = {process: {} for process in processes}
        self._hinted: set[tuple[CacheProcess, str]] = set()
        self._known: dict[str, tuple[SharedStep, CacheProcess] | None] = {}
        self.trees = SharedTrees(store, self._lock, self._give_up)

    def base(self, stage: Stage) -> BaseTree | None:
        """Return the base of a stage, None if it is not there."""
        bases = self._bases
        if not is_shared_base(stage):
            return None
        pinned = stage.locked.digest if stage.locked is not None and is_pinned(stage) else ""
        with self._lock:
            known = self._look_up("base", base_key(stage, bases, pinned))
            if known is None:
                return None
            record, process = known
            if pinned:
                if record.tree != pinned:
                    self._refuse(process, "a base in it is not the one that it is said to be")
                    return None
                base, plain = bases.as_locked(stage), None
            else:
                plain = _base_of(record)
                if plain is None or record.parent:
                    self._refuse(process, "a base in it is damaged")
                    return None
                try:
                    base = bases.of_record(stage, plain)
                except (UsageError, KeyError, TypeError, ValueError, AttributeError):
                    self._refuse(process, "a base in it is damaged")
                    return None
            self.trees.add_base(record, process, stage, bases, plain)
            return base

    def result(self, pending: PendingStep, key: str, *, owners_kept: bool) -> StepResult | None:
        """Return the result of a step, None if it is not there, or was made where owners were not kept and are here."""
        if not is_shared(pending.step):
            return None
        with self._lock:
            known = self._look_up("step", key, first=pending.number == 0)
            if known is None:
                return None
            record, process = known
            if record.parent != pending.parent or (owners_kept and not record.owners_kept):
                return None
            lock = self._graph.recipe_of(pending.stage).lock
            locked = lock.results.steps.get(key, ()) if lock is not None else ()
            if locked and record.tree not in locked:
                self._refuse(process, f"it gives '{first_line(pending.step.text)}' another tree than the lock does")
                return None
            try:
                network = load_network(record.network) if record.network else None
                if network is not None and not _is_plain(json.loads(record.network), 5):
                    raise ValueError
            except (StoreDamaged, ValueError):
                self._refuse(process, "a record in it is damaged")
                return None
            recipe = self._graph.recipe_of(pending.stage).path
            output = self.trees.add_step(record, process, pending, recipe, network)
            return StepResult(
                pending.number, pending.step, key, record.tree, output, record.seconds, True, record.owners_kept
            )

    def has_record(self, kind: str, key: str, name: str) -> bool:
        """Return whether a registry of this name gave the record of a key."""
        known = self._known.get(tag_of(kind, key))
        return known is not None and known[1].name == name

    def _look_up(self, kind: str, key: str, *, first: bool = False) -> tuple[SharedStep, CacheProcess] | None:
        tag = tag_of(kind, key)
        if tag not in self._known:
            self._known[tag] = None
            for process in self._processes:
                record = self._ask(process, tag, key, first)
                if record is not None:
                    self._known[tag] = record, process
                    break
        known = self._known[tag]
        return known if known is not None and not known[1].gone else None

    def _ask(self, process: CacheProcess, tag: str, key: str, first: bool) -> SharedStep | None:
        offers = self._offers[process]
        if process.gone or key in offers:
            return offers.get(key) if not process.gone else None
        try:
            manifests, untrusted = process.get([tag, *self._hints(process, key, first)])
        except CacheGone as error:
            self._give_up(process, str(error))
            return None
        if untrusted:
            self._refuse(process, "what it has is not signed by a key that the policy names")
        for name, manifest in manifests.items():
            try:
                records = read_records(manifest, name)
            except BadImage as error:
                self._refuse(process, error.message)
                continue
            if name == tag and [record.key for record in records] != [key]:
                # A record belongs to its key: under another tag it says nothing.
                self._refuse(process, f"{name} has the result of another step")
                continue
            for record in records:
                offers.setdefault(record.key, record)
        return offers.get(key)

    def _hints(self, process: CacheProcess, key: str, first: bool) -> list[str]:
        """Return the tags of chains that may have what is asked next, each once: those of all stages as they are
        written, and the one that begins with this step."""
        graph = self._graph
        hints = [chain_key(graph, stage) for stage in graph.stages] if not self._offers[process] else []
        hints += [key] if first else []
        fresh = [hint for hint in dict.fromkeys(hints) if (process, hint) not in self._hinted]
        self._hinted.update((process, hint) for hint in fresh)
        return [tag_of("chain", hint) for hint in fresh]

    def _refuse(self, process: CacheProcess, reason: str) -> None:
        """Tell, once, of what is not used of a registry."""
        self._tell(f"of the shared cache {process.name} something is not used: {reason}")

    def _give_up(self, process: CacheProcess, reason: str) -> None:
        """Tell, once, of a registry that is not used any more."""
        process.give_up(reason)
        self._tell(f"the shared cache {process.name} is not used: {reason}")

    def _tell(self, text: str) -> None:
        if text not in self._warned:
            self._warned.add(text)
            self._emit(Notice("warning", text, "the build does without it"))


def _base_of(record: SharedStep) -> dict[str, Any] | None:
    """Return what a record says of a base, None if it is not as envbuild writes it."""
    try:
        plain = json.loads(record.base)
    except (ValueError, RecursionError):
        return None
    if not fits({name: plain.get(name) for name in _BASE} if isinstance(plain, dict) else None, _BASE):
        return None
    known = {name: plain[name] for name in ("tree", "epoch", "origin", "packages", "released") if name in plain}
    if known["tree"] != record.tree or not 0 <= known["epoch"] <= _MAX_EPOCH or not _is_plain(known, 5):
        return None
    return known if isinstance(known.get("released", 0), int) else None


def _is_plain(value: object, depth: int) -> bool:
    """Return whether there is nothing in a value but numbers and words of one line: it may come to lie in a lock."""
    match value:
        case bool() | None:
            return False
        case int():
            return 0 <= value < 1 << 62
        case str():
            return _WORD.fullmatch(value) is not None
        case list():
            return depth > 0 and all(_is_plain(item, depth - 1) for item in value)
        case dict():
            return depth > 0 and all(_is_plain(item, depth - 1) for pair in value.items() for item in pair)
        case _:
            return False

"""The caches of a step: directories of the store that are mounted into it, and what of its tree they are behind."""

from __future__ import annotations

import os
import time

from envbuild.contexts import ExitStack, contextmanager
from envbuild.digest import sha256_of
from envbuild.images.accounts import NoSuchAccount, owner_ids, read_databases
from envbuild.language.statement_parts import CacheMount
from envbuild.plan.step import Execute
from envbuild.record import Record
from envbuild.sandbox.spec import Bind
from envbuild.store.cache_record import CacheRecord, Times
from envbuild.store.store import Store
from envbuild.text import json
from envbuild.tree.apply import Edit, edit
from envbuild.tree.entry import Digest
from envbuild.tree.lookup import lookup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from envbuild.build.shared_mounts import SharedMounts

_MODE = 0o755
_COARSE = 5
"""CLOCK_REALTIME_COARSE: what the kernel takes for the times of files (clock_gettime(2))."""
_TICK = 0.001


class CacheUser(Record):
    """Who uses caches: a stage of a recipe, `recipe` being its real path and `name` what it is called. With `fresh`
    each step gets empty ones. `shared` is where caches travel."""

    recipe: str
    stage: str
    fresh: bool = False
    name: str = ""
    shared: SharedMounts | None = None


class CachesOfStep(Record):
    """The mounts of a step's caches; the tree that it is to be shown, which has its own files with other times, and
    those files' true times, by the time that is shown and the content."""

    binds: tuple[Bind, ...]
    tree: Digest
    shown: dict[tuple[int, Digest], int] = {}


@contextmanager
def caches_of(
    store: Store, action: Execute, user: CacheUser, parent: Digest, epoch: int, folder: str
) -> Iterator[CachesOfStep]:
    """Yield the caches of a step that runs on `parent`; `folder` is the step's own, for empty ones."""
    if not action.caches:
        yield CachesOfStep((), parent)
        return
    binds = []
    times: Times = {}
    with ExitStack() as held:
        for number, cache in enumerate(action.caches):
            owner = _owner(store, cache, action, parent)
            if user.fresh:
                path = f"{folder}/cache-{number}"
            else:
                name = name_of(cache, owner, user.recipe)
                path = f"{store.path}/caches/{name}"
                if not cache.id and owner == (0, 0):
                    _take_over(store, cache, path)
            _make(path, owner, cache.mode, owners=store.owners_observable)
            if not user.fresh:
                if user.shared is not None:
                    user.shared.begin(user.name, cache, owner, path, _maker(owner, cache.mode, store.owners_observable))
                times |= _begin(store, name, path, user, parent, epoch, held)
            binds.append(Bind(os.path.realpath(path), cache.target, read_only=False))
        yield _shown(store, tuple(binds), parent, times)


def _maker(owner: tuple[int, int], mode: int | None, owners: bool) -> Callable[[str], None]:
    return lambda path: _make(path, owner, mode, owners=owners)


def name_of(cache: CacheMount, owner: tuple[int, int], recipe: str) -> str:
    """Return the name of a cache's directory: the recipe's own for a directory, unless it has an id. Another owner or
    mode is another cache."""
    whose = ("id", cache.id) if cache.id else ("recipe", recipe, cache.target)
    text = json.dumps([*whose, *owner, cache.mode])
    return sha256_of(text.encode())[:16]


def _owner(store: Store, cache: CacheMount, action: Execute, parent: Digest) -> tuple[int, int]:
    if cache.uid is None and action.user in ("", "0", "root"):
        return 0, 0
    try:
        return owner_ids(action.user if cache.uid is None else str(cache.uid), read_databases(store, parent))
    except NoSuchAccount:
        return 0, 0  # the command can't start, and says why


def _take_over(store: Store, cache: CacheMount, path: str) -> None:
    """Take the cache that an earlier envbuild kept for this directory, whatever the recipe."""
    if not os.path.isdir(path):
        try:
            os.rename(f"{store.path}/caches/{sha256_of(cache.target.encode())[:16]}", path)
        except OSError:
            pass  # there is none, or another recipe has it


def _make(path: str, owner: tuple[int, int], mode: int | None, *, owners: bool) -> None:
    """Make the directory of a cache, if it is not there."""
    if os.path.isdir(path):
        return
    made = f"{path}.new-{os.urandom(4).hex()}"
    os.mkdir(made, 0o700)
    try:
        if owners and owner != (0, 0):
            os.chown(made, *owner)
        os.chmod(made, _MODE if mode is None else mode)
        os.rename(made, path)
    except OSError:
        os.rmdir(made)
        if not os.path.isdir(path):
            raise


def _begin(store: Store, name: str, path: str, user: CacheUser, parent: Digest, epoch: int, held: ExitStack) -> Times:
    """Hold a cache until the step is over; return the times that files are to be shown with."""
    with store.work.exclusive(f"cache-{name}"):
        alone = held.enter_context(store.work.shared(f"cache-{name}-users"))
        record = CacheRecord(store, name)
        if alone and not os.listdir(path):
            record.forget()
        times = record.begin(f"{user.recipe}:{user.stage}", parent, epoch, _now(), alone=alone)
        record.save()
        return times


def _now() -> int:
    """Return a time (nanoseconds) that is later than those of all files that were written before, and earlier than
    those of files that are written from now on."""
    before = time.clock_gettime_ns(_COARSE)
    while (now := time.clock_gettime_ns(_COARSE)) == before:
        time.sleep(_TICK)
    # Nothing was written with it, as it lies between two ticks of the clock.
    return (now // 1000 - 1) * 1000


def _copied_as(moment: int) -> set[int]:
    """Return the times that a copy of a file may have that was made with the file's time: some programs keep only
    seconds, milliseconds or what fits a float."""
    number, by = (moment * 1e-9).as_integer_ratio()
    return {moment, moment // 10**6 * 10**6, moment // 10**9 * 10**9, number * 10**9 // by}


def _shown(store: Store, binds: tuple[Bind, ...], parent: Digest, times: Times) -> CachesOfStep:
    shown: dict[tuple[int, Digest], int] = {}
    edits = []
    for path, (digest, moment) in sorted(times.items()):
        entry = lookup(store.trees, parent, path, follow=False)
        if entry is not None:
            edits.append(Edit(path, store.objects.alter(entry, entry._replace(mtime=moment))))
            for copied in _copied_as(moment):
                shown.setdefault((copied, digest), entry.mtime)
    return CachesOfStep(binds, edit(store.trees, parent, edits, 0) if edits else parent, shown)

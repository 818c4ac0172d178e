"""What a build is asked for, and what comes of it."""

from __future__ import annotations

from envbuild.record import Pairs, Record
from envbuild.store.step_cache import MAX_OUTPUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from envbuild.registry.access import Access
    from envbuild.registry.reference import RegistryReference
    from envbuild.sharing.image_trust import Trust
    from envbuild.trust.keys import PrivateKey


class CachePlace(Record):
    """A repository of a registry with a shared cache, its name for messages, and the `rights` that are asked for there;
    with `insecure` also without encryption."""

    name: str
    reference: RegistryReference
    rights: str
    insecure: bool = False


ALL, AUTO = "all", "auto"
"""Which steps are traced."""
MAX_FETCHED = 8 << 30
"""Bytes of one file that is fetched, where the user says nothing else ($ENVBUILD_FETCH_LIMIT)."""


def no_access() -> Access:
    """Return how a user reaches registries of whom nothing is known: as nobody."""
    from envbuild.registry.access import NOBODY

    return NOBODY


class BuildRequest(Record):
    """One `envbuild build`.

    `tag` is NAME:TAG or None for the recipe's own name and `latest`; `stage` None builds the whole recipe.
    `locked` forbids to change a pin, and `exact` asks beside that for a lock with all results.
    `secrets` are (name, content); `agents` are (name, socket) of the user's SSH agents, the socket "" where the
    environment names none; `devices` are paths of devices that steps may have. `network` are the variables that
    networked steps are given beside their own (proxies, certificates). `epoch` is $SOURCE_DATE_EPOCH in seconds, None
    where it is not set. `refresh` ignores what the lock pins; bases that were made after `refreshed` (nanoseconds since
    1970) are as new as they can be. `renew` names packages whose versions it doesn't keep; a `dry_run` finds out what
    packages would be installed, and ends there. `rerun` are places (LINE or FILE:LINE) whose steps run again.
    `trace` says which steps are traced as they run: ALL, AUTO for those that are worth it (reuse.py), or "" for none.
    Their runs then count on other trees, too, but for the share `audit` of them (0 to 1), which is run all the same and
    compared. With `speculate` a step may run while another one before it does (speculation.py).
    `home` is the user's, `user` tells who that is. `immutable` makes the tag one that never moves again.
    Without `record` nothing is: no image, tag, lock or cached step; and bases are those of the lock.
    Without `publish` steps are kept for the cache, and no image, tag or lock.
    `fetch_limit` is how many bytes one file that is fetched may have, `output_limit` how many are kept of what one step
    prints. With `own_sources` package managers are asked with the user's own settings alone: those of the tree and of
    the image's environment, which may be somebody else's, do not say where packages come from. `project` is the real
    folder that recipes may read recipes of (recipe_files.py); "" finds it from the recipe's path. `snapshot` is the
    address of an archive of all that Debian ever had, "" for none. `places` are folders (absolute paths) and web
    addresses that have files by their hashes, the first one first. With `offline` the network is not touched: of the
    places, only folders are asked. `registries` tells how the user reaches image registries; `trust` are the policies
    that images have to satisfy which it begins with, or results that it takes from others. Results that the store
    lacks are looked for in `cache_from`, and those that `cache_to` lack are put there, signed with `key` if there is
    one; with `cache_mounts` also what is in the caches of steps. For `cache_patience` seconds in all they may keep a
    build waiting.
    """

    path: str
    settings: Pairs = ()
    stage: str | None = None
    tag: str | None = None
    locked: bool = False
    exact: bool = False
    use_cache: bool = True
    refresh: bool = False
    refreshed: int | None = None
    renew: tuple[str, ...] = ()
    dry_run: bool = False
    check: bool = False
    explain: bool = False
    trace: str = ""
    audit: float = 0.0
    speculate: bool = False
    rerun: tuple[str, ...] = ()
    jobs: int = 2
    secrets: tuple[tuple[str, bytes], ...] = ()
    agents: Pairs = ()
    devices: tuple[str, ...] = ()
    network: Pairs = ()
    home: str = ""
    user: Callable[[], str] = str
    immutable: bool = False
    record: bool = True
    publish: bool = True
    epoch: int | None = None
    fetch_limit: int = MAX_FETCHED
    own_sources: bool = False
    output_limit: int = MAX_OUTPUT
    project: str = ""
    snapshot: str = ""
    places: tuple[str, ...] = ()
    offline: bool = False
    trust: Trust | None = None
    registries: Callable[[], Access] = no_access
    cache_from: tuple[CachePlace, ...] = ()
    cache_to: tuple[CachePlace, ...] = ()
    cache_mounts: bool = False
    cache_patience: float = 2.0
    key: PrivateKey | None = None


class Move(Record):
    """One package whose version or file changed; "" for the side that doesn't have it. The `manager` of a base's
    packages is "base", also of the base itself, whose versions are the beginnings of digests. So are those of fetched
    files, whose manager is "fetch" and name the address, and of images, whose manager is "image". `why` says what made
    it move, "" where that is not known; of the `same_version` another file, which nobody can tell from its version."""

    recipe: str
    stage: str
    manager: str
    name: str
    old: str
    new: str
    why: str = ""
    same_version: bool = False


class BuildResult(Record):
    """The image that a build came to; `ran` and `cached` count steps and bases. Of an `update`, `moves` are
    the packages that moved."""

    image: str
    tree: str
    tags: tuple[str, ...]
    ran: int
    cached: int
    moves: tuple[Move, ...] = ()

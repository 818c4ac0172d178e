"""What was done to a machine between two captures, by cause: each kind of state with its records that came and went and
the paths that follow from them.

A record or a path that follows from a package that moved is the package's. A path is folded under a kind of state only
if the records say all that differs in it, such as a line of passwd(5) for a user that came; one that does not is listed
there.
"""

from __future__ import annotations

from envbuild.history.account_differences import accounts_that_differ
from envbuild.history.generated_files import GeneratedFiles
from envbuild.history.state_changes import ADDED, REMOVED, StateChange
from envbuild.history.state_of_packages import StateOfPackages
from envbuild.record import Record
from envbuild.store.store import Store
from envbuild.tree.diff import Change
from envbuild.tree.entry import LINK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

USERS, UNITS, CRON, ZONE, LOCALE, ALTERNATIVES = "users", "units", "cron", "time zone", "locale", "alternatives"
_CAUSES: Mapping[str, tuple[str, ...]] = {
    USERS: ("users", "groups"),
    UNITS: ("units", "timers"),
    CRON: ("crontabs",),
    ZONE: ("time-zone",),
    LOCALE: ("locale",),
    ALTERNATIVES: ("alternatives",),
}
"""The kinds of state of each cause; every other kind is a cause of its own."""
_KINDS = {kind: name for name, kinds in _CAUSES.items() for kind in kinds}
_PATHS: tuple[tuple[str, tuple[bytes, ...]], ...] = (
    (USERS, (b"etc/passwd", b"etc/group", b"etc/shadow", b"etc/gshadow", b"etc/subuid", b"etc/subgid")),
    (
        UNITS,
        (
            *(b"etc/systemd/system/", b"etc/systemd/user/", b"usr/local/lib/systemd/"),
            *(b"usr/lib/systemd/system/", b"usr/lib/systemd/user/"),
        ),
    ),
    (
        CRON,
        (
            *(b"etc/crontab", b"etc/anacrontab", b"etc/cron.d/", b"etc/cron.hourly/", b"etc/cron.daily/"),
            *(b"etc/cron.weekly/", b"etc/cron.monthly/", b"var/spool/cron/crontabs/"),
        ),
    ),
    (ZONE, (b"etc/localtime", b"etc/timezone")),
    (LOCALE, (b"etc/locale.gen", b"etc/locale.conf", b"etc/default/locale", b"usr/lib/locale/")),
    (ALTERNATIVES, (b"etc/alternatives/",)),
)
"""The paths of each cause: those in a directory, or that one."""
_SAID_WHOLE = (ZONE, ALTERNATIVES)
"""Causes whose records say all that their paths hold."""


_HASHES = (b"etc/shadow", b"etc/gshadow")
_OTHER = {ADDED: REMOVED, REMOVED: ADDED}


class Cause(Record):
    """A kind of state that differs: its records, the paths that these explain (`folded`), and those of the same kind
    that they do not (`listed`)."""

    name: str
    records: tuple[StateChange, ...] = ()
    folded: tuple[Change, ...] = ()
    listed: tuple[Change, ...] = ()

    @property
    def changes(self) -> tuple[Change, ...]:
        """All its paths, sorted."""
        return tuple(sorted((*self.folded, *self.listed), key=lambda change: change.path))


class Causes(Record):
    """`causes` in the order in which a reader wants them, `passing` the records of what comes and goes by itself,
    `generated` the paths that programs write by themselves, `of_packages` those that follow from packages, by their
    numbers, and `rest` what is of none."""

    causes: tuple[Cause, ...]
    passing: tuple[StateChange, ...]
    generated: tuple[Change, ...]
    of_packages: Mapping[int, Sequence[Change]]
    rest: tuple[Change, ...]


class _Paths:
    """The paths of the causes, sorted out one by one."""

    def __init__(self, store: Store, state: Sequence[StateChange], packages: StateOfPackages) -> None:
        self._store = store
        self._packages = packages
        self._records: dict[str, list[StateChange]] = {}
        for record in state:
            if not record.passing and record.fields:
                self._records.setdefault(cause_of_kind(record.kind), []).append(record)
        self.folded: dict[str, list[Change]] = {}
        self.listed: dict[str, list[Change]] = {}
        self.of_packages: dict[int, list[Change]] = {}

    def take(self, name: str, change: Change, *, listed: bool) -> bool:
        """Fold a path of the cause `name`, or list it if that is wanted; return whether it was taken."""
        records = self._saying(name, change)
        if not records:
            if listed:
                self.listed.setdefault(name, []).append(change)
            return listed
        numbers = {self._packages.records.get(record) for record in records}
        number = numbers.pop()
        if number is None or numbers:
            self.folded.setdefault(name, []).append(change)
        else:
            self.of_packages.setdefault(number, []).append(change)
        return True

    def takes_of_package(self, change: Change) -> bool:
        """Take a path that is new and a user's that a package added."""
        number = self._packages.accounts.get(change.after.uid) if change.after is not None else None
        if number is None or change.before is not None:
            return False
        self.of_packages.setdefault(number, []).append(change)
        return True

    def _saying(self, cause: str, change: Change) -> list[StateChange]:
        """Return the records that together say all that differs at a path of a cause, none if they do not."""
        records = self._records.get(cause, [])
        if not records or cause in _SAID_WHOLE:
            return records
        subjects = {record.fields[0] for record in records}
        if cause == USERS:
            if change.path in _HASHES:
                # What a record says of an account that stays is not its password.
                verbs = {(record.kind, record.fields[0], record.verb) for record in records}
                subjects = {n for kind, n, verb in verbs if (kind, n, _OTHER[verb]) not in verbs}
            names = accounts_that_differ(self._store, change)
            return self._about(records, names) if names is not None and names <= subjects else []
        if cause == UNITS:
            # A link below NAME.wants is what enabled means; the unit itself is more than that.
            name = change.path.rpartition(b"/")[2].decode("utf-8", "surrogateescape")
            if all(entry is None or entry.kind == LINK for entry in (change.before, change.after)):
                return self._about(records, {name})
        return []

    @staticmethod
    def _about(records: Iterable[StateChange], names: set[str]) -> list[StateChange]:
        return [record for record in records if record.fields[0] in names]


def causes_of(
    store: Store,
    state: Sequence[StateChange],
    packages: StateOfPackages,
    rest: Sequence[Change],
    changed: Iterable[bytes],
    owned: Container[bytes],
) -> Causes:
    """Return the causes of `rest`, which no package explains. `packages` says which records of `state` follow from
    packages, `changed` are all paths that differ, and `owned` those of `rest` that belong to a package all the same:
    they were edited, whatever else they are."""
    records: dict[str, list[StateChange]] = {name: [] for name in _CAUSES}
    for record in state:
        if not record.passing and record not in packages.records:
            records.setdefault(cause_of_kind(record.kind), []).append(record)
    paths = _Paths(store, state, packages)
    generated: list[Change] = []
    left: list[Change] = []
    rules = GeneratedFiles(frozenset(changed))
    for change in rest:
        name = cause_of_path(change.path)
        taken = bool(name) and paths.take(name, change, listed=change.path not in owned)
        if taken or paths.takes_of_package(change):
            continue
        (generated if change.path not in owned and rules.has(change) else left).append(change)
    causes = (
        Cause(name, tuple(own), tuple(paths.folded.get(name, ())), tuple(paths.listed.get(name, ())))
        for name, own in records.items()
    )
    return Causes(
        tuple(cause for cause in causes if cause.records or cause.folded or cause.listed),
        tuple(record for record in state if record.passing),
        tuple(generated),
        paths.of_packages,
        tuple(left),
    )


def cause_of_kind(kind: str) -> str:
    """Return the cause that a kind of state is of."""
    return _KINDS.get(kind, kind)


def cause_of_path(path: bytes) -> str:
    """Return the cause that a path is of by its place, "" for none."""
    for name, places in _PATHS:
        for place in places:
            if path == place or (place.endswith(b"/") and path.startswith(place)):
                return name
    return ""

"""What was done to a machine between two captures, by cause: each kind of state with its records that came and went and
the paths that follow from them.

A record or a path that follows from a package that moved is the package's. A path is folded under a kind of state only
if the records say all that differs in it, such as a line of passwd(5) for a user that came; one that does not is listed
there.
"""

from __future__ import annotations

import re

from envbuild.history.account_differences import accounts_that_differ
from envbuild.history.generated_files import GeneratedFiles
from envbuild.history.state_changes import ADDED, REMOVED, StateChange
from envbuild.history.state_of_packages import StateOfPackages
from envbuild.record import Record
from envbuild.store.store import Store
from envbuild.tree.diff import Change
from envbuild.tree.entry import FILE, LINK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

    from envbuild.history.hand_edits import HandEdit

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
_ALTERNATIVES = b"etc/alternatives/"
_CONFIGURATION = b"/pyvenv.cfg"
_KINDS = {kind: name for name, kinds in _CAUSES.items() for kind in kinds}
_PATHS: tuple[tuple[str, tuple[bytes, ...]], ...] = (
    (USERS, (b"etc/passwd", b"etc/group", b"etc/shadow", b"etc/gshadow", b"etc/subuid", b"etc/subgid")),
    (
        UNITS,
        (
            *(b"etc/systemd/system/", b"etc/systemd/user/", b"usr/local/lib/systemd/"),
            *(b"usr/lib/systemd/system/", b"usr/lib/systemd/user/", b"etc/init.d/", b"etc/rcS.d/"),
            *(b"etc/rc%d.d/" % level for level in range(7)),
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
    (ALTERNATIVES, (_ALTERNATIVES,)),
)
"""The paths of each cause: those in a directory, or that one."""
VENVS = "virtual environments"
_VENV = re.compile(
    rb"bin/(?:[Aa]ctivate(?:\.\w+)?|python[0-9.]*)|include(?:/python[0-9.]+)?|lib64|lib(?:/python[0-9.]+)?"
)
"""What venv makes beside packages, relative to the environment."""
_PYTHON = re.compile(rb"(?:/usr(?:/local)?/bin/)?python[0-9.]*|lib")
"""Where its links lead."""
_SYSTEM_V = re.compile(rb"[SK][0-9]{2}(.+)")
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
    numbers, `rest` what is of none, `uncompared` what one of the captures did not take or could not read, and `edits`
    what is known of files that were edited, by path."""

    causes: tuple[Cause, ...]
    passing: tuple[StateChange, ...]
    generated: tuple[Change, ...]
    of_packages: Mapping[int, Sequence[Change]]
    rest: tuple[Change, ...]
    uncompared: tuple[Change, ...] = ()
    edits: Mapping[bytes, HandEdit] = {}

    @property
    def changes(self) -> list[Change]:
        """All paths that are explained here, or can't be told."""
        return [
            *(change for cause in self.causes for change in cause.changes),
            *self.generated,
            *self.uncompared,
        ]


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
        """Take a path that a package's script made."""
        number = self._packages.maker_of(change)
        if number is None:
            return False
        self.of_packages.setdefault(number, []).append(change)
        return True

    def _saying(self, cause: str, change: Change) -> list[StateChange]:
        """Return the records that together say all that differs at a path of a cause, none if they do not."""
        records = self._records.get(cause, [])
        if not records:
            return []
        subjects = {record.subject for record in records}
        if cause == ZONE:
            kinds = {entry.kind for entry in (change.before, change.after) if entry is not None}
            return records if change.path == b"etc/timezone" or kinds == {LINK} else []
        if cause == ALTERNATIVES:
            return self._about(records, _alternatives_of(change))
        if cause == USERS:
            if change.path in _HASHES:
                # What a record says of an account that stays is not its password.
                verbs = {(record.kind, record.subject, record.verb) for record in records}
                subjects = {n for kind, n, verb in verbs if (kind, n, _OTHER[verb]) not in verbs}
            names = accounts_that_differ(self._store, change)
            return self._about(records, names) if names is not None and names <= subjects else []
        if cause == CRON and (change.before is None or change.after is None):
            # A file that stays may differ in variables, which are no jobs.
            return self._about(records, {"/" + change.path.decode("utf-8", "surrogateescape")})
        if cause == LOCALE:
            plain = all(entry is None or entry.kind == FILE for entry in (change.before, change.after))
            return records if plain else []
        if cause == UNITS:
            return self._about(records, _units_of(change) & subjects)
        return []

    @staticmethod
    def _about(records: Iterable[StateChange], names: set[str]) -> list[StateChange]:
        return [record for record in records if record.subject in names]


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
    records: dict[str, list[StateChange]] = {name: [] for name in (*_CAUSES, VENVS)}
    subjects = {record.subject for record in state if record.kind == ALTERNATIVES}
    for record in state:
        # The manual of a program that was chosen goes with it.
        manual = record.kind == ALTERNATIVES and _program_of(record.subject) in subjects - {record.subject}
        if not record.passing and record not in packages.records and not manual:
            records.setdefault(cause_of_kind(record.kind), []).append(record)
    paths = _Paths(store, state, packages)
    generated: list[Change] = []
    left: list[Change] = []
    venvs = {change.path.removesuffix(_CONFIGURATION) for change in rest if change.path.endswith(_CONFIGURATION)}
    rules = GeneratedFiles(frozenset(changed))
    for change in rest:
        if _is_of_venv(change, venvs):
            (paths.listed if change.path.endswith(_CONFIGURATION) else paths.folded).setdefault(VENVS, []).append(
                change
            )
            continue
        name = _cause_of(change)
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


def _cause_of(change: Change) -> str:
    """Return the cause that a path is of, "" for none."""
    name = cause_of_path(change.path)
    links = [entry.target for entry in (change.before, change.after) if entry is not None and entry.kind == LINK]
    if not name and links and all(target.startswith(b"/" + _ALTERNATIVES) for target in links):
        return ALTERNATIVES
    return name


def _is_of_venv(change: Change, venvs: Container[bytes]) -> bool:
    """Return whether a path came or went with a virtual environment, and is as venv makes it."""
    parts = change.path.split(b"/")
    for number in range(1, min(len(parts), 4)):
        if b"/".join(parts[:-number]) in venvs:
            inside = b"/".join(parts[-number:])
            entry = change.after or change.before
            assert entry is not None
            plain = entry.kind != LINK or _PYTHON.fullmatch(entry.target)
            return b"/" + inside == _CONFIGURATION or bool(_VENV.fullmatch(inside) and plain)
    return False


def _alternatives_of(change: Change) -> set[str]:
    """Return the names in /etc/alternatives that a link is about; `editor` for its manual `editor.de.1.gz`."""
    entries = [entry for entry in (change.before, change.after) if entry is not None]
    if any(entry.kind != LINK for entry in entries):
        return set()
    name = change.path.rpartition(b"/")[2]
    if not change.path.startswith(_ALTERNATIVES):
        name = next(entry.target for entry in entries).rpartition(b"/")[2]
    text = name.decode("utf-8", "surrogateescape")
    return {text, _program_of(text)}


def _program_of(name: str) -> str:
    """Return `editor` for its manual `editor.de.1.gz`, and any other name as it is."""
    return name.partition(".")[0] if name.endswith(".gz") else name


def _units_of(change: Change) -> set[str]:
    """Return the units that a link says something of: one below NAME.wants is what enabled means, and so is one of
    System V's, `rc2.d/S01ssh`. Of anything else nothing: a unit itself is more than its state."""
    entries = [entry for entry in (change.before, change.after) if entry is not None]
    if any(entry.kind != LINK for entry in entries):
        return set()
    names = {change.path.rpartition(b"/")[2], *(entry.target.rpartition(b"/")[2] for entry in entries)}
    names |= {match[1] + b".service" for name in names if (match := _SYSTEM_V.fullmatch(name))}
    return {name.decode("utf-8", "surrogateescape") for name in names}


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

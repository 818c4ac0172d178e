"""The records of a machine's state that follow from packages that moved: the users that their scripts add, the units
that they bring, the alternatives that they offer."""

from __future__ import annotations

import re

from envbuild.debian.left_behind import INFO
from envbuild.history.state_changes import ADDED, StateChange
from envbuild.images.accounts import AccountsTooLarge, account_text, accounts
from envbuild.packages.inventory.bad_record import MAX_RECORD
from envbuild.packages.inventory.component import DPKG, NODE, PYTHON
from envbuild.record import Record
from envbuild.store.store import Store
from envbuild.tree.diff import Change
from envbuild.tree.entry import FILE, Digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from envbuild.history.package_changes import PackageChange

_SCRIPTS = ("preinst", "postinst", "prerm", "postrm", "config")
_SYSUSERS = re.compile(rb"(?:usr/)?lib/sysusers\.d/[^/]+\.conf")
_UNIT = re.compile(rb"(?:usr/)?lib/systemd/(?:system|user)/([^/]+)")
_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_PATH = re.compile(r"(?<![A-Za-z0-9_./-])(?:/[A-Za-z0-9_.+@-]+)+")
_INSTALLED = {"packages": DPKG, "python": PYTHON, "node": NODE}
_ACCOUNTS, _UNITS = ("users", "groups"), ("units", "timers")


class StateOfPackages(Record):
    """`records` has the number of the package that a record follows from, `accounts` the same for users that are new,
    by their numbers, and `named` for paths that their maintainers' scripts
    name."""

    records: Mapping[StateChange, int] = {}
    accounts: Mapping[int, int] = {}
    named: Mapping[str, int] = {}

    def maker_of(self, change: Change) -> int | None:
        """Return the package whose script made a path that is new: it is a user's that the package added, or the script
        names it. A program is nobody's that does not list it."""
        entry = change.after
        if entry is None or change.before is not None:
            return None
        if entry.uid in self.accounts:
            return self.accounts[entry.uid]
        if entry.kind == FILE and entry.mode & 0o6111:
            return None
        return self.named.get("/" + change.path.decode("utf-8", "surrogateescape"))


def state_of_packages(
    store: Store,
    trees: tuple[Digest, Digest],
    packages: Sequence[PackageChange],
    changes: Mapping[int, Iterable[Change]],
    state: Iterable[StateChange],
) -> StateOfPackages:
    """Return which records follow from which of `packages`; `changes` are the paths that each explains, by number."""
    paths = {change.path: number for number, inner in changes.items() for change in inner}
    units = {match[1].decode("utf-8", "replace"): paths[path] for path in paths if (match := _UNIT.fullmatch(path))}
    names = {(change.package.kind, _plain(change.package.name)): number for number, change in enumerate(packages)}
    scripts = _scripts(store, packages, changes)
    words = _words(scripts, _WORD)
    records: dict[StateChange, int] = {}
    for record in state:
        if not record.fields or record.passing:
            continue
        number: int | None = None
        subject = record.subject
        if record.kind in _INSTALLED:
            number = names.get((_INSTALLED[record.kind], _plain(subject)))
        elif record.kind in _UNITS:
            number = units.get(subject)
        elif record.kind in _ACCOUNTS:
            number = words.get(subject)
        elif record.kind == "alternatives":
            number = paths.get(b"etc/alternatives/" + subject.encode("utf-8", "surrogateescape"))
        else:
            places = (field.lstrip("/").encode("utf-8", "surrogateescape") for field in record.fields)
            number = next((paths[place] for place in places if place in paths), None)
        if number is not None:
            records[record] = number
    return StateOfPackages(records, _new_accounts(store, trees[1], records), _words(scripts, _PATH))


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.partition(":")[0]).lower()


def _scripts(
    store: Store, packages: Sequence[PackageChange], changes: Mapping[int, Iterable[Change]]
) -> dict[int, str]:
    """Return the scripts of packages that came or went, and their lists for systemd-sysusers(8)."""
    scripts: dict[int, str] = {}
    endings = tuple(f".{name}".encode() for name in _SCRIPTS)
    for number, package in enumerate(packages):
        if package.package.kind != DPKG:
            continue
        for change in changes.get(number, ()):
            is_script = change.path.startswith(INFO.encode()) and change.path.endswith(endings)
            if not is_script and not _SYSUSERS.fullmatch(change.path):
                continue
            for entry in (change.before, change.after):
                if entry is not None and entry.kind == FILE and entry.size <= MAX_RECORD:
                    text = store.objects.read(entry, MAX_RECORD).decode("utf-8", "replace")
                    scripts[number] = f"{scripts.get(number, '')}{text}\n"
    return scripts


def _words(scripts: Mapping[int, str], pattern: re.Pattern[str]) -> dict[str, int]:
    """Return the words of scripts, each with the package: a user of this name, or a path, is theirs."""
    words: dict[str, int] = {}
    for number, text in scripts.items():
        for word in pattern.findall(text):
            words.setdefault(word, number)
    return words


def _new_accounts(store: Store, tree: Digest, records: Mapping[StateChange, int]) -> dict[int, int]:
    added = {record.subject: n for record, n in records.items() if record.kind == "users" and record.verb == ADDED}
    if not added:
        return {}
    try:
        passwd = account_text(store, tree, "passwd")
    except AccountsTooLarge:
        return {}
    return {account.uid: added[account.name] for account in accounts(passwd) if account.name in added and account.uid}

"""What lines do not express, and why: sorted by what a reader can do about it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from envbuild.drift.ignore_rules import Noise, Rule, is_directory
from envbuild.drift.secret_detection import looks_secret
from envbuild.drift.statement_text import text_of
from envbuild.images.accounts import MAX_BYTES
from envbuild.linux.passwd import same_accounts
from envbuild.record import Record
from envbuild.store.store import Store
from envbuild.tree.diff import Change, aspects, diff, expanded
from envbuild.tree.entry import DIRECTORY, FILE, LINK, Digest

NOISE, SECRET, KIND, GIT, ATTRIBUTES, RECORD, SCRIPT, ACCOUNTS, OTHER = (
    "noise",
    "secret",
    "kind",
    "git",
    "attributes",
    "record",
    "script",
    "accounts",
    "other",
)
REASONS = {
    SECRET: "looks like a key or a password",
    KIND: "only files, folders and links can be copied",
    GIT: "git keeps no folder .git beside a recipe",
    ATTRIBUTES: "no statement sets extended attributes",
    RECORD: "the package manager's own record of the same packages",
    SCRIPT: "the form in which pip and envbuild start a program differs",
    ACCOUNTS: "the same users and groups, in another order or with an empty comment",
    OTHER: "the lines give something else here",
}
_RECORDS = re.compile(rb"var/lib/(?:dpkg|apt|ucf|pam)/")
_PASSWORDS = (b"etc/shadow", b"etc/gshadow")
_ACCOUNTS = (b"etc/passwd", b"etc/group")
_PYTHON_RECORDS = (b"/RECORD", b"/INSTALLER", b"/REQUESTED", b"/direct_url.json")
_LONGEST_SCRIPT = 1000
"""Bytes that a script has at most which only starts a program of a Python package."""


class Told(Record):
    """A path that the lines leave other than the instance has it: `kind` is one of those above, `rule` the noise's."""

    change: Change
    kind: str
    rule: Rule | None = None

    @property
    def reason(self) -> str:
        """In words."""
        return f"{self.rule.name}: {self.rule.reason}" if self.rule is not None else REASONS[self.kind]


class Teller:
    """Tells which changes are not to be expressed. `secrets` says whether secrets are; `environments` are the virtual
    environments that a line fills; with `debian` a line brings the same Debian packages."""

    def __init__(self, store: Store, noise: Noise, *, secrets: bool) -> None:
        self._store = store
        self._noise = noise
        self._secrets = secrets
        self.environments: tuple[str, ...] = ()
        self.debian = False

    def between(self, lines: Digest, instance: Digest) -> Iterator[tuple[Change, Told | None]]:
        """All changes from the tree that lines give to an instance's, each with why it is not to be expressed. Those of
        times alone are not among them."""
        for change in expanded(self._store.trees, diff(self._store.trees, lines, instance)):
            if aspects(change) != ("time",):
                yield change, self.told(change)

    def told(self, change: Change) -> Told | None:
        """Why a change is not to be expressed, None if it is."""
        rule = self._noise.rule(change.path, is_directory(change))
        if rule is not None and not rule.derived:
            return Told(change, NOISE, rule)
        after = change.after
        if change.path in _PASSWORDS and not self._secrets:
            return Told(change, SECRET)
        if after is not None and not self._secrets and looks_secret(self._store, change.path, after):
            return Told(change, SECRET)
        if after is not None and after.kind not in (FILE, DIRECTORY, LINK):
            return Told(change, KIND)
        if after is not None and b".git" in change.path.split(b"/"):
            return Told(change, GIT)
        if set(aspects(change)) - {"time"} == {"xattrs"}:
            return Told(change, ATTRIBUTES)
        if self.debian and _RECORDS.match(change.path):
            return Told(change, RECORD)
        if change.path in _ACCOUNTS and self._same_accounts(change):
            return Told(change, ACCOUNTS)
        if self._is_pythons(change):
            kind = RECORD if change.path.endswith(_PYTHON_RECORDS) else SCRIPT
            return Told(change, kind)
        return None

    def _same_accounts(self, change: Change) -> bool:
        before, after = change.before, change.after
        if before is None or after is None or "content" not in aspects(change):
            return False
        if set(aspects(change)) - {"content", "time"} or max(before.size, after.size) > MAX_BYTES:
            return False
        return same_accounts(self._store.objects.read(before), self._store.objects.read(after))

    def _is_pythons(self, change: Change) -> bool:
        path = change.path.decode("utf-8", "surrogateescape")
        if not any(path.startswith(f"{one}/") for one in self.environments):
            return False
        if ".dist-info/" in path:
            return change.path.endswith(_PYTHON_RECORDS)
        before, after = change.before, change.after
        if before is None or after is None or before.kind != FILE or after.kind != FILE:
            return False
        if not path.rpartition("/")[0].endswith("/bin") or max(before.size, after.size) > _LONGEST_SCRIPT:
            return False
        text = self._store.objects.read(after).decode("utf-8", "replace")
        return text.startswith("#!") and " import " in text and "sys.exit(" in text


def environments_of(store: Store, tree: Digest, folders: Iterable[str]) -> tuple[str, ...]:
    """Those of the folders that are virtual environments, without a slash at the beginning."""
    return tuple(one for one in folders if text_of(store, tree, f"{one}/pyvenv.cfg") is not None)

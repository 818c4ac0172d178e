"""The changes that lines do not express, each with a reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from envbuild.debian.left_behind import is_state
from envbuild.drift.ignore_rules import IgnoreRules, Rule, is_directory
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
    KIND: "only files, directories and links can be copied",
    GIT: "git does not track a directory named .git",
    ATTRIBUTES: "no statement sets extended attributes",
    RECORD: "the package manager's own record of the same packages",
    SCRIPT: "pip and envbuild write scripts that start a program differently",
    ACCOUNTS: "the same users and groups, in another order or with an empty comment",
    OTHER: "the lines build something else here",
}
_PASSWORDS = (b"etc/shadow", b"etc/gshadow")
_ACCOUNTS = (b"etc/passwd", b"etc/group")
_PYTHON_RECORDS = (b"/RECORD", b"/INSTALLER", b"/REQUESTED", b"/direct_url.json")
_MAX_SCRIPT = 1000
"""Bytes of a script that only starts a program of a Python package."""


class Unexpressed(Record):
    """A path on which the lines and the instance differ. `kind` is one of those above, `rule` is the rule if it is
    noise; `detail` is the reason in words where it is not the same for all of a kind."""

    change: Change
    kind: str
    rule: Rule | None = None
    detail: str = ""

    @property
    def reason(self) -> str:
        """The reason in words."""
        if self.detail:
            return self.detail
        return f"{self.rule.name}: {self.rule.reason}" if self.rule is not None else REASONS[self.kind]


class ExpressionRules:
    """The rules for changes that should not be expressed. With `secrets`, secrets are expressed; `environments` are the
    virtual environments that a line fills; with `debian`, a line installs the same Debian packages."""

    def __init__(self, store: Store, noise: IgnoreRules, *, secrets: bool) -> None:
        self._store = store
        self._noise = noise
        self._secrets = secrets
        self.environments: tuple[str, ...] = ()
        self.debian = False

    def between(self, lines: Digest, instance: Digest) -> Iterator[tuple[Change, Unexpressed | None]]:
        """Yield all changes from the tree of the lines to an instance's, each with the reason not to express it, None
        if it should be. Changes of times only are left out."""
        for change in expanded(self._store.trees, diff(self._store.trees, lines, instance)):
            if aspects(change) != ("time",):
                yield change, self.unexpressed(change)

    def unexpressed(self, change: Change) -> Unexpressed | None:
        """Return why a change should not be expressed, None if it should be."""
        rule = self._noise.rule(change.path, is_directory(change))
        if rule is not None and not rule.derived:
            return Unexpressed(change, NOISE, rule)
        after = change.after
        if change.path in _PASSWORDS and not self._secrets:
            return Unexpressed(change, SECRET)
        if after is not None and not self._secrets and looks_secret(self._store, change.path, after):
            return Unexpressed(change, SECRET)
        if after is not None and after.kind not in (FILE, DIRECTORY, LINK):
            return Unexpressed(change, KIND)
        if after is not None and b".git" in change.path.split(b"/"):
            return Unexpressed(change, GIT)
        if set(aspects(change)) - {"time"} == {"xattrs"}:
            return Unexpressed(change, ATTRIBUTES)
        if self.debian and is_state(change.path.decode("utf-8", "surrogateescape")):
            return Unexpressed(change, RECORD)
        if change.path in _ACCOUNTS and self._same_accounts(change):
            return Unexpressed(change, ACCOUNTS)
        if self._is_python_file(change):
            kind = RECORD if change.path.endswith(_PYTHON_RECORDS) else SCRIPT
            return Unexpressed(change, kind)
        return None

    def _same_accounts(self, change: Change) -> bool:
        before, after = change.before, change.after
        if before is None or after is None or "content" not in aspects(change):
            return False
        if set(aspects(change)) - {"content", "time"} or max(before.size, after.size) > MAX_BYTES:
            return False
        return same_accounts(self._store.objects.read(before), self._store.objects.read(after))

    def _is_python_file(self, change: Change) -> bool:
        path = change.path.decode("utf-8", "surrogateescape")
        if not any(path.startswith(f"{folder}/") for folder in self.environments):
            return False
        if ".dist-info/" in path:
            return change.path.endswith(_PYTHON_RECORDS)
        before, after = change.before, change.after
        if before is None or after is None or before.kind != FILE or after.kind != FILE:
            return False
        if not path.rpartition("/")[0].endswith("/bin") or max(before.size, after.size) > _MAX_SCRIPT:
            return False
        text = self._store.objects.read(after).decode("utf-8", "replace")
        return text.startswith("#!") and " import " in text and "sys.exit(" in text


def environments_of(store: Store, tree: Digest, folders: Iterable[str]) -> tuple[str, ...]:
    """Return those of the directories (without a leading slash) that are virtual environments."""
    return tuple(folder for folder in folders if text_of(store, tree, f"{folder}/pyvenv.cfg") is not None)

"""What a capture says of itself, in its own tree below `var/lib/envbuild/capture`: the one place that knows the layout.

    about            what was captured: `format 1`, `host NAME`, `user UID NAME`, `option NAME` for each
    left-out         what was not taken: PATH, tab, reason
    unread           what could not be read: PATH, tab, reason; a capture is never partial without saying so
    secrets          what is not in it as it was: PATH, tab, bytes, tab, `whole` or how many values, tab, keyed digest
    state/NAME       text of one kind of state that somebody set or installed, sorted, a record a line
    passing/NAME     the same of what comes and goes by itself, such as the ports that are listened on

No time and no reason is in it: equal machines are equal trees. The entry of the history has those. Paths have no slash
at the beginning and are written as `text.escapes` does it. An image can come from anywhere, so that all of it is
somebody else's text: what does not fit is BadCaptureRecord.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from envbuild.errors import UsageError, fields
from envbuild.plan.image_config import Facts, Program
from envbuild.record import Record
from envbuild.store.objects import TooLargeToRead
from envbuild.store.store import Store
from envbuild.text.escapes import escaped, unescaped
from envbuild.tree.entry import DIRECTORY, FILE, Digest
from envbuild.tree.lookup import LinkCircle, lookup

FORMAT = 1
FOLDER = b"var/lib/envbuild/capture"
"""The directory in a capture's tree. What a machine has there itself is never taken."""
STATE, PASSING = "state", "passing"
"""The directories in it."""
MAX_TEXT = 64 << 20
"""Bytes of one of the files: a million paths that could not be read are as many."""
MAX_KINDS = 500
"""Files in each of the directories."""
MAX_FIELD = 1 << 12
_ABOUT, _LEFT_OUT, _UNREAD, _SECRETS = "about", "left-out", "unread", "secrets"
_NAME = re.compile(r"[a-z][a-z0-9]*(?:[-.][a-z0-9]+)*")
_MAX_NAME = 64
_DIGEST = re.compile(r"[0-9a-f]{64}")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")
_WHOLE = "whole"


@fields
class BadCaptureRecord(UsageError):
    """What an image says of its capture can't be read."""

    file: str
    reason: str

    def text(self) -> tuple[str, str]:
        return f"/{FOLDER.decode()}/{self.file} of the image can't be read: {self.reason}", "capture the machine again"


class About(Record):
    """What was captured: the host's name, who took it, and the options that say what is in it."""

    host: str
    uid: int
    user: str
    options: frozenset[str] = frozenset()
    """Of home, light, secrets."""

    @property
    def as_root(self) -> bool:
        """Whether everything could be read."""
        return self.uid == 0


class Missing(Record):
    """A path that is not in a capture, and why."""

    path: bytes
    reason: str


class Secret(Record):
    """A file that is in a capture without what is secret in it. `size` is that of the file on the machine in bytes,
    `values` how many values in it were replaced, None for all of it; `digest` that of its content under the key of the
    store."""

    path: bytes
    size: int
    values: int | None
    digest: Digest


class CaptureRecord(Record):
    """All that is kept of a capture beside the machine's files."""

    about: About
    left_out: tuple[Missing, ...] = ()
    unread: tuple[Missing, ...] = ()
    secrets: tuple[Secret, ...] = ()
    state: Mapping[str, str] = {}
    passing: Mapping[str, str] = {}
    """Texts by their names."""

    def files(self) -> dict[bytes, bytes]:
        """Return the contents of the files by their paths in the tree."""
        texts = {
            _ABOUT: about_text(self.about),
            _LEFT_OUT: missing_text(self.left_out),
            _UNREAD: missing_text(self.unread),
            _SECRETS: secrets_text(self.secrets),
            **{f"{STATE}/{_checked(name)}": text for name, text in self.state.items()},
            **{f"{PASSING}/{_checked(name)}": text for name, text in self.passing.items()},
        }
        return {FOLDER + b"/" + name.encode(): text.encode("utf-8") for name, text in texts.items()}


def state_path(name: str) -> bytes:
    """Return the path of one kind of state in a capture's tree."""
    return b"%s/%s/%s" % (FOLDER, STATE.encode(), _checked(name).encode())


def state_name(path: bytes) -> tuple[str, str] | None:
    """Return (STATE or PASSING, name) of a path of a capture's tree, None if it is that of neither."""
    folder, _, name = path.removeprefix(FOLDER + b"/").decode("utf-8", "replace").partition("/")
    if not path.startswith(FOLDER + b"/") or folder not in (STATE, PASSING) or not _is_name(name):
        return None
    return folder, name


def rows_text(rows: Iterable[tuple[str, ...]]) -> str:
    """Return the text of records, whose fields can hold anything: sorted, none twice, fields between tabs."""
    return "".join(f"{line}\n" for line in sorted({"\t".join(escaped(_bytes(field)) for field in row) for row in rows}))


def rows_of(text: str) -> list[tuple[str, ...]]:
    """Return the records of a text of state. Lines that `rows_text` doesn't write are taken as they are."""
    return [tuple(map(_field, line.split("\t"))) for line in text.split("\n") if line]


def capture_facts(architecture: str, epoch: int) -> Facts:
    """Return the facts of every capture of a machine of this architecture; `epoch` is the latest time of its files. So
    they follow from what a lock pins."""
    return Facts(architecture, epoch, start=Program(("/bin/sh",)))


def is_capture(store: Store, tree: Digest) -> bool:
    """Return whether a tree is that of a capture. What it says of itself may still be BadCaptureRecord."""
    try:
        entry = lookup(store.trees, tree, FOLDER + b"/" + _ABOUT.encode())
    except LinkCircle:
        return False
    return entry is not None and entry.kind == FILE


def read_about(store: Store, tree: Digest) -> About | None:
    """Return what a tree says of its capture, None if it is of none. Raises BadCaptureRecord."""
    text = _text(store, tree, _ABOUT)
    return None if text is None else parse_about(text)


def read_left_out(store: Store, tree: Digest) -> tuple[Missing, ...]:
    """Return what was not taken. Raises BadCaptureRecord."""
    return parse_missing(_text(store, tree, _LEFT_OUT) or "", _LEFT_OUT)


def read_unread(store: Store, tree: Digest) -> tuple[Missing, ...]:
    """Return what could not be read. Raises BadCaptureRecord."""
    return parse_missing(_text(store, tree, _UNREAD) or "", _UNREAD)


def read_secrets(store: Store, tree: Digest) -> tuple[Secret, ...]:
    """Return the files that are not in it as they were. Raises BadCaptureRecord."""
    return parse_secrets(_text(store, tree, _SECRETS) or "")


def read_state(store: Store, tree: Digest, folder: str = STATE) -> dict[str, str]:
    """Return the texts of all kinds of state by their names; with PASSING those of what comes and goes. Empty for a
    tree that is of no capture. Raises BadCaptureRecord."""
    try:
        entry = lookup(store.trees, tree, FOLDER + b"/" + folder.encode())
    except LinkCircle:
        return {}
    if entry is None or entry.kind != DIRECTORY:
        return {}
    entries = store.trees.load(entry.digest)
    if len(entries) > MAX_KINDS:
        raise BadCaptureRecord(folder, f"more than {MAX_KINDS} kinds")
    names = [entry.name.decode("utf-8", "replace") for entry in entries if entry.kind == FILE]
    return {name: _text(store, tree, f"{folder}/{name}") or "" for name in names if _is_name(name)}


def about_text(about: About) -> str:
    """Return the text of what was captured."""
    rows = (f"format {FORMAT}", f"host {_line(about.host)}", f"user {about.uid} {_line(about.user)}")
    return "".join(f"{row}\n" for row in (*rows, *(f"option {option}" for option in sorted(about.options))))


def parse_about(text: str) -> About:
    """Return what `about_text` wrote. Lines with other words are a later version's. Raises BadCaptureRecord."""
    words: dict[str, list[str]] = {}
    for line in text[:MAX_FIELD].splitlines():
        word, _, value = line.partition(" ")
        words.setdefault(word, []).append(value)
    number = words.get("format", [""])[0]
    if not _NUMBER.fullmatch(number) or int(number) < 1:
        raise BadCaptureRecord(_ABOUT, "it has no format")
    if int(number) > FORMAT:
        raise BadCaptureRecord(_ABOUT, f"it has format {number}; this envbuild knows formats up to {FORMAT}")
    uid, _, user = words.get("user", [""])[0].partition(" ")
    if not _NUMBER.fullmatch(uid):
        raise BadCaptureRecord(_ABOUT, "it doesn't say who took the capture")
    host = words.get("host", [""])[0]
    return About(_field(host), int(uid), _field(user), frozenset(filter(_is_name, words.get("option", []))))


def missing_text(missing: Iterable[Missing]) -> str:
    """Return the text of what is not in a capture."""
    return "".join(f"{escaped(row.path)}\t{_line(row.reason)}\n" for row in sorted(missing, key=lambda row: row.path))


def parse_missing(text: str, file: str = _UNREAD) -> tuple[Missing, ...]:
    """Return what `missing_text` wrote. Raises BadCaptureRecord."""
    return tuple(Missing(path, _field(reason)) for path, (reason,) in _rows(text, file, 1))


def secrets_text(secrets: Iterable[Secret]) -> str:
    """Return the text of the files that are not in a capture as they were."""
    return "".join(
        f"{escaped(row.path)}\t{row.size}\t{_WHOLE if row.values is None else row.values}\t{row.digest}\n"
        for row in sorted(secrets, key=lambda row: row.path)
    )


def parse_secrets(text: str) -> tuple[Secret, ...]:
    """Return what `secrets_text` wrote. Raises BadCaptureRecord."""
    secrets = []
    for path, (size, values, digest) in _rows(text, _SECRETS, 3):
        if not _NUMBER.fullmatch(size) or not _DIGEST.fullmatch(digest):
            raise BadCaptureRecord(_SECRETS, f"{escaped(path)} has no size and digest")
        if values != _WHOLE and not _NUMBER.fullmatch(values):
            raise BadCaptureRecord(_SECRETS, f"{escaped(path)} doesn't say what of it is secret")
        secrets.append(Secret(path, int(size), None if values == _WHOLE else int(values), digest))
    return tuple(secrets)


def _rows(text: str, file: str, columns: int) -> Iterator[tuple[bytes, list[str]]]:
    """Yield the path and the other columns of each line. Raises BadCaptureRecord."""
    for number, line in enumerate(text.split("\n"), 1):
        if not line:
            continue
        name, *others = line.split("\t")
        if len(others) != columns:
            raise BadCaptureRecord(file, f"line {number} has not {columns + 1} columns")
        try:
            path = unescaped(name)
        except ValueError as error:
            raise BadCaptureRecord(file, f"line {number}: {error}") from error
        if b"\0" in path or any(part in (b"", b".", b"..") for part in path.split(b"/")):
            raise BadCaptureRecord(file, f"line {number} has no path below the root")
        yield path, others


def _text(store: Store, tree: Digest, file: str) -> str | None:
    path = f"{FOLDER.decode()}/{file}"
    try:
        return store.read_text(tree, path, MAX_TEXT, errors="replace")
    except TooLargeToRead as error:
        raise BadCaptureRecord(file, f"it has {error.entry.size:,} bytes") from error
    except LinkCircle:
        return None


def _line(text: str) -> str:
    """Return a text as a part of a line, of bounded length."""
    return escaped(_bytes(text[:MAX_FIELD]))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _field(text: str) -> str:
    try:
        return unescaped(text).decode("utf-8", "surrogateescape")
    except ValueError:
        return text


def _is_name(name: str) -> bool:
    return len(name) <= _MAX_NAME and _NAME.fullmatch(name) is not None


def _checked(name: str) -> str:
    if not _is_name(name):
        raise ValueError(f"{name!r} is not the name of a kind of state")
    return name

"""Which contents are merged how: by the path of a file."""

from __future__ import annotations

import re

from envbuild.merge import accounts, alternatives, json_documents, paragraphs
from envbuild.merge.lines import MAX_TEXT, is_text, join_texts, merge_lists, merge_logs
from envbuild.merge.path_records import merge_diversions, merge_statoverrides
from envbuild.merge.python_records import MAX_RECORD, merge_python_record
from envbuild.merge.records import BadDatabase, Outcome
from envbuild.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from envbuild.merge.records import Prefer

    Merge = Callable[[bytes, bytes, bytes, Prefer], Outcome]

MAX_LIST = 16 << 20


class Driver(NamedTuple):
    """How a content is merged, and the bytes up to which it is. Without a base `merge` gets an empty one."""

    name: str
    merge: Merge
    most: int


def _paragraphs(form: paragraphs.Form) -> Merge:
    return lambda base, ours, theirs, prefer: paragraphs.merge_paragraphs(form, base, ours, theirs, prefer)


def _accounts(file: accounts.AccountFile) -> Merge:
    return lambda base, ours, theirs, prefer: accounts.merge_accounts(file, base, ours, theirs, prefer)


def _list(base: bytes, ours: bytes, theirs: bytes, prefer: Prefer) -> Outcome:
    if not all(map(is_text, (ours, theirs))):
        raise BadDatabase
    return Outcome(merge_lists(base, ours, theirs))


def _union(base: bytes, ours: bytes, theirs: bytes, prefer: Prefer) -> Outcome:
    if not all(map(is_text, (base, ours, theirs))):
        raise BadDatabase
    return Outcome(join_texts(base, ours, theirs))


def _log(base: bytes, ours: bytes, theirs: bytes, prefer: Prefer) -> Outcome:
    return Outcome(merge_logs(base, ours, theirs))


def _newer(base: bytes, ours: bytes, theirs: bytes, prefer: Prefer) -> Outcome:
    """Take either of two caches that their own programs write anew: the larger, so that it is the same one whoever
    merges."""
    return Outcome(max(ours, theirs, key=lambda content: (len(content), content)))


_LIST = Driver("list", _list, MAX_LIST)
_JSON = Driver("json", json_documents.merge_json, json_documents.MAX_DOCUMENT)
_BY_PATH = {
    b"var/lib/dpkg/status": Driver("dpkg status", _paragraphs(paragraphs.STATUS), paragraphs.MAX_DATABASE),
    b"var/lib/apt/extended_states": Driver("apt marks", _paragraphs(paragraphs.MARKS), paragraphs.MAX_DATABASE),
    b"var/lib/dpkg/diversions": Driver("dpkg diversions", merge_diversions, MAX_LIST),
    b"var/lib/dpkg/statoverride": Driver("dpkg statoverrides", merge_statoverrides, MAX_LIST),
    **{
        b"var/cache/debconf/" + name: Driver("debconf", _paragraphs(paragraphs.DEBCONF), paragraphs.MAX_DATABASE)
        for name in (b"config.dat", b"templates.dat", b"passwords.dat")
    },
    **{path: Driver("accounts", _accounts(file), accounts.MAX_ACCOUNTS) for path, file in accounts.FILES.items()},
    **{path: Driver("subordinate ids", accounts.merge_ranges, accounts.MAX_ACCOUNTS) for path in accounts.RANGES},
}
_BY_PATTERN = (
    (
        re.compile(rb"var/lib/dpkg/alternatives/[^/]+"),
        Driver("alternatives", alternatives.merge_alternatives, alternatives.MAX_ALTERNATIVE),
    ),
    (
        re.compile(
            rb"var/lib/dpkg/triggers/[^/]+|var/lib/ucf/(?:hashfile|registry)|etc/shells"
            rb"|etc/ca-certificates\.conf|etc/python3?/[^/]*\.d/[^/]+|.*-packages/[^/]+\.pth"
            rb"|var/lib/systemd/deb-systemd-[^/]+/.*"
        ),
        _LIST,
    ),
    (re.compile(rb".*\.dist-info/RECORD"), Driver("Python RECORD", merge_python_record, MAX_RECORD)),
    (re.compile(rb".*\.json|.*/\.package-lock\.json"), _JSON),
    (re.compile(rb"usr/share/info/dir(?:\.old)?"), Driver("union", _union, MAX_TEXT)),
    (re.compile(rb"var/log/.*"), Driver("log", _log, MAX_LIST)),
    (
        # What is made anew, and what is an earlier version of something else.
        re.compile(
            rb"var/cache/(?!debconf/).*|var/.*-old|etc/(?:passwd|group|shadow|gshadow|subuid|subgid)-"
            rb"|var/lib/ucf/(?:hashfile|registry)\.\d+"
        ),
        Driver("cache", _newer, MAX_LIST),
    ),
)


def driver_of(path: bytes) -> Driver | None:
    """Return how a content at a path is merged; None where it is a file as any other."""
    driver = _BY_PATH.get(path)
    if driver is not None:
        return driver
    return next((known for pattern, known in _BY_PATTERN if pattern.fullmatch(path)), None)

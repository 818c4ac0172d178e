"""What a run of the test says of a candidate."""

from __future__ import annotations

import re

from envbuild.record import Record

GOOD, BAD, UNRESOLVED = "good", "bad", "unresolved"
Verdict = str
"""One of the words above."""
SKIP = 125
"""The exit code by which a test says that it can't tell (git-bisect(1), "bisect run")."""
MAX_WORDS = 300
"""Characters of a test's last line that are compared."""
_VARYING = re.compile(r"[\w.:+-]*\d[\w.:+-]*")


class Observation(Record):
    """How a test ended: `status` is its exit code, or 128 + the number of the signal that ended it. `says` tells
    whether it printed the text that is expected, `last_words` are its last line as `last_words_of` has it. A test that
    was not `started` says nothing of what it tests."""

    status: int
    timed_out: bool = False
    says: bool = False
    started: bool = True
    last_words: str = ""


class Failure(Record):
    """The failure that is looked for: one that prints a `text`, if it is not empty, or ends with an exit code
    (`status`) or by its time limit; with both a text and a code, one that does both. Where the bad environment always
    fails with the same `last_words`, another failure of that code is not the one that is looked for."""

    text: str = ""
    status: int | None = None
    timed_out: bool = False
    last_words: str | None = None


def last_words_of(output: str) -> str:
    """Return the last line of what a test printed, without what may be another one each time: numbers, and words with
    digits in them."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return _VARYING.sub("#", lines[-1])[:MAX_WORDS] if lines else ""


def verdict_of(seen: Observation, failure: Failure) -> Verdict:
    """Return what a run says: whether it is the failure that is looked for, a success, or neither."""
    if not seen.started or (seen.status == SKIP and not seen.timed_out):
        return UNRESOLVED
    if failure.text:
        if seen.says and failure.status in (None, seen.status):
            return BAD
    elif seen.timed_out:
        return BAD if failure.timed_out else UNRESOLVED
    elif failure.status == seen.status:
        return BAD if failure.last_words in (None, seen.last_words) else UNRESOLVED
    return GOOD if seen.status == 0 and not seen.says and not seen.timed_out else UNRESOLVED


def failure_of(seen: Observation, text: str, status: int | None) -> Failure:
    """Return the failure to look for, from that of the bad environment and what the user expects."""
    if text or status is not None:
        return Failure(text, status)
    return Failure("", None, True) if seen.timed_out else Failure("", seen.status)

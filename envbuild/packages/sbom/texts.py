"""What both forms of a bill of materials take over from records of packages, made fit for them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from license_expression import get_spdx_licensing

from envbuild.packages.inventory.bad_record import BadRecord

BAD_RECORD = "envbuild:bad-record"
MAX_BAD = 1000
"""Records that can't be read and are named; of the rest there is the number."""
MAX_BRACKETS = 20
"""Brackets of an expression of licences: its parser calls itself for each."""
_HOMEPAGE = re.compile(r"https?://[A-Za-z0-9.-]{1,253}(?::[0-9]{1,5})?(?:/[!#$%&'()*+,./0-9:;=?@A-Z_a-z~-]{0,2000})?")
_EXPRESSION = re.compile(r"[A-Za-z0-9 .+():-]{1,500}")


def plain(text: str) -> str:
    """Return a text that any encoder takes: bytes of a path that are not UTF-8, and what a terminal would act on, as
    escapes."""
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def bad_texts(bad: Sequence[BadRecord]) -> list[str]:
    """Return a line for each record that can't be read."""
    texts = [plain(f"{record.path} ({record.kind}): {record.reason}") for record in bad[:MAX_BAD]]
    if len(bad) > MAX_BAD:
        texts.append(f"and {len(bad) - MAX_BAD} more")
    return texts


def homepage(text: str) -> str:
    """Return an address of a page as a package gives it, "" for what is not one."""
    return text if _HOMEPAGE.fullmatch(text) else ""


@cache
def is_expression(licence: str) -> bool:
    """Return whether it is an expression of SPDX's licences (SPDX 2.3, annex D)."""
    if not _EXPRESSION.fullmatch(licence) or licence.count("(") > MAX_BRACKETS:
        return False
    try:
        get_spdx_licensing().parse(licence, validate=True, strict=True)
    except Exception:
        # A parser of others, on words of others: it has more kinds of errors for them than it names.
        return False
    return True

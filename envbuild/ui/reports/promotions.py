"""Promotions as lines and as plain data. What a registry has on record is its claim, and is shown as that."""

from __future__ import annotations

from envbuild.text.enumeration import first_of
from envbuild.ui.sanitize import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from envbuild.sharing.promotion import Promotion

_MAX_CHECKS = 8
"""Checks of a promotion that are shown."""
_SHOWN = len("sha256:") + 12
CLAIM = "what the registry has on record: nobody has signed it"


def history_lines(name: str, history: Sequence[tuple[str, Sequence[Promotion]]]) -> Iterator[str]:
    """Yield the lines of what a tag of a registry named, the newest first."""
    for number, (digest, promotions) in enumerate(history):
        yield f"{visible(name)}  {digest[:_SHOWN]}{'  (now)' if not number else ''}"
        for promotion in promotions:
            yield f"    {line(promotion.plain)}"
        if not promotions:
            yield "    no promotion of it is on record"
    yield f"note: {CLAIM}"


def line(plain: Mapping[str, Any]) -> str:
    """Return a promotion in a line."""
    passed = first_of([visible(check) for check in plain["checks"]], _MAX_CHECKS)
    who = f"by {visible(plain['user'])}@{visible(plain['host'])}, {visible(plain['when'])}"
    way = f"{visible(plain['target'])} promoted from {visible(plain['source'])} {who}"
    return f"{way}; passed: {passed}" if passed else way


def history_plain(history: Sequence[tuple[str, Sequence[Promotion]]]) -> list[dict[str, Any]]:
    """Return the documented JSON form (docs/commands.md)."""
    return [
        {"manifest": digest, "promotions": [promotion.plain for promotion in promotions]}
        for digest, promotions in history
    ]

"""A list in a sentence that names the first of many, and says how many it does not name."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def first_of(names: Sequence[str], most: int, between: str = ", ") -> str:
    """Return `a, b and 4 more` for more than `most` names, all of them for fewer."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{between.join(names[:most])}{more}"

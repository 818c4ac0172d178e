"""Rows and JSON texts of the database, held against their shape before anything relies on them.

SQLite keeps whatever it is given in any column, and a text that was damaged, or that somebody else wrote, can be JSON
of any form. What does not fit is StoreDamaged, which says what to do.
"""

from __future__ import annotations

from envbuild.store.database import PartDamaged
from envbuild.text import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

Shape = object
"""A type; a list of one shape, for a list of any length; a tuple of shapes, for a list of that length; a dictionary of
the fields that an object has, those with `?` behind their names if they have to be there at all, or of the one field
`*`, for any number of any name; a set of shapes, any of which will do. None stands for itself."""

_MAX_INTEGER = 1 << 63
"""Numbers are smaller than this, so that each has a calendar's date or a duration or at least can be shown."""

_STEP = {
    "text": str,
    "file": str,
    "line": int,
    "kind": str,
    "key": str,
    "tree": str,
    "output": str,
    "seconds": float,
    "owners_kept": bool,
    "packages?": [(str, str, str, str)],
    "commit?": (str, str),
}
_SOURCES = {
    "tree?": str,
    "recipe?": str,
    "locks?": {"*": str},
    "files?": [str],
    "settings?": {"*": str},
    "stage?": str,
    "secrets?": [str],
    "epoch?": int,
}
DETAIL = {
    "recipe?": str,
    "path?": str,
    "parameters?": {"*": str},
    "stages?": [{"stage": str, "base": str, "origin": str, "tree": str, "image?": str, "steps": [_STEP]}],
    "sources?": _SOURCES,
    "commit?": {"instance": str},
}
"""The detail of an image (build/publish.py, drift/commit.py)."""
FAILURE = {"output": str, "file": str, "line": int, "text": str, "parameters": {"*": str}}
"""The detail of a failed build (build/step_failure.py)."""
KNOWN = {
    **{f"{name}?": str for name in ("user", "recipe", "commit", "file", "root", "source", "to", "instance", "from")},
    **{f"{name}?": str for name in ("host", "replaced", "base", "reason", "trigger")},
    "checks?": [str],
    "promotions?": [
        {
            "source": str,
            "target": str,
            "digest": str,
            "replaced": str,
            "user": str,
            "host": str,
            "when": str,
            "checks": [str],
        }
    ],
    "branch?": frozenset((str, None)),
    "dirty?": bool,
    "seconds?": float,
    **{f"{name}?": int for name in ("ran", "cached", "entry")},
}
"""What is known of a move of a tag (tags.py)."""


def read_text(text: str, shape: Shape, what: str) -> dict[str, Any]:
    """Return what a text says. Raises StoreDamaged, which says that it was `what`."""
    try:
        plain: dict[str, Any] = json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise PartDamaged(what, "is not JSON") from error
    if not fits(plain, shape):
        raise PartDamaged(what, "is not as envbuild writes it")
    return plain


def typed(row: Sequence[Any], shapes: Sequence[Shape], what: str) -> Sequence[Any]:
    """Return a row whose values fit. Raises StoreDamaged."""
    if len(row) != len(shapes) or not all(map(fits, row, shapes)):
        raise PartDamaged(what, "is not as envbuild writes it")
    return row


def fits(value: object, shape: Shape) -> bool:
    """Tell whether a value has this shape."""
    if isinstance(shape, type):
        if shape in (int, float):
            number = isinstance(value, int if shape is int else (int, float)) and not isinstance(value, bool)
            return number and -_MAX_INTEGER < value < _MAX_INTEGER  # type: ignore[operator]  # no NaN is
        return isinstance(value, shape)
    if isinstance(shape, list):
        return isinstance(value, list | tuple) and all(fits(item, shape[0]) for item in value)
    if isinstance(shape, tuple):
        return isinstance(value, list | tuple) and len(value) == len(shape) and all(map(fits, value, shape))
    if isinstance(shape, frozenset):
        return any(fits(value, item) for item in shape)
    if isinstance(shape, dict):
        return isinstance(value, dict) and _has_fields(value, shape)
    return value is shape


def _has_fields(value: dict[str, object], shape: dict[str, Shape]) -> bool:
    """Tell whether an object has the fields of a shape; another version of envbuild may have given it more."""
    if "*" in shape:
        return all(fits(item, shape["*"]) for item in value.values())
    for name, inner in shape.items():
        plain = name.removesuffix("?")
        if plain in value:
            if not fits(value[plain], inner):
                return False
        elif plain == name:
            return False
    return True

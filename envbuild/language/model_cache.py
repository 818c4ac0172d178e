"""A recipe's model as bytes and back, so that an unchanged recipe need not be parsed again.

The bytes are a checksum and marshalled nested tuples: fast to load, with nothing to import. They are valid only for the
Python and the envbuild that wrote them; the caller must put both into their key. marshal trusts its input, so this is
for the user's own store only: the checksum finds damage, not malice.
"""

from __future__ import annotations

import marshal
from zlib import crc32

from envbuild.language import base_kinds, model, statement_parts
from envbuild.record import Record, values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_MAGIC = b"envbuild recipe 6\n"
_CLASSES: dict[str, type[Record]] = {
    name: item
    for module in (statement_parts, base_kinds, model)
    for name, item in vars(module).items()
    if isinstance(item, type) and issubclass(item, Record)
}


def dump(recipe: model.Recipe) -> bytes:
    """Return the model as bytes. load(dump(recipe)) == recipe."""
    body = marshal.dumps(_plain(recipe))
    return _MAGIC + crc32(body).to_bytes(4, "big") + body


_FILES = model.Recipe.__match_args__.index("files")


def load(data: bytes, *, fits: Callable[[str, str], bool] = lambda path, digest: True) -> model.Recipe | None:
    """Return the model that `dump` wrote; None unless `fits` says of each of its files (path and digest) that it is
    what the model was made from. Raises ValueError for bytes that `dump` did not write."""
    start = len(_MAGIC) + 4
    body = data[start:]
    if data[: len(_MAGIC)] != _MAGIC or crc32(body).to_bytes(4, "big") != data[len(_MAGIC) : start]:
        raise ValueError("these bytes are not a recipe's model")
    try:
        plain = marshal.loads(body)
        # First, since making the records of a long recipe takes as long as reading it.
        if not all(fits(path, digest) for _, path, digest in plain[1 + _FILES][1:]):
            return None
        recipe = _record(plain)
    except (EOFError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise ValueError(f"a recipe's model can't be read: {error}") from error
    if not isinstance(recipe, model.Recipe):
        raise ValueError("these bytes are not a recipe's model")
    return recipe


def _plain(value: Any) -> Any:
    """Return records as (class name, fields ...), tuples as (None, items ...), and anything else unchanged."""
    if isinstance(value, Record):
        return (type(value).__name__, *[_plain(field) for field in values(value)])
    if isinstance(value, tuple):
        return (None, *[_plain(item) for item in value])
    return value


def _record(value: Any) -> Any:
    if not isinstance(value, tuple):
        return value
    items = [_record(item) for item in value[1:]]
    return tuple(items) if value[0] is None else _CLASSES[value[0]](*items)

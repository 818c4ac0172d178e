"""JSON that others wrote: resolvers in a sandbox, indexes, registries. It is looked at before anything is taken from
it, field by field, and what is not as it should be is an error with its place."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from envbuild.errors import WorkFailed, fields


@fields
class BadDocument(WorkFailed):
    """A document that others wrote is not what it should be."""

    what: str
    reason: str

    def text(self) -> tuple[str, str]:
        return f"{self.what} is not as it should be: {self.reason}", "nothing was taken from it"


class Fields:
    """One object of a document; `what` says which document it is of. Each method raises BadDocument."""

    def __init__(self, plain: object, what: str) -> None:
        if not isinstance(plain, dict):
            raise BadDocument(what, f"expected an object, found {_kind(plain)}")
        self._plain = plain
        self._what = what

    def text(self, name: str, default: str | None = None) -> str:
        """Return a field that is a text; with `default` it may be missing."""
        value = self._plain.get(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, str):
            raise BadDocument(self._what, f"'{name}' is {_kind(value)} and not a text")
        return value

    def flag(self, name: str) -> bool:
        """Return whether a field has a value that means yes."""
        return bool(self._plain.get(name))

    def any(self, name: str) -> object:
        """Return the value of a field, None if it is missing."""
        return self._plain.get(name)

    def fields(self, name: str) -> Fields:
        """Return a field that is an object; an empty one if it is missing."""
        value = self._plain.get(name)
        return Fields({} if value is None else value, self._what)

    def objects(self, name: str) -> list[Fields]:
        """Return the objects of a field that is a list."""
        value = self._plain.get(name)
        if not isinstance(value, list):
            raise BadDocument(self._what, f"'{name}' is {_kind(value)} and not a list")
        return [Fields(item, self._what) for item in value]

    def items(self) -> Iterator[tuple[str, Fields]]:
        """Yield the names of the fields, each with the object that it holds."""
        for name, value in self._plain.items():
            yield str(name), Fields(value, self._what)

    def names(self) -> list[str]:
        return list(map(str, self._plain))


def fields_of(content: bytes | str, what: str) -> Fields:
    """Return the object that a JSON document is. Raises BadDocument."""
    return Fields(value_of(content, what), what)


def value_of(content: bytes | str, what: str) -> Any:
    """Return what a JSON document holds. Raises BadDocument."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deep" if isinstance(error, RecursionError) else f"it is not JSON ({error})"
        raise BadDocument(what, reason) from None


def _kind(value: object) -> str:
    return {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "missing"}.get(
        type(value), "a number"
    )

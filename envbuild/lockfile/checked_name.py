"""Names that locks, indexes, resolvers and packages give: data, which is checked against the grammar of its ecosystem
before anything is named after it."""

from __future__ import annotations

from envbuild.errors import WorkFailed, fields
from envbuild.linux.nofollow import Component, NotPlain

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from typing import Self

MAX_NAME = 300
"""Characters of a name."""
_MAX_SHOWN = 120


@fields
class UnsafeName(WorkFailed):
    """A text is not the name of what it should name."""

    what: str
    name: str

    def text(self) -> tuple[str, str]:
        shown = self.name if len(self.name) <= _MAX_SHOWN else f"{self.name[:_MAX_SHOWN]}..."
        return (
            f"{shown!r} is not {self.what}",
            "it came from a lock, an index or a package itself, and may be meant to mislead: nothing was written. "
            "If it is in the lock, see who changed that line, or renew it with: envbuild update",
        )


def is_name(kind: type[str], text: str) -> bool:
    """Return whether a text is a valid name or version of this kind."""
    try:
        kind(text)
    except UnsafeName:
        return False
    return True


class CheckedName(str):
    """A text that the `grammar` of its class matches in full; `what` is what messages call it."""

    __slots__ = ()
    grammar: re.Pattern[str]
    what: str

    def __new__(cls, text: str) -> Self:
        if len(text) > MAX_NAME or cls.grammar.fullmatch(text) is None:
            raise UnsafeName(cls.what, text)
        return super().__new__(cls, text)


class CheckedFileName(Component):
    """A file name that the `grammar` of its class matches in full; `what` is what messages call it."""

    __slots__ = ()
    grammar: re.Pattern[str]
    what: str

    def __new__(cls, text: str) -> Self:
        if cls.grammar.fullmatch(text) is None:
            raise UnsafeName(cls.what, text)
        try:
            return super().__new__(cls, text)
        except NotPlain:
            raise UnsafeName(cls.what, text) from None

"""Regular expressions that are compiled when they are first used, with what was compiled before by the same command.

Loading `re` takes 4 ms of a start, and compiling the dozens of expressions that the recipe language has 5 more. What
`re` made of them once is kept with the command's modules (module_pack.py).
"""

from __future__ import annotations

from envbuild import module_pack

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterator


class Pattern:
    """A regular expression as `re.compile` would return it. Flags are written in it: `(?s)`."""

    __slots__ = ("_compiled", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._compiled: re.Pattern[str] | None = None

    def compiled(self) -> re.Pattern[str]:
        """Return what Python matches with."""
        if self._compiled is None:
            self._compiled = _kept(self.text) or _new(self.text)
        return self._compiled

    def match(self, string: str, begin: int = 0) -> re.Match[str] | None:
        """Match at a place of a text."""
        return self.compiled().match(string, begin)

    def fullmatch(self, string: str) -> re.Match[str] | None:
        """Match all of a text."""
        return self.compiled().fullmatch(string)

    def search(self, string: str, begin: int = 0) -> re.Match[str] | None:
        """Find the first place of a text that matches, from one place on."""
        return self.compiled().search(string, begin)

    def finditer(self, string: str) -> Iterator[re.Match[str]]:
        """Yield all places of a text that match, one after the other."""
        return self.compiled().finditer(string)

    def sub(self, made: str | Callable[[re.Match[str]], str], string: str) -> str:
        """Return a text with each place that matches replaced."""
        return self.compiled().sub(made, string)


def _kept(text: str) -> re.Pattern[str] | None:
    program = module_pack.program(text)
    return module_pack.from_program(text, program) if program is not None else None


def _new(text: str) -> re.Pattern[str]:
    import re

    module_pack.note_new_pattern(text)
    return re.compile(text)

"""The parameters that are known while a recipe is read, and where they are used."""

from __future__ import annotations

from envbuild.record import Pairs
from envbuild.text.diagnostics import Diagnostic
from envbuild.text.pattern import Pattern

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

BUILT_IN = ("recipe", "arch")
_MENTION = Pattern(r"\$\{?[#!]?([A-Za-z_][A-Za-z0-9_]*)")


class Scope:
    """The parameters of one recipe, across all its files; they grow as statements are read.

    `settings` are the values of `--set`. A name that is used before it is declared is remembered: if a declaration
    follows, that is reported, and otherwise the use.
    """

    def __init__(self, settings: Mapping[str, str], recipe: str, arch: str) -> None:
        self.settings = settings
        self.values = {"recipe": recipe, "arch": arch}
        self.choices: dict[str, tuple[str, ...]] = {}
        self.declared: dict[str, str] = {}
        """Where each parameter was declared, as FILE:LINE."""
        self.first_uses: dict[str, str] = {}
        """Where each name was first used, as FILE:LINE, whether it was declared or not."""
        self.unknown: list[tuple[str, Diagnostic]] = []
        self.incomplete = False
        """Whether a file could not be read completely: unknown names may be declared there."""

    def use(self, name: str, where: str) -> str | None:
        """Return the parameter's value, None if it is not declared yet."""
        self.first_uses.setdefault(name, where)
        return self.values.get(name)

    def mentioned(self, text: str, where: str) -> Pairs:
        """Return the parameters that a command mentions as `$name` or `${name...}`, sorted, with their values."""
        names = sorted({mention[1] for mention in _MENTION.finditer(text)})
        for name in names:
            self.first_uses.setdefault(name, where)
        return tuple((name, self.values[name]) for name in names if name in self.values)

    def parameters(self) -> Pairs:
        """Return all parameters defined so far, sorted by name."""
        return tuple(sorted(self.values.items()))

    def own(self) -> Pairs:
        """Return the parameters that the recipe declares, in that order."""
        return tuple((name, self.values[name]) for name in self.declared)

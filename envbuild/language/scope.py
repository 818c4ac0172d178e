"""The parameters that are known while a recipe is read, and what mentions them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from envbuild.text.diagnostics import Diagnostic

BUILT_IN = ("recipe", "arch")
_MENTION = re.compile(r"\$\{?[#!]?([A-Za-z_][A-Za-z0-9_]*)")


class Scope:
    """Grows as statements are read, across all files of one recipe.

    `settings` are the values of `--set`. A name that is used before it is declared is remembered: a later
    declaration is then what is wrong, and without one the use is.
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
        """A file could not be read whole, so what is not known may be declared there."""

    def use(self, name: str, where: str) -> str | None:
        """The parameter's value, None if there is no such parameter so far."""
        self.first_uses.setdefault(name, where)
        return self.values.get(name)

    def mentioned(self, text: str, where: str) -> tuple[tuple[str, str], ...]:
        """The parameters that a command's text mentions as `$name` or `${name...}`, sorted, with their values."""
        names = sorted(set(_MENTION.findall(text)))
        for name in names:
            self.first_uses.setdefault(name, where)
        return tuple((name, self.values[name]) for name in names if name in self.values)

    def parameters(self) -> tuple[tuple[str, str], ...]:
        """All that are defined now, in order of name."""
        return tuple(sorted(self.values.items()))

    def own(self) -> tuple[tuple[str, str], ...]:
        """Those that the recipe declares, in the order of their declarations."""
        return tuple((name, self.values[name]) for name in self.declared)

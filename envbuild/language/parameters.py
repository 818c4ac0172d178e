"""The statement `param`, and the parameters that an `include` passes."""

from __future__ import annotations

from envbuild.language import values
from envbuild.language.foreign_forms import single_quotes
from envbuild.language.reader import Reader
from envbuild.language.scope import BUILT_IN, Scope
from envbuild.language.syntax import StatementSyntax, Word
from envbuild.text.suggestion import did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class Declarations:
    """The declared parameters, put into the scope: `--set` overrides the value from an include, and that the
    default."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.met: set[str] = set()
        """The names of all declared parameters."""
        self.by_file: dict[str, set[str]] = {}

    def declare(self, statement: StatementSyntax, reader: Reader, given: Mapping[str, str]) -> None:
        word, value, *choices = statement.words
        scope, where = self.scope, reader.where(word.span)
        name = reader.checked(values.parameter, word.literal() or "", word.span)
        default = reader.expand(value)
        allowed = tuple(text for choice in choices if (text := reader.expand(choice)) is not None)
        quoted = single_quotes([value, *choices], reader.tree.lines)
        if quoted is not None:
            reader.error(quoted[0].span, "single quotes have no meaning in a recipe", f"as in: {quoted[1]}")
        if name is None:
            return
        again = scope.declared.get(name)
        if name in BUILT_IN:
            reader.error(word.span, f"the parameter '{name}' is predefined", "choose another name")
            return
        if again is not None and again != where:
            reader.error(word.span, f"the parameter '{name}' is declared twice", f"it is first declared at {again}")
            return
        if again is None and name in scope.first_uses:
            message = f"the parameter '{name}' is declared after its use at {scope.first_uses[name]}"
            reader.error(word.span, message, "move it above that line")
        self.met.add(name)
        self.by_file.setdefault(reader.tree.file, set()).add(name)
        scope.declared[name] = where
        scope.choices[name] = allowed
        chosen, source = default or "", ""
        if name in scope.settings:
            chosen, source = scope.settings[name], " (from --set)"
        elif name in given:
            chosen, source = given[name], " (from include)"
        scope.values[name] = chosen
        if choices and len(allowed) == len(choices):
            for text, origin, span in ((default, "", value.span), (chosen, source, word.span)):
                if text is not None and text not in allowed and (origin or span is value.span):
                    hint = did_you_mean(text, allowed, f"it can be: {', '.join(allowed)}")
                    reader.error(span, f"the parameter '{name}' can't be '{text}'{origin}", hint)
        if "\0" in chosen:
            reader.error(word.span, f"the parameter '{name}' can't contain a NUL{source}")

    def given(self, words: list[Word], reader: Reader) -> dict[str, tuple[str, Word]]:
        """Return the NAME=VALUE words of an include."""
        result: dict[str, tuple[str, Word]] = {}
        for word in words:
            text = reader.expand(word)
            if text is None:
                continue
            name, equals, value = text.partition("=")
            if not equals:
                reader.error(word.span, f"'{text}' is not of the form NAME=VALUE", "an include takes one path")
            elif name in result:
                reader.error(word.span, f"'{name}' is given twice", "give it once")
            elif reader.checked(values.parameter, name, word.span) is not None:
                result[name] = (value, word)
        return result

"""`param`, and the parameters that an `include` gives."""

from __future__ import annotations

from collections.abc import Mapping

from envbuild.language import values
from envbuild.language.reader import Context
from envbuild.language.scope import BUILT_IN, Scope
from envbuild.language.syntax import Word, Written
from envbuild.text.suggestion import did_you_mean


class Declarations:
    """Puts declared parameters into the scope: `--set` goes before what an include gives, that before the default."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.met: set[str] = set()
        """The names of all that were declared."""
        self.by_file: dict[str, set[str]] = {}

    def declare(self, statement: Written, context: Context, given: Mapping[str, str]) -> None:
        word, value, *choices = statement.words
        scope, where = self.scope, context.where(word.span)
        name = context.checked(values.parameter, word.literal() or "", word.span)
        default = context.expand(value)
        allowed = tuple(text for choice in choices if (text := context.expand(choice)) is not None)
        if name is None:
            return
        again = scope.declared.get(name)
        if name in BUILT_IN:
            context.error(word.span, f"the parameter '{name}' is always defined", "choose another name")
            return
        if again is not None and again != where:
            context.error(word.span, f"the parameter '{name}' is declared twice", f"the first time at {again}")
            return
        if again is None and name in scope.first_uses:
            message = f"the parameter '{name}' is declared after its use at {scope.first_uses[name]}"
            context.error(word.span, message, "move it above that line")
        self.met.add(name)
        self.by_file.setdefault(context.tree.file, set()).add(name)
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
                    hint = did_you_mean(text, allowed, f"it may be: {', '.join(allowed)}")
                    context.error(span, f"the parameter '{name}' can't be '{text}'{origin}", hint)
        if "\0" in chosen:
            context.error(word.span, f"the parameter '{name}' can't hold a NUL{source}")

    def given(self, words: list[Word], context: Context) -> dict[str, tuple[str, Word]]:
        """The NAME=VALUE words of an include."""
        result: dict[str, tuple[str, Word]] = {}
        for word in words:
            text = context.expand(word)
            if text is None:
                continue
            name, equals, value = text.partition("=")
            if not equals:
                context.error(word.span, f"'{text}' is no NAME=VALUE", "one include takes one path")
            elif name in result:
                context.error(word.span, f"'{name}' is given twice", "once is enough")
            elif context.checked(values.parameter, name, word.span) is not None:
                result[name] = (value, word)
        return result

"""Where a stage starts: the word after `from`."""

from __future__ import annotations

import re

from envbuild.language import values
from envbuild.language.keywords import BASES
from envbuild.language.model import Base
from envbuild.language.reader import Reader
from envbuild.language.syntax import StatementSyntax
from envbuild.text.suggestion import did_you_mean

_PROGRAM = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]*")
_SUITE = re.compile(r"[a-z][a-z0-9-]*")


def read_base(statement: StatementSyntax, context: Reader) -> Base | None:
    """The base of a stage; None, and errors, if it is none.

    A bare name is taken for a stage's; whether there is one is checked when all stages are known.
    """
    place = context.place(statement)
    if statement.programs is not None:
        programs = []
        for word in statement.programs:
            text = context.expand(word)
            if text is not None and not _PROGRAM.fullmatch(text):
                context.error(word.span, f"'{text}' is no package of this machine", "as in: host(bash, python3)")
            programs.append(text or "")
        return Base("host", "", place, context.folder, tuple(programs))
    word = statement.words[0]
    text = context.expand(word)
    if text is None:
        return None
    kind, colon, argument = text.partition(":")
    if not colon and kind in ("scratch", "host"):
        return Base(kind, "", place, context.folder)
    if not colon:
        name = context.checked(values.name, text, word.span)
        return None if name is None else Base("stage", name, place, context.folder)
    if kind in ("scratch", "host"):
        context.error(word.span, f"{kind} takes nothing after a colon", f"write just {kind}")
        return None
    if kind not in BASES:
        near = did_you_mean(kind, BASES)
        hint = near or "a base is one of: " + ", ".join(BASES.values())
        context.error(word.span, f"unknown base '{kind}'", hint)
        return None
    wrong = (
        not argument
        or (kind == "debian" and not _SUITE.fullmatch(argument))
        or (kind == "registry" and "/" not in argument.strip("/"))
    )
    if wrong:
        message = f"base '{kind}' needs more after its colon" if not argument else f"'{text}' is no base"
        context.error(word.span, message, f"as in: from {BASES[kind]}")
        return None
    return Base(kind, argument, place, context.folder)

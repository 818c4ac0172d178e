"""The base of a stage: the word after `from`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from envbuild.language import values
from envbuild.language.keywords import BASES
from envbuild.language.model import (
    Base,
    Debian,
    Host,
    ImageBase,
    Place,
    RecipeBase,
    ReservedBase,
    Scratch,
    StageBase,
    Tarball,
)
from envbuild.language.reader import Context
from envbuild.language.syntax import Word, Written
from envbuild.text.suggestion import did_you_mean

_PROGRAM = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]*")
_SUITE = re.compile(r"[a-z][a-z0-9-]*")


def read_base(statement: Written, context: Context) -> Base | None:
    """Return the base of a stage; None, after reporting the errors, where the text names none.

    A bare name is taken for a stage's; whether there is one is checked when all stages are known.
    """
    place = context.place(statement)
    if statement.programs is not None:
        return Host(place, _programs(statement.programs, context))
    word = statement.words[0]
    text = context.expand(word)
    if text is None:
        return None
    kind, colon, argument = text.partition(":")
    if not colon:
        return _bare(kind, place, word, context)
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
        message = f"base '{kind}' needs more after its colon" if not argument else f"'{text}' is not a valid base"
        context.error(word.span, message, f"as in: from {BASES[kind]}")
        return None
    match kind:
        case "debian":
            return Debian(place, argument)
        case "tar":
            return Tarball(place, argument, context.folder)
        case "image":
            return ImageBase(place, argument, context.folder)
        case "recipe":
            return RecipeBase(place, argument, context.folder)
        case _:
            return ReservedBase(place, kind, argument)


def _programs(words: Sequence[Word], context: Context) -> tuple[str, ...]:
    programs = []
    for word in words:
        text = context.expand(word)
        if text is not None and not _PROGRAM.fullmatch(text):
            context.error(word.span, f"'{text}' can't be the name of a package", "as in: host(bash, python3)")
        programs.append(text or "")
    return tuple(programs)


def _bare(name: str, place: Place, word: Word, context: Context) -> Base | None:
    if name == "scratch":
        return Scratch(place)
    if name == "host":
        return Host(place)
    checked = context.checked(values.name, name, word.span)
    return None if checked is None else StageBase(place, checked)

"""The base of a stage: the word after `from`."""

from __future__ import annotations

from envbuild.language import values
from envbuild.language.base_kinds import (
    Base,
    Debian,
    Host,
    ImageBase,
    ImageFileBase,
    RecipeBase,
    ReservedBase,
    Scratch,
    StageBase,
    Tarball,
)
from envbuild.language.keywords import BASES
from envbuild.language.reader import Reader
from envbuild.language.statement_parts import Place
from envbuild.language.syntax import StatementSyntax, Word
from envbuild.text.docker_words import base_for
from envbuild.text.pattern import Pattern
from envbuild.text.suggestion import did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_PROGRAM = Pattern(r"[A-Za-z0-9][A-Za-z0-9+._-]*")
_SUITE = Pattern(r"[a-z][a-z0-9-]*")


def read_base(statement: StatementSyntax, reader: Reader) -> Base | None:
    """Return the base of a stage; None, after reporting the errors, where the text names none.

    A bare name is taken for a stage's; whether there is one is checked when all stages are known.
    """
    place = reader.place(statement)
    if statement.programs is not None:
        return Host(place, _programs(statement.programs, reader))
    word = statement.words[0]
    text = reader.expand(word)
    if text is None:
        return None
    kind, colon, argument = text.partition(":")
    if not colon:
        return _bare(kind, place, word, reader)
    if kind in ("scratch", "host"):
        reader.error(word.span, f"{kind} takes nothing after a colon", f"write just {kind}")
        return None
    if kind not in BASES:
        base = base_for(text)
        hint = f"docker's image is not used here: {base}" if base else did_you_mean(kind, BASES)
        hint = hint or "a base is one of: " + ", ".join(BASES.values())
        reader.error(word.span, f"unknown base '{kind}'", hint)
        return None
    wrong = (
        not argument
        or (kind == "debian" and (not _SUITE.fullmatch(argument) or argument == "latest" or argument.endswith("-slim")))
        or (kind == "oci" and (argument.startswith(":") or argument.endswith(":")))
        or (kind == "registry" and "/" not in argument.strip("/"))
    )
    if wrong:
        message = f"base '{kind}' needs more after its colon" if not argument else f"'{text}' is not a valid base"
        form = base_for(text) if kind == "debian" and argument else f"from {BASES[kind]}"
        reader.error(word.span, message, f"as in: {form}")
        return None
    match kind:
        case "debian":
            return Debian(place, argument)
        case "tar":
            return Tarball(place, argument, reader.context)
        case "oci":
            path, _, tag = argument.partition(":")
            return ImageFileBase(place, path, tag, reader.context)
        case "image":
            return ImageBase(place, argument, reader.folder)
        case "recipe":
            return RecipeBase(place, argument, reader.folder)
        case _:
            return ReservedBase(place, kind, argument)


def _programs(words: Sequence[Word], reader: Reader) -> tuple[str, ...]:
    programs = []
    for word in words:
        text = reader.expand(word)
        if text is not None and not _PROGRAM.fullmatch(text):
            reader.error(word.span, f"'{text}' is not a valid package name", "as in: host(bash, python3)")
        programs.append(text or "")
    return tuple(programs)


def _bare(name: str, place: Place, word: Word, reader: Reader) -> Base | None:
    if name == "scratch":
        return Scratch(place)
    if name == "host":
        return Host(place)
    checked = reader.checked(values.name, name, word.span)
    return None if checked is None else StageBase(place, checked)

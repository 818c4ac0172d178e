"""The base of a stage: the word after `from`."""

from __future__ import annotations

from envbuild.language import values
from envbuild.language.base_kinds import (
    Base,
    CaptureBase,
    Debian,
    Host,
    ImageBase,
    ImageFileBase,
    RecipeBase,
    RegistryBase,
    Scratch,
    StageBase,
    Tarball,
)
from envbuild.language.keywords import BASES
from envbuild.language.reader import Reader
from envbuild.language.statement_parts import Place
from envbuild.language.syntax import StatementSyntax, Word
from envbuild.text.docker_words import base_for, hint_for_base
from envbuild.text.pattern import Pattern
from envbuild.text.suggestion import did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_PROGRAM = Pattern(r"[A-Za-z0-9][A-Za-z0-9+._-]*")
_SUITE = Pattern(r"[a-z][a-z0-9-]*")
_CAPTURE = Pattern(r"[A-Za-z0-9][A-Za-z0-9._-]*(@\{[A-Za-z0-9.: +-]{1,40}\})?")
_REGISTRY = Pattern(
    r"[A-Za-z0-9.\[\]:-]{1,255}(/[a-z0-9._-]+)+(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[0-9a-f]{64})?"
)
"""What a name of an image in a registry looks like; registry/reference.py knows exactly."""


def read_base(statement: StatementSyntax, platform: str, reader: Reader) -> Base | None:
    """Return the base of a stage; None, after reporting the errors, where the text names none. `platform` is what its
    option of that name says.

    A bare name is taken for a stage's; whether there is one is checked when all stages are known.
    """
    place = reader.place(statement)
    if statement.programs is not None:
        if platform:
            _refuse_platform(statement, reader)
        return Host(place, _programs(statement.programs, reader))
    word = statement.words[0]
    text = reader.expand(word)
    if text is None:
        return None
    kind, colon, argument = text.partition(":")
    if platform and kind not in ("oci", "registry"):
        _refuse_platform(statement, reader)
    if not colon:
        return _bare(kind, place, word, reader)
    if kind in ("scratch", "host"):
        reader.error(word.span, f"{kind} takes nothing after a colon", f"write just {kind}")
        return None
    if kind not in BASES:
        reader.error(word.span, f"unknown base '{kind}'", _meant(text, kind))
        return None
    wrong = (
        not argument
        or (kind == "debian" and (not _SUITE.fullmatch(argument) or argument == "latest" or argument.endswith("-slim")))
        or (kind == "oci" and (argument.startswith(":") or argument.endswith(":")))
        or (kind == "capture" and not _CAPTURE.fullmatch(argument))
        or (kind == "registry" and not (_REGISTRY.fullmatch(argument) and _names_host(argument)))
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
            return ImageFileBase(place, path, tag, reader.context, platform)
        case "image":
            return ImageBase(place, argument, reader.folder)
        case "capture":
            return CaptureBase(place, argument)
        case "recipe":
            return RecipeBase(place, argument, reader.folder)
        case _:
            return RegistryBase(place, argument, platform)


def _meant(text: str, kind: str) -> str:
    """Return what a word may mean that begins like no base."""
    if hint := hint_for_base(text):
        return hint
    if _REGISTRY.fullmatch(text) and _names_host(text):
        return f"an image of a registry is written: from registry:{text}"
    return did_you_mean(kind, BASES) or "a base is one of: " + ", ".join(BASES.values())


def _names_host(reference: str) -> bool:
    """Return whether a reference begins with a host, as it has to: no registry is the usual one."""
    host = reference.partition("/")[0]
    return host == "localhost" or "." in host or ":" in host


def _refuse_platform(statement: StatementSyntax, reader: Reader) -> None:
    hint = "other bases are for the machine that builds, or as they were built"
    reader.error(statement.options[0].span, "platform= goes with oci: and registry:", hint)


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

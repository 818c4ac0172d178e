"""What a word is made of: plain text, quoted text with escapes, and `${name}`; and how a word is written."""

from __future__ import annotations

import re

from envbuild.language.syntax import Reference, Span, Word
from envbuild.record import Record

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ESCAPES = {'"': '"', "\\": "\\", "n": "\n", "t": "\t", "$": "$"}
_SPECIAL = re.compile(r'(?P<reference>\$\{(?P<name>[^}\s"]*)\}?)|\\(?P<escape>.)', re.DOTALL)
_SAFE = re.compile(r'[^\s"\\$#(),\x00-\x1f][^\s"\\$(),\x00-\x1f]*')
_ASSIGNED = re.compile(r"([A-Za-z_][A-Za-z0-9._/-]*=)(.*)", re.DOTALL)


class Problem(Record):
    """Something in a word that means nothing."""

    message: str
    span: Span
    hint: str = ""


Parts = tuple["str | Reference", ...]


def quoted(text: str, line: int, column: int) -> tuple[Parts, list[Problem]]:
    """What stands between two quotes: `\\"`, `\\\\`, `\\n`, `\\t`, `\\$` and `${name}` mean something."""
    return _read(text, line, column, escapes=True)


def plain(text: str, line: int, column: int) -> tuple[Parts, list[Problem]]:
    """Text in which `${name}` is replaced and `\\${` is a literal `${`; any other backslash is itself."""
    return _read(text, line, column, escapes=False)


def joined(parts: Parts) -> Parts:
    """The parts with literals that stand side by side made one, and empty ones left out."""
    result: list[str | Reference] = []
    for part in parts:
        if isinstance(part, str) and result and isinstance(result[-1], str):
            result[-1] += part
        elif part != "":
            result.append(part)
    return tuple(result)


def _read(text: str, line: int, column: int, escapes: bool) -> tuple[Parts, list[Problem]]:
    parts: list[str | Reference] = []
    problems: list[Problem] = []
    position = 0
    while found := _SPECIAL.search(text, position):
        parts.append(text[position : found.start()])
        span = Span(line, column + found.start(), len(found[0]))
        position = found.end()
        if found["reference"]:
            if not found[0].endswith("}"):
                problems.append(Problem("'${' without its '}'", span, "write \\${ for the text itself"))
            elif NAME.fullmatch(found["name"]):
                parts.append(Reference(found["name"], span))
            else:
                hint = "only ${name} is replaced here; write \\${ for the text itself"
                problems.append(Problem(f"'{found[0]}' names no parameter", span, hint))
        elif not escapes:
            if text.startswith("\\${", found.start()):
                parts.append("${")
                position = found.start() + 3
            else:
                parts.append("\\")
                position = found.start() + 1
        elif found["escape"] in _ESCAPES:
            parts.append(_ESCAPES[found["escape"]])
        else:
            hint = 'in quotes there are \\" \\\\ \\n \\t \\$'
            problems.append(Problem(f"unknown escape '{found[0]}'", span, hint))
    parts.append(text[position:])
    return joined(tuple(parts)), problems


def written(word: Word) -> str:
    """The word as it is written in a recipe, quoted only where it must be."""
    if not word.parts:
        return '""'
    first, *rest = word.parts
    head = ""
    if isinstance(first, str) and (assigned := _ASSIGNED.fullmatch(first)):
        head, first = assigned[1], assigned[2]
    return head + "".join(_part(part) for part in (first, *rest))


def _part(part: str | Reference) -> str:
    if isinstance(part, Reference):
        return f"${{{part.name}}}"
    if not part or (_SAFE.fullmatch(part) and part != "->"):
        return part
    escaped = part.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return '"' + escaped.replace("${", "\\${").removesuffix("$") + ("\\$" if escaped.endswith("$") else "") + '"'

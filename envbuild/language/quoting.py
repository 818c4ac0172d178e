"""The parts of a word: plain text, quoted text with escapes, and `${name}`; and the word written as text again."""

from __future__ import annotations

from envbuild.language.syntax import Reference, Span, Word
from envbuild.record import Record
from envbuild.text.pattern import Pattern

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = Pattern(r"[A-Za-z_][A-Za-z0-9_]*")
MAX_PROBLEMS = 20
"""A word is read no further than to this many problems: nobody mends the 21st before the first."""
_ESCAPES = {'"': '"', "\\": "\\", "n": "\n", "t": "\t", "$": "$"}
_SPECIAL = Pattern(
    r'(?s)(?P<reference>\$\{(?P<name>[^}\s":]*(?::[-+](?:[^}"$\\]|\$\{[^}\s"$]*\}|\$(?!\{))*|[^}\s"]*))\}?)|\\(?P<escape>.)'
)
_OPERATOR = Pattern(r"(?s)([A-Za-z_][A-Za-z0-9_]*):([-+])(.*)")
_INNER = Pattern(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_DOCKERS = Pattern(r"\$[A-Za-z_]")
_SAFE = Pattern(r'[^\s"\\$#(),\x00-\x1f][^\s"\\$(),\x00-\x1f]*')
_ASSIGNED = Pattern(r"(?s)([A-Za-z_][A-Za-z0-9._/-]*=)(.*)")


class Problem(Record):
    """An error in a recipe's text."""

    message: str
    span: Span
    hint: str = ""


Parts = tuple["str | Reference", ...]


def quoted(text: str, line: int, column: int) -> tuple[Parts, list[Problem]]:
    """Return the parts of a text between quotes: `\\"`, `\\\\`, `\\n`, `\\t`, `\\$` and `${name}` have a meaning."""
    return _read(text, line, column, escapes=True, operators=True)


def plain(text: str, line: int, column: int, *, operators: bool = False) -> tuple[Parts, list[Problem]]:
    """Return the parts of a text in which `${name}` is replaced and `\\${` is a literal `${`; other backslashes
    stay."""
    return _read(text, line, column, escapes=False, operators=operators)


def reference(text: str, span: Span) -> tuple[Reference | None, Problem | None]:
    """Return the reference that stands between `${` and `}`, or what is wrong with it."""
    if NAME.fullmatch(text):
        return Reference(text, span), None
    match = _OPERATOR.fullmatch(text)
    if match is None:
        hint = "as in ${name}, ${name:-default} or ${name:+text}; write \\${ for the text itself"
        return None, Problem(f"'${{{text}}}' is not a valid reference", span, hint)
    name, operator, rest = match.groups()
    parts: list[str | Reference] = []
    position = 0
    for inner in _INNER.finditer(rest):
        # Its own place: behind `${`, the name, `:-` and what comes before it.
        column = span.column + len(name) + 4 + inner.start()
        parts += [rest[position : inner.start()], Reference(inner[1], Span(span.line, column, len(inner[0])))]
        position = inner.end()
    parts.append(rest[position:])
    for part in parts:
        if isinstance(part, str) and ("${" in part or _DOCKERS.search(part)):
            return None, Problem(
                f"'{part}' can't be in a reference", span, "a name in it is written ${name}, and that is all"
            )
    return Reference(name, span, operator, joined(tuple(parts))), None


def reference_names(parts: Parts) -> Iterator[str]:
    """Yield the names that parts of words refer to."""
    for part in parts:
        if isinstance(part, Reference):
            yield part.name
            yield from reference_names(part.text)


def joined(parts: Parts) -> Parts:
    """Return the parts with adjacent literals joined, without empty ones."""
    result: list[str | Reference] = []
    for part in parts:
        if isinstance(part, str) and result and isinstance(result[-1], str):
            result[-1] += part
        elif part != "":
            result.append(part)
    return tuple(result)


def _read(text: str, line: int, column: int, escapes: bool, operators: bool) -> tuple[Parts, list[Problem]]:
    parts: list[str | Reference] = []
    problems: list[Problem] = []
    position = 0
    while len(problems) < MAX_PROBLEMS and (match := _SPECIAL.search(text, position)):
        parts.append(text[position : match.start()])
        span = Span(line, column + match.start(), len(match[0]))
        position = match.end()
        if match["reference"]:
            if not match[0].endswith("}"):
                problems.append(Problem("'${' without its '}'", span, "write \\${ for the text itself"))
                continue
            part, problem = reference(match["name"], span)
            if part is not None and (operators or not part.operator):
                parts.append(part)
            else:
                hint = "only ${name} is replaced here; write \\${ for the text itself"
                problems.append(
                    problem
                    if problem is not None and operators
                    else Problem(f"'{match[0]}' is not a valid reference", span, hint)
                )
        elif not escapes:
            if text.startswith("\\${", match.start()):
                parts.append("${")
                position = match.start() + 3
            else:
                parts.append("\\")
                position = match.start() + 1
        elif match["escape"] in _ESCAPES:
            parts.append(_ESCAPES[match["escape"]])
        else:
            hint = 'the escapes in quotes are \\" \\\\ \\n \\t \\$'
            problems.append(Problem(f"unknown escape '{match[0]}'", span, hint))
    parts.append(text[position:])
    return joined(tuple(parts)), problems


def format_word(word: Word) -> str:
    """Return the word as a recipe has it, quoted only if it must be."""
    if not word.parts:
        return '""'
    first, *rest = word.parts
    head = ""
    if isinstance(first, str) and (assigned := _ASSIGNED.fullmatch(first)):
        head, first = assigned[1], assigned[2]
    return head + "".join(_part(part) for part in (first, *rest))


def _part_of_reference(part: str | Reference) -> str:
    if isinstance(part, str):
        return part
    rest = "".join(map(_part_of_reference, part.text))
    return f"${{{part.name}:{part.operator}{rest}}}" if part.operator else f"${{{part.name}}}"


def _part(part: str | Reference) -> str:
    if isinstance(part, Reference):
        text = _part_of_reference(part)
        return f'"{text}"' if any(letter.isspace() for letter in text) else text
    if not part or (_SAFE.fullmatch(part) and part != "->"):
        return part
    escaped = part.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return '"' + escaped.replace("${", "\\${").removesuffix("$") + ("\\$" if escaped.endswith("$") else "") + '"'

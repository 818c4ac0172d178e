"""Patterns over paths, with the meaning that gitignore(5) gives them: `exclude=`, `.envignore` and `discard`.

Whoever wrote them, a path is matched in a time that grows with the length of the path times that of the pattern. So
the expressions decide each `*` and each `**` once: what follows one, up to the next, is taken at the first place where
it fits, which is right for patterns of this kind, and an atomic group keeps the matcher from trying the others.
"""

from __future__ import annotations

from envbuild.errors import UsageError, fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from collections.abc import Iterable

MAX_PATTERN = 4096
"""Bytes of a pattern: no path has more (PATH_MAX)."""


@fields
class BadPattern(UsageError):
    """A pattern that is too long to match anything."""

    pattern: str

    def text(self) -> tuple[str, str]:
        return (
            f"the pattern '{self.pattern[:40]}...' has more than {MAX_PATTERN:,} bytes",
            "a pattern stands in a line of its own",
        )


class Matcher:
    """A list of patterns, of which the last one that matches a path decides."""

    def __init__(self, rules: list[tuple[re.Pattern[bytes], bool, bool]], source: tuple[str, ...]) -> None:
        self._rules = rules
        self.source = source
        # Without `!` one alternation answers for all patterns at once.
        self._plain: tuple[re.Pattern[bytes], re.Pattern[bytes]] | None = None
        if rules and not any(negated for _, negated, _ in rules):
            for_files = b"|".join(pattern.pattern for pattern, _, only in rules if not only) or b"(?!)"
            for_directories = b"|".join(pattern.pattern for pattern, _, _ in rules)
            import re  # only where there are patterns: 3 ms of a start

            self._plain = re.compile(for_files, re.DOTALL), re.compile(for_directories, re.DOTALL)

    def matches(self, path: bytes, is_directory: bool) -> bool:
        """Tell whether the path (relative, without a slash at its start or end) is matched itself.

        What lies in a matched directory is for the caller to leave out, by not descending.
        """
        if self._plain is not None:
            return self._plain[is_directory].fullmatch(path) is not None
        return self.verdict(path, is_directory) or False

    def verdict(self, path: bytes, is_directory: bool) -> bool | None:
        """Return what the last pattern that matches a path says: True, or False for one with `!`; None where none
        does."""
        for pattern, negated, only_directories in reversed(self._rules):
            if (is_directory or not only_directories) and pattern.fullmatch(path):
                return not negated
        return None

    @property
    def takes_back(self) -> bool:
        """Whether any pattern begins with `!`."""
        return any(negated for _, negated, _ in self._rules)

    def __bool__(self) -> bool:
        return bool(self._rules)


def compile_patterns(lines: Iterable[str]) -> Matcher:
    """Return the matcher for these lines; blank ones and comments are passed over. Raises BadPattern."""
    source = tuple(lines)
    rules = []
    for line in source:
        text = line.rstrip("\r\n")
        # A space at the end counts only behind a backslash.
        while text.endswith(" ") and not text.endswith("\\ "):
            text = text[:-1]
        if not text or text.startswith("#"):
            continue
        negated = text.startswith("!")
        text = text[1:] if negated else text
        only_directories = text.endswith("/")
        text = text.rstrip("/")
        if not text:
            continue
        anchored = "/" in text
        # Byte by byte, as git does: names need not be UTF-8.
        plain = text.lstrip("/").encode("utf-8", "surrogateescape").decode("latin-1")
        if len(plain) > MAX_PATTERN:
            raise BadPattern(text)
        expression = _translate(plain.split("/") if anchored else ["**", plain])
        import re

        rules.append((re.compile(expression.encode("latin-1"), re.DOTALL), negated, only_directories))
    return Matcher(rules, source)


def _translate(parts: list[str]) -> str:
    """Return the regular expression of a pattern's parts, anchored at the start."""
    groups: list[list[str]] = [[]]
    """What stands before, between and behind each `**`."""
    for part in parts:
        if part != "**":
            groups[-1].append(part)
        elif groups[-1] or len(groups) == 1:
            groups.append([])
    first, *others = groups
    if not others:
        return "/".join(map(_translate_part, first))
    *between, last = others
    written = _folders(first) + "".join(f"(?>(?:[^/]*/)*?{_folders(group)})" for group in between)
    return written + ("(?:.*/)?" + "/".join(map(_translate_part, last)) if last else ".+")


def _folders(parts: list[str]) -> str:
    return "".join(_translate_part(part) + "/" for part in parts)


def _translate_part(part: str) -> str:
    """Return the expression of one part: what stands before, between and behind each `*`, which takes no slash."""
    import re

    pieces = [""]
    position = 0
    while position < len(part):
        letter = part[position]
        position += 1
        if letter == "*":
            if pieces[-1] or len(pieces) == 1:
                pieces.append("")
        elif letter == "?":
            pieces[-1] += "[^/]"
        elif letter == "[":
            written_class, position = _translate_class(part, position)
            pieces[-1] += written_class
        elif letter == "\\" and position < len(part):
            pieces[-1] += re.escape(part[position])
            position += 1
        else:
            pieces[-1] += re.escape(letter)
    first, *others = pieces
    if not others:
        return first
    *between, last = others
    return first + "".join(f"(?>[^/]*?{piece})" for piece in between) + "[^/]*" + last


_NOTHING = "(?!)"
_CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "blank": " \\t",
    "digit": "0-9",
    "lower": "a-z",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\s",
    "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}
"""POSIX character classes, as glob(7) has them."""


def _translate_class(part: str, position: int) -> tuple[str, int]:
    """Return the expression of a bracket that begins before `position`, and the position behind it. An open one matches
    nothing."""
    import re

    negated = part[position : position + 1] in ("!", "^")
    position += negated
    inside = ""
    first = True
    while position < len(part) and (part[position] != "]" or first):
        first = False
        if part.startswith("[:", position) and (end := part.find(":]", position)) != -1:
            inside += _CLASSES.get(part[position + 2 : end], "")
            position = end + 2
            continue
        if part[position] == "\\" and position + 1 < len(part):
            position += 1
        letter = part[position]
        position += 1
        if part[position : position + 1] == "-" and part[position + 1 : position + 2] not in ("", "]"):
            last = part[position + 1]
            position += 2
            if letter <= last:
                inside += f"{re.escape(letter)}-{re.escape(last)}"
        else:
            inside += re.escape(letter)
    if position >= len(part):
        return _NOTHING, len(part)
    if not inside:
        return ("[^/]" if negated else _NOTHING), position + 1
    return (f"[^/{inside}]" if negated else f"(?!/)[{inside}]"), position + 1

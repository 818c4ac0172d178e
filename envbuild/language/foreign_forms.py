"""Values written as the shell or a Dockerfile has them, which would mean something else here: what to write instead."""

from __future__ import annotations

from envbuild.language.syntax import Word
from envbuild.text.pattern import Pattern

_ITEM = Pattern(r"'([^']*)'")
_QUOTED = Pattern(r"((?:[^\s\"'=]+=)?)'([^']*)'")
_LIST = Pattern(r"\['[^']*'[ \t]*(?:,[^\]]*)?\]")
_BARE_LIST = Pattern(r"\[[^\s\"'\[\],]+,[^\]\"]*\]")
_EXEC_FORM = Pattern(r'\["')


def single_quotes(words: list[Word], lines: tuple[str, ...]) -> tuple[Word, str] | None:
    """Return the first word whose value is in single quotes, which have no meaning in a recipe, and the same in double
    ones; None if there is none."""
    for word in words:
        match = _QUOTED.match(lines[word.span.line - 1], word.span.column - 1)
        if match is not None:
            escaped = match[2].replace("\\", "\\\\").replace('"', '\\"')
            return word, f'{match[1]}"{escaped}"'
    return None


def json_list(text: str) -> str | None:
    """Return the JSON array that was meant by a list with other quotes or none; None if the text is none."""
    if _LIST.fullmatch(text):
        items = [item[1] for item in _ITEM.finditer(text)]
    elif _BARE_LIST.fullmatch(text):
        items = [item.strip().strip("'") for item in text[1:-1].split(",")]
    else:
        return None
    return "[" + ", ".join('"' + item.replace("\\", "\\\\").replace('"', '\\"') + '"' for item in items) + "]"


def command_of_list(keyword: str, text: str) -> str | None:
    """Return the command that a Dockerfile's form of it says: a list after `run`, or `CMD` after `health`; None if the
    text is neither."""
    if keyword == "health" and text.startswith("CMD "):
        text = text[4:].lstrip()
        if not _EXEC_FORM.match(text):
            return text
    if not _EXEC_FORM.match(text):
        return None
    import json  # only where a list stands

    try:
        items = json.loads(text)
    except ValueError:
        return None
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        return None
    import shlex

    return shlex.join(items)

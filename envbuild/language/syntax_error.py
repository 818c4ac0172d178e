"""The messages for text that does not fit the grammar, in the words of docs/language.md, never with the grammar's own
names."""

from __future__ import annotations

import re

from envbuild.language.keywords import KEYWORDS
from envbuild.language.quoting import Problem
from envbuild.language.syntax import Span
from envbuild.text.docker_words import hint_for_statement
from envbuild.text.instruction_forms import form_of
from envbuild.text.suggestion import did_you_mean

_INSTALLERS = ("apk", "apt-get", "dnf", "microdnf", "yum", "zypper")
_COMMANDS = (
    "cd",
    "chmod",
    "chown",
    "cp",
    "curl",
    "echo",
    "export",
    "git",
    "groupadd",
    "install",
    "ln",
    "ls",
    "make",
    "mkdir",
    "mv",
    "npx",
    "python3",
    "rm",
    "sed",
    "sh",
    "tar",
    "touch",
    "useradd",
    "wget",
)
"""Programs that people call in scripts, whose names are not like that of any statement."""
_HEAD = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


def explain(lines: list[str], line: int, column: int, allowed: set[str], offset: int) -> Problem:
    """Return the problem at `line` and `column` of `lines`, where the grammar expected one of `allowed`."""
    line = min(max(line, 1), len(lines))
    text = lines[line - 1]
    column = min(max(column, 1), len(text) + 1)
    rest = text[column - 1 :]
    blank = len(rest) - len(rest.lstrip(" \t"))
    column, rest = column + blank, rest[blank:]
    what = _shown(rest)
    message, hint, length = _describe(lines, line, column, rest, what, allowed)
    return Problem(message, Span(line + offset, column, length or max(1, len(what))), hint)


def _describe(
    lines: list[str], line: int, column: int, rest: str, what: str, allowed: set[str]
) -> tuple[str, str, int]:
    head = _HEAD.match(lines[line - 1])
    after = lines[line - 1][head.end() :] if head and column == 1 else rest
    if after[:1].isspace() and after[0] not in " \t":
        return f"this white space is U+{ord(after[0]):04X}", "only spaces and tabs are allowed in a recipe", 0
    if column == 1 or (head and head[0] in KEYWORDS and column == head.end() + 1 and not _inside_options(allowed)):
        return _start_of_statement(rest if column == 1 else lines[line - 1][column - 1 :], head, column)
    statement = next((text for text in reversed(lines[:line]) if text and text[0] not in " \t#"), "")
    match = _HEAD.match(statement)
    keyword = match[0] if match else ""
    if not keyword:
        return "this line does not belong to a statement", "a statement starts in the first column", 0
    if rest.startswith('"') and not re.match(r'"(?:[^"\\]|\\.)*"', rest):
        return "this quote is not closed", 'a quoted part ends with " on the same line', 0
    if re.match(r"\$\{[^}\s\"]*(?!\})(?:[\s\"]|$)", rest):
        return "'${' without its '}'", "write \\${ for the text itself", 2
    if _inside_options(allowed):
        return _in_options(keyword, rest, what, allowed)
    if keyword in ("copy", "render", "fetch"):
        return _in_placed(keyword, statement, rest, what, allowed)
    if keyword == "param":
        return _in_param(rest, what, allowed)
    if keyword == "from":
        if not rest:
            name = "'as' needs a stage's name" if statement.rstrip().endswith("as") else "from needs a base"
            return name, "", 0
        if "_AS" in allowed or "_SPACE" in allowed:
            return f"unexpected '{what}' after the base", "name a stage like this: from BASE as STAGE", 0
    if column > 1 and lines[line - 1][column - 2] == ")" and rest:
        return "white space is missing after the options", f"as in: {keyword}(OPTION) {what}", 0
    if not rest:
        return f"{keyword} is incomplete", "", 0
    return f"unexpected '{what}'", "white space separates words", 0


def _start_of_statement(rest: str, head: re.Match[str] | None, column: int) -> tuple[str, str, int]:
    if head is None:
        what = _shown(rest)
        return f"unexpected '{what}' at the start of a line", "a statement starts with its keyword", 0
    if head[0] in KEYWORDS:
        if column == 1:
            after = rest[head.end() : head.end() + 1]
            return (
                f"'{after}' can't follow {head[0]}",
                "a keyword is followed by white space or by options in parentheses",
                head.end(),
            )
        return f"{head[0]} needs more than its keyword", "", 0
    docker = hint_for_statement(head[0], rest[head.end() :])
    if docker:
        return f"unknown statement '{head[0]}'", docker, head.end()
    habit = _of_shell(head[0], rest)
    if habit:
        return f"unknown statement '{head[0]}'", habit, head.end()
    otherwise = "indent the lines of a block" if "(" not in rest.split(" ")[0] else ""
    return f"unknown statement '{head[0]}'", did_you_mean(head[0], KEYWORDS, otherwise), head.end()


def _of_shell(program: str, line: str) -> str:
    """Return what a recipe says for a command that stands where a statement does; "" for a word that is none."""
    form = form_of("run", line)
    if form and not form.startswith("run"):
        return f"a recipe says: {form}"
    if program in _INSTALLERS:
        return "a recipe says: apt PACKAGE ..."
    return f"a command of the shell is: run {program} ..." if program in _COMMANDS else ""


def _inside_options(allowed: set[str]) -> bool:
    return bool(allowed & {"_CLOSE", "OPTION_NAME", "OPTION_VALUE"})


def _in_options(keyword: str, rest: str, what: str, allowed: set[str]) -> tuple[str, str, int]:
    if not rest:
        return f"the options of {keyword} are not closed", "expected ')' on the same line", 0
    if "OPTION_NAME" in allowed:
        return f"expected an option's name, not '{what[:1]}'", f"as in: {keyword}(name=value, flag)", 1
    if "OPTION_VALUE" in allowed and "_CLOSE" not in allowed:
        return f"expected a value, not '{what[:1]}'", 'an empty value is written ""', 1
    return f"expected ',' or ')', not '{what}'", "quote a value that contains white space", 0


def _in_placed(keyword: str, statement: str, rest: str, what: str, allowed: set[str]) -> tuple[str, str, int]:
    shape = {"copy": "copy SOURCE ... -> DESTINATION", "render": "render TEMPLATE -> DESTINATION"}
    docker = form_of("copy", statement[len(keyword) :].strip()) if keyword == "copy" else ""
    hint = f"as in: {docker or shape.get(keyword, 'fetch URL -> DESTINATION')}"
    if re.search(r"[ \t]->[ \t]*(#.*)?$", statement):
        return f"{keyword} has no destination after '->'", hint, 0
    if re.search(r"[ \t]->[ \t]", statement):
        if re.match(r"\w+(\([^)]*\))?[ \t]+->", statement):
            return f"{keyword} has nothing before '->'", hint, 0
        return f"unexpected '{what}' after the destination of {keyword}", hint, 0
    return f"{keyword} needs '->' and a destination", hint, 0


def _in_param(rest: str, what: str, allowed: set[str]) -> tuple[str, str, int]:
    hint = "as in: param NAME = VALUE in VALUE VALUE"
    if "_EQUALS" in allowed:
        return "expected '=' after the parameter's name", hint, 0
    if "_IN" in allowed or ("_SPACE" in allowed and rest):
        return f"expected 'in' and the allowed values, not '{what}'", hint, 0
    if not rest:
        return "expected a value", hint, 0
    return f"unexpected '{what}' in param", hint, 0


def _shown(rest: str) -> str:
    """Return the first word, cut to a readable length."""
    word = re.match(r"[^ \t]*", rest)
    return word[0][:40] if word else ""

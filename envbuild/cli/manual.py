"""Manual pages (man(7)), made from the declarations that `--help` is made from."""

from __future__ import annotations

from importlib import import_module

from envbuild import __version__
from envbuild.cli.declared import Declared, Option, declared_commands
from envbuild.cli.main import COMMANDS
from envbuild.cli.overview import EXIT_CODES, GROUPS
from envbuild.cli.parser import parser_of


def pages() -> dict[str, str]:
    """Return the text of each page by the name of its file."""
    texts = {"envbuild.1": _overview()}
    for command in declared_commands():
        texts[f"envbuild-{command.name}.1"] = _page(command)
    return texts


def _overview() -> str:
    lines = [*_head("envbuild", "execution environments under version control")]
    lines += [".SH SYNOPSIS", ".B envbuild", r"\fICOMMAND\fR [\fIOPTION\fR ...]", ".SH COMMANDS"]
    for title, names in GROUPS.items():
        lines.append(f".SS {title}")
        for name in names.split():
            lines += [".TP", rf"\fBenvbuild\-{_roff(name)}\fR(1)", _roff(COMMANDS[name][1])]
    lines += [".SH EXIT STATUS", ".nf", *map(_roff, EXIT_CODES.splitlines()[1:]), ".fi"]
    return "\n".join(lines) + "\n"


def _page(command: Declared) -> str:
    module = import_module(f"envbuild.cli.commands.{COMMANDS[command.name][0]}")
    usage = " ".join(parser_of(command.name, module).format_usage().removeprefix("usage: ").split())
    lines = [*_head(f"envbuild-{command.name}", command.summary)]
    lines += [".SH SYNOPSIS", _roff(usage), ".SH DESCRIPTION", *map(_roff, module.DESCRIPTION.splitlines())]
    if command.options:
        lines.append(".SH OPTIONS")
    for option in command.options:
        lines += [".TP", _flags(option), _roff(option.help)]
    lines += [".SH EXAMPLES", ".nf", *(_roff(line.strip()) for line in module.EXAMPLES.splitlines()[1:]), ".fi"]
    lines += [".SH SEE ALSO", r".BR envbuild (1)"]
    return "\n".join(lines) + "\n"


def _head(name: str, summary: str) -> list[str]:
    title = f'.TH {_roff(name.upper())} 1 "" "envbuild {__version__}"'
    return [title, ".SH NAME", rf"{_roff(name)} \- {_roff(summary)}"]


def _flags(option: Option) -> str:
    value = "" if option.value is None else rf" \fI{_roff(option.value.metavar)}\fR"
    return ", ".join(rf"\fB{_roff(flag)}\fR" for flag in option.flags) + value


def _roff(text: str) -> str:
    """Return a line of text with nothing in it that troff would take for a request or an escape."""
    escaped = text.replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{escaped}" if escaped.startswith((".", "'")) else escaped

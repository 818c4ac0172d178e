"""What the commands take, as their parsers declare it: completion and manual pages are made from this."""

from __future__ import annotations

import argparse
from importlib import import_module
from typing import NamedTuple

from envbuild.cli.main import COMMANDS
from envbuild.cli.parser import parser_of

KINDS = {
    "IMAGE": ("images",),
    "NAME[:TAG]": ("images",),
    "SOURCE": ("images",),
    "TARGET": ("images",),
    "OLD": ("images", "instances"),
    "NEW": ("images", "instances"),
    "GOOD": ("images", "instances"),
    "BAD": ("images", "instances"),
    "INSTANCE": ("instances",),
    "RECIPE": ("recipes",),
    "VOLUME": ("volumes",),
    "FILE": ("files",),
    "DIR": ("files",),
    "PATH": ("files",),
    "SRC": ("instances", "files"),
    "DST": ("instances", "files"),
}
"""What stands for a word: names that the store or the directory has at the moment, or files. Of all others, nothing
can be said."""


class Value(NamedTuple):
    """A word that has to be written: one of `choices`, else one of the names of these kinds."""

    metavar: str
    kinds: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()


class Option(NamedTuple):
    """An option with its flags. `value` is None for one that takes none."""

    flags: tuple[str, ...]
    help: str
    value: Value | None


class Declared(NamedTuple):
    """A command: `words` are its positional arguments, of which the last may repeat. Those of its parts (`volume ls`)
    are taken together."""

    name: str
    summary: str
    options: tuple[Option, ...]
    words: tuple[Value, ...]
    repeats: bool
    takes_command: bool


def declared_commands() -> list[Declared]:
    """Return all commands, in the order of the help."""
    return [_declared(name) for name in COMMANDS]


def _declared(name: str) -> Declared:
    file, summary = COMMANDS[name]
    module = import_module(f"envbuild.cli.commands.{file}")
    parser = parser_of(name, module)
    options, words, repeats = _of(parser)
    return Declared(name, summary, tuple(options), tuple(words), repeats, hasattr(module, "TAKES_COMMAND"))


def _of(parser: argparse.ArgumentParser) -> tuple[list[Option], list[Value], bool]:
    options: list[Option] = []
    words: list[Value] = []
    repeats = False
    for action in parser._actions:
        if action.help == argparse.SUPPRESS:
            continue
        if isinstance(action, argparse._SubParsersAction):
            words.append(Value(str(action.metavar), (), tuple(action.choices)))
            kinds: list[str] = []
            for part in action.choices.values():
                more, inner, _ = _of(part)
                options += [option for option in more if option.flags not in {known.flags for known in options}]
                kinds += [kind for value in inner for kind in value.kinds if kind not in kinds]
            words.append(Value("NAME", tuple(kinds)))
            repeats = True
        elif action.option_strings:
            value = None if action.nargs == 0 else _value(action)
            options.append(Option(tuple(action.option_strings), _plain(parser, action), value))
        else:
            words.append(_value(action))
            repeats = action.nargs in ("*", "+")
    return options, words, repeats


def _value(action: argparse.Action) -> Value:
    metavar = str(action.metavar or action.dest.upper())
    kinds = tuple(dict.fromkeys(kind for part in metavar.split("|") for kind in KINDS.get(part, ())))
    return Value(metavar, kinds, tuple(map(str, action.choices or ())))


def _plain(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    """Return an option's help, with the values that argparse puts into it."""
    return " ".join(parser._get_formatter()._expand_help(action).split()) if action.help else ""

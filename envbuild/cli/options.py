"""A command's options, read without argparse.

argparse takes 5 ms to import and build (13 with Python 3.14, where it loads dataclasses to colour its help), which is a
fifth of a rebuild with nothing to do. A command line that is right needs none of it: `read` has the options as
`configure` declared them and gives what argparse would. For whatever it does not understand (help, a mistake) it gives
None, and argparse is asked, so that meaning and messages are argparse's own.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Sequence
    from typing import Any


class Arguments:
    """What a command line says: an attribute for each argument."""


class _Unclear(Exception):
    """This is for argparse to decide."""


_SETTINGS = {"action", "choices", "type", "nargs", "default", "required", "dest", "metavar", "help"}


class _Argument:
    def __init__(self, flags: tuple[str, ...], settings: dict[str, Any], group: object) -> None:
        self.action: str = settings.get("action", "store")
        self.choices = settings.get("choices")
        self.convert: Callable[[str], Any] | None = settings.get("type")
        self.count = settings.get("nargs")
        self.default = settings.get("default", False if self.action == "store_true" else None)
        self.required = settings.get("required", False)
        self.group = group
        self.flags = flags if flags[0].startswith("-") else ()
        long = next((flag for flag in flags if flag.startswith("--")), flags[0])
        self.name: str = settings.get("dest") or long.lstrip("-").replace("-", "_")
        unknown = settings.keys() - {
            "action",
            "choices",
            "type",
            "nargs",
            "default",
            "required",
            "dest",
            "metavar",
            "help",
        }
        # `nargs` of an option, and defaults that argparse would convert, are left to it.
        if unknown or self.action not in ("store", "store_true", "append") or (self.flags and self.count):
            raise _Unclear
        if self.convert is not None and isinstance(self.default, str):
            raise _Unclear

    def value(self, word: str) -> Any:
        try:
            value = word if self.convert is None else self.convert(word)
        except Exception:
            raise _Unclear from None
        if self.choices is not None and value not in self.choices:
            raise _Unclear
        return value


class _Declarations:
    """What `configure` sees in place of argparse's parser."""

    def __init__(self, arguments: list[_Argument] | None = None, group: object = None) -> None:
        self.arguments: list[_Argument] = [] if arguments is None else arguments
        self.group = group

    def add_argument(self, *flags: str, **settings: Any) -> None:
        self.arguments.append(_Argument(flags, settings, self.group))

    def add_mutually_exclusive_group(self, required: bool = False) -> _Declarations:
        if required:
            raise _Unclear
        return _Declarations(self.arguments, object())

    def add_subparsers(self, **_: Any) -> None:
        raise _Unclear


def read(configure: Callable[..., None], words: Sequence[str]) -> Namespace | None:
    """Return what argparse would make of a command's words, None where it has to be asked."""
    declared = _Declarations()
    try:
        configure(declared)
        return _read(declared.arguments, words)
    except _Unclear:
        return None


def split_command(configure: Callable[..., None], words: Sequence[str], own: int = 1) -> tuple[list[str], list[str]]:
    """Return a command line's own words, and those of the command that it is to run, with options of its own.

    That begins after the first `--`, or behind as many words as are its `own` that are neither options nor values of
    any: in `run -p 80:80 web ls -l`, with `ls`.
    """
    declared = _Declarations()
    configure(declared)
    takes_value = {
        flag for argument in declared.arguments for flag in argument.flags if argument.action != "store_true"
    }
    plain = 0
    is_value = False
    for at, word in enumerate(words):
        if is_value:
            is_value = False
        elif word == "--":
            return list(words[:at]), list(words[at + 1 :])
        elif word.startswith("--"):
            is_value = word in takes_value
        elif word.startswith("-") and word != "-":
            # The first of joined letters that takes a value has what is behind it as that, as in -itp80.
            first = next((n for n, letter in enumerate(word[1:], 1) if f"-{letter}" in takes_value), 0)
            is_value = first == len(word) - 1
        else:
            plain += 1
            if plain > own:
                return list(words[:at]), list(words[at:])
    return list(words), []


def _letters(words: Sequence[str], by_flag: dict[str, _Argument]) -> list[str]:
    """Return the words with joined letters apart, as in `-it`, where none of them takes a value."""
    apart: list[str] = []
    for word in words:
        letters = [f"-{letter}" for letter in word[1:]]
        joined = len(letters) > 1 and word[0] == "-" and word[1] != "-" and word not in by_flag
        if joined and all(flag in by_flag and by_flag[flag].action == "store_true" for flag in letters):
            apart += letters
        else:
            apart.append(word)
    return apart


def _read(declared: list[_Argument], words: Sequence[str]) -> Namespace:
    by_flag = {flag: argument for argument in declared for flag in argument.flags}
    positional = [argument for argument in declared if not argument.flags]
    result: Any = Arguments()
    for argument in declared:
        setattr(result, argument.name, argument.default)
    met: set[object] = set()
    plain: list[str] = []
    ended = False
    remaining = iter(_letters(words, by_flag))
    for word in remaining:
        if not word.startswith("-") or word == "-":
            # argparse gives positional arguments out in runs; two runs are its own business.
            if ended:
                raise _Unclear
            plain.append(word)
            continue
        ended = bool(plain)
        flag, equals, value = word.partition("=")
        if flag not in by_flag or (equals and not flag.startswith("--")):
            raise _Unclear
        option = by_flag[flag]
        if option.group is not None:
            if option.group in met:
                raise _Unclear
            met.add(option.group)
        met.add(option)
        if option.action == "store_true":
            if equals:
                raise _Unclear
            setattr(result, option.name, True)
            continue
        if not equals:
            value = next(remaining, "-")
            if value.startswith("-"):
                raise _Unclear
        if option.action == "append":
            setattr(result, option.name, [*(getattr(result, option.name) or ()), option.value(value)])
        else:
            setattr(result, option.name, option.value(value))
    if any(argument.required and argument not in met for argument in declared):
        raise _Unclear
    _place(positional, plain, result)
    return result  # type: ignore[no-any-return]


def _place(positional: list[_Argument], words: list[str], result: Any) -> None:
    """Give the words that are no options to the positional arguments, of which the last may take several or none."""
    for number, argument in enumerate(positional):
        if argument.group is not None or (argument.count is not None and number < len(positional) - 1):
            raise _Unclear
        if argument.count in ("*", "+"):
            if not words:
                raise _Unclear
            setattr(result, argument.name, [argument.value(word) for word in words])
            words = []
        elif words:
            setattr(result, argument.name, argument.value(words[0]))
            words = words[1:]
        elif argument.count != "?":
            raise _Unclear
    if words:
        raise _Unclear

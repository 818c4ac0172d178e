"""argparse's parser of a command: for help, mistakes, completion and manual pages.

Command lines that are right are read without it (options.read).
"""

from __future__ import annotations

import argparse
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any, NoReturn


def parse(command: str, module: ModuleType, words: list[str]) -> argparse.Namespace:
    """Return what a command's words say, with options between the others too, as in `ls web --recursive /srv`.

    Raises SystemExit after help and after what is wrong.
    """
    parser = parser_of(command, module)
    has_parts = any(isinstance(action, argparse._SubParsersAction) for action in parser._actions)
    return parser.parse_args(words) if has_parts else parser.parse_intermixed_args(words)


def parser_of(command: str, module: ModuleType) -> argparse.ArgumentParser:
    """Return the parser of a command, as its module declares it."""
    # It looks for translations of its own few words, of which there are none, and loads locale to do so.
    vars(argparse)["_"] = str
    try:
        width = os.get_terminal_size(1).columns
    except OSError:
        width = 80

    def help_formatter(prog: str) -> argparse.HelpFormatter:
        """As wide as the terminal. One is asked for with every option, and would import shutil to learn that width."""
        return argparse.RawDescriptionHelpFormatter(prog, width=max(40, width - 2))

    class Parser(argparse.ArgumentParser):
        """Shows mistakes as all others are shown, and takes no abbreviations: `--lock` is not `--locked`."""

        def __init__(self, **settings: Any) -> None:
            super().__init__(allow_abbrev=False, **settings)

        def error(self, message: str) -> NoReturn:
            flags = [flag for action in self._actions for flag in action.option_strings]
            first = next((line.strip() for line in module.EXAMPLES.splitlines() if line.startswith("  ")), "")
            hint = _hint_for_arguments(message, flags) or f"as in: {' '.join(first.partition('  ')[0].split())}"
            from envbuild.ui.sanitize import visible

            self.exit(2, f"error: {visible(message)}\nhint: {visible(hint)} ({self.prog} --help lists all options)\n")

    parser = Parser(
        prog=f"envbuild {command}",
        description=module.DESCRIPTION,
        epilog=module.EXAMPLES,
        formatter_class=help_formatter,
    )
    module.configure(parser)
    return parser


def _hint_for_arguments(message: str, flags: list[str]) -> str:
    """Return what to write in place of options that there are not, of which argparse says it."""
    from envbuild.text.docker_words import OPTIONS
    from envbuild.text.suggestion import did_you_mean

    unknown = message.partition("unrecognized arguments: ")[2]
    for word in unknown.split():
        flag = word.partition("=")[0]
        if flag.startswith("-"):
            near = next((known for known in flags if known.startswith(flag) and flag.startswith("--")), "")
            return OPTIONS.get(flag) or (f"did you mean '{near}'?" if near else did_you_mean(flag, flags))
    return ""

"""A build that would find all as it was, answered from a note in the store (build/unchanged.py).

For this the modules of builds are not loaded: they take most of such a build's time.
"""

from __future__ import annotations

import os
import sys

from envbuild import __version__
from envbuild.build.unchanged import FORMAT, Question, answer
from envbuild.cli.build_display import display_of
from envbuild.digest import sha256_of
from envbuild.linux.boot import boot_id
from envbuild.module_pack import ROOT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from envbuild.cli.environment import Environment

_OF_SHELLS = frozenset({"_", "SHLVL", "OLDPWD"})
"""Variables that differ from one command to the next, and that nothing here reads."""
_CODE = ("build", "language", "plan", "store", "tree", "packages")
"""Folders of the package that decide what a recipe means."""


def question(words: Sequence[str], environment: Environment) -> Question | None:
    """Return what the words of a build ask for, None where that can't be said."""
    try:
        where = os.getcwd()
    except OSError:
        return None  # it was removed
    store = environment.store_path()
    variables = sorted((name, value) for name, value in environment.variables.items() if name not in _OF_SHELLS)
    code = [os.stat(f"{ROOT}/{folder}").st_mtime_ns for folder in _CODE]
    program = (FORMAT, __version__, sys.version, os.uname().machine, boot_id(), ROOT, code)
    said = repr((program, where, list(words), variables, os.geteuid(), os.getegid()))
    name = sha256_of(repr((where, list(words))).encode("utf-8", "surrogateescape"))[:32]
    return Question(store, name, sha256_of(said.encode("utf-8", "surrogateescape")))


def tell(asked: Question, environment: Environment) -> bool:
    """Tell what a build would that finds all as it was; return whether it would."""
    known = answer(asked)
    if known is None:
        return False
    progress, events = known
    with display_of(progress, environment) as display:
        for event in events:
            display(event)
    return True

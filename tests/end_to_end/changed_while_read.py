"""Builds web.env while somebody else changes a file or directory of its folder, at one exact moment.

`main` finds in sys.argv the function of envbuild that is about to be called then, "MODULE:NAME", the how many-th call
it is, the change's name in CHANGES, the path that is changed, and what else the change takes.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from operator import attrgetter
from pathlib import Path

from envbuild.cli.main import run


def main() -> int:
    _, function, count, change, *words = sys.argv
    module, _, name = function.partition(":")
    holder, _, last = name.rpartition(".")
    owner = import_module(module)
    if holder:
        owner = attrgetter(holder)(owner)
    real = getattr(owner, last)
    left = int(count)

    def changed(*positional, **named):
        nonlocal left
        left -= 1
        if left == 0:
            CHANGES[change](*words)
        return real(*positional, **named)

    setattr(owner, last, changed)
    return run(["build", "web.env", "--progress", "plain"])


def to_link(path: str, target: str) -> None:
    os.rename(path, path + ".old")
    os.symlink(target, path)


def to_pipe(path: str) -> None:
    os.rename(path, path + ".old")
    os.mkfifo(path)


def to_directory(path: str) -> None:
    os.rename(path, path + ".old")
    os.mkdir(path)


def to_text(path: str, text: str) -> None:
    Path(path).write_text(text)


def to_nothing(path: str) -> None:
    os.unlink(path)


CHANGES = {change.__name__: change for change in (to_link, to_pipe, to_directory, to_text, to_nothing)}

"""A command of envbuild that tells what its instances' folder holds after each sync and rename: FILE WORDS..."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Callable

from envbuild.cli.main import run


def main() -> int:
    file, *words = sys.argv[1:]
    instances = os.path.join(os.environ["ENVBUILD_STORE"], "instances")

    def after(kind: str, real: Callable) -> Callable:
        def call(*positional, **named):
            result = real(*positional, **named)
            number = os.fstat(positional[0]).st_ino if kind == "sync" else 0
            with open(file, "a") as opened:
                opened.write(json.dumps((kind, number, _listing(instances))) + "\n")
            return result

        return call

    os.fsync = after("sync", os.fsync)
    os.rename, os.replace = after("rename", os.rename), after("rename", os.replace)
    return run(words)


def _listing(instances: str) -> dict[str, tuple[str, str, int]]:
    """Kind, content and inode of all that is there, by path."""
    content = {}
    for where, folders, files in os.walk(instances):
        for name in (*folders, *files):
            path = os.path.join(where, name)
            inner = os.path.relpath(path, instances)
            try:
                status = os.lstat(path)
                if stat.S_ISDIR(status.st_mode):
                    content[inner] = ("folder", "", 0)
                elif stat.S_ISLNK(status.st_mode):
                    content[inner] = ("link", os.readlink(path), 0)
                elif stat.S_ISREG(status.st_mode):
                    with open(path, errors="replace") as opened:
                        content[inner] = ("file", opened.read(), status.st_ino)
            except OSError:
                pass  # it went away meanwhile
    return content

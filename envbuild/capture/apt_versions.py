"""What apt can install of the versions that going back wants, and the run of its commands on this machine."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Sequence

from envbuild.capture.package_moves import DebianMove
from envbuild.debian.deb822 import stanzas
from envbuild.errors import MachineLacks, fields
from envbuild.linux.subids import find_program

ARCHIVES = "/var/cache/apt/archives"
SECONDS = 120.0
"""The time that apt has to say which versions it knows."""
_MAX_WORDS = 500


@fields
class NoApt(MachineLacks):
    """A machine whose packages apt does not manage."""

    def text(self) -> tuple[str, str]:
        return "this machine has no apt-get, which could install versions of packages", "name paths in place of it"


def obtainable(moves: Iterable[DebianMove]) -> tuple[tuple[DebianMove, ...], dict[str, str], tuple[DebianMove, ...]]:
    """Return the moves that apt can make, the paths of archives in its cache for those whose versions its sources no
    longer have, by key, and the moves whose versions are not to be had. Raises NoApt."""
    moves = tuple(moves)
    wanted = [move for move in moves if move.after and move.after != move.before]
    known = _known([move.key for move in wanted])
    archives, missing = {}, []
    for move in wanted:
        if (move.key, move.after) in known:
            continue
        if path := _archive(move):
            archives[move.key] = path
        else:
            missing.append(move)
    return tuple(move for move in moves if move not in missing), archives, tuple(missing)


def run_apt(words: Sequence[str], *, yes: bool) -> int:
    """Run a command of apt with this process's terminal; return its exit code. Raises NoApt."""
    program = _program(words[0])
    options = ("-y",) if yes and words[0] == "apt-get" else ()
    return subprocess.run((program, *options, *words[1:]), check=False).returncode


def _known(keys: Sequence[str]) -> set[tuple[str, str]]:
    """Return (key, version) of all that apt's sources have of these packages."""
    known = set()
    program = _program("apt-cache")
    for start in range(0, len(keys), _MAX_WORDS):
        words = (program, "--no-generate", "show", "--all-versions", "--", *keys[start : start + _MAX_WORDS])
        environment = {**os.environ, "LC_ALL": "C"}
        # It ends with 100 where it does not know one of them, and has said all of the others.
        done = subprocess.run(
            words, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=False
        )
        for stanza in stanzas(done.stdout.decode("utf-8", "replace")):
            name, architecture = stanza.get("package", ""), stanza.get("architecture", "")
            if stanza.get("filename"):
                key = name if architecture == "all" else f"{name}:{architecture}"
                known.add((key, stanza.get("version", "")))
    return known


def _archive(move: DebianMove) -> str:
    """Return the path of a package's archive in apt's cache, "" where it is not there. apt writes a colon as `%3a`."""
    name, _, architecture = move.key.partition(":")
    path = f"{ARCHIVES}/{name}_{move.after.replace(':', '%3a')}_{architecture or 'all'}.deb"
    return path if os.path.isfile(path) else ""


def _program(name: str) -> str:
    program = find_program(name)
    if program is None:
        raise NoApt
    return program

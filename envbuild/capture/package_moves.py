"""The packages that going back moves: those of a capture held against those of now, and the package managers' commands.

What a capture says may come from anywhere: names and versions are types that refuse, and no word of a command is an
option or a path that a capture chose, but for the directories of Python's and Node's packages, whose commands are only
shown.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping

from envbuild.debian.names import DebianName, DebianVersion
from envbuild.errors import UsageError, fields
from envbuild.lockfile.checked_name import UnsafeName
from envbuild.packages.node_names import NodePath, NodeVersion
from envbuild.packages.python_names import DistributionName, PythonVersion
from envbuild.record import Record

ALL = "all"
_BY_HAND = "by hand"
_INSTALLED = ("", "hold")
_OWN_INSTALLERS = ("pip", "uv")
_LOCAL = re.compile(r"usr/local/lib/(python[0-9]\.[0-9]+)/(?:dist|site)-packages")
_ENVIRONMENT = re.compile(r"(.+)/lib/python[0-9]\.[0-9]+/site-packages")
_NODE = "/lib/node_modules"


class InstalledDebian(Record):
    """A Debian package that is installed: its version, and whether somebody asked for it."""

    name: DebianName
    architecture: str
    version: DebianVersion
    by_hand: bool

    @property
    def key(self) -> str:
        """`NAME:ARCH` as apt takes it, NAME alone for one of all architectures."""
        return self.name if self.architecture == ALL else f"{self.name}:{self.architecture}"


class DebianMove(Record):
    """One package that changes: from a version to another, "" for not installed. `by_hand` is how it is marked then,
    None where that stays."""

    key: str
    before: str
    after: str
    by_hand: bool | None = None


class OtherMove(Record):
    """A command for a package manager that is not apt, and what it moves: (name, version now, version then)."""

    command: str
    moves: tuple[tuple[str, str, str], ...]


@fields
class NoSuchPackage(UsageError):
    """A named package that neither the capture nor the machine has."""

    name: str
    image: str

    def text(self) -> tuple[str, str]:
        return f"neither {self.image} nor this machine has a package '{self.name}'", "`envbuild packages` lists them"


def debian_packages(rows: Iterable[tuple[str, ...]]) -> dict[str, InstalledDebian]:
    """Return the installed packages of a text of state (state/debian.py) by their keys. Rows that dpkg has none of are
    left out."""
    packages = {}
    for name, architecture, version, mark, *odd in (row for row in rows if len(row) in (4, 5)):
        if "".join(odd) not in _INSTALLED:
            continue
        try:
            DebianName(f"{name}:{architecture}")
            package = InstalledDebian(DebianName(name), architecture, DebianVersion(version), mark == _BY_HAND)
        except UnsafeName:
            continue
        packages[package.key] = package
    return packages


def debian_moves(
    then: Mapping[str, InstalledDebian], now: Mapping[str, InstalledDebian], only: Collection[str], image: str
) -> tuple[DebianMove, ...]:
    """Return what leads from the packages of now to those of then; of the names in `only`, if there are any. Raises
    NoSuchPackage."""
    for name in only:
        if not any(name in (package.name, key) for side in (then, now) for key, package in side.items()):
            raise NoSuchPackage(name, image)
    moves = []
    for key in sorted(then.keys() | now.keys()):
        before, after = now.get(key), then.get(key)
        if only and not {key, key.partition(":")[0]}.intersection(only):
            continue
        old, new = before.version if before else "", after.version if after else ""
        marks = after.by_hand if after is not None and (before is None or before.by_hand != after.by_hand) else None
        if old != new or marks is not None:
            moves.append(DebianMove(key, old, new, marks))
    return tuple(moves)


def apt_words(moves: Iterable[DebianMove], archives: Mapping[str, str]) -> tuple[str, ...]:
    """Return the words of `apt-get` that make these moves; () if there is nothing to do. `archives` are the paths of
    packages, by their keys, that apt knows no source of."""
    words = []
    for move in moves:
        if move.before == move.after:
            continue
        if not move.after:
            words.append(f"{move.key}-")
        else:
            words.append(archives.get(move.key) or f"{move.key}={move.after}")
    return ("apt-get", "install", "--allow-downgrades", "--no-install-recommends", *words) if words else ()


def mark_words(moves: Iterable[DebianMove]) -> Iterator[tuple[str, ...]]:
    """Yield the words of `apt-mark` that mark packages as they were marked: by hand or pulled in."""
    moves = tuple(moves)
    for word, by_hand in (("manual", True), ("auto", False)):
        keys = [move.key for move in moves if move.by_hand is by_hand]
        if keys:
            yield ("apt-mark", word, *keys)


def python_moves(then: Iterable[tuple[str, ...]], now: Iterable[tuple[str, ...]]) -> Iterator[OtherMove]:
    """Yield pip's commands for the distributions that pip or uv installed, by their directories."""
    was, is_now = _distributions(then), _distributions(now)
    for folder in sorted(was.keys() | is_now.keys()):
        moves = tuple(_moves(was.get(folder, {}), is_now.get(folder, {})))
        program, options = _pip_of(folder)
        wanted = [f"{name}=={after}" for name, _, after in moves if after]
        gone = [name for name, _, after in moves if not after]
        # The others that a version needs are in the capture, too.
        if program and wanted:
            command = shlex.join((*program, "install", *options, "--no-deps", *wanted))
            yield OtherMove(command, tuple(move for move in moves if move[2]))
        if program and gone:
            yield OtherMove(
                shlex.join((*program, "uninstall", *options, *gone)), tuple(move for move in moves if not move[2])
            )


def node_moves(then: Iterable[tuple[str, ...]], now: Iterable[tuple[str, ...]]) -> Iterator[OtherMove]:
    """Yield npm's commands for packages that are installed for all."""
    was, is_now = _node(then), _node(now)
    for folder in sorted(was.keys() | is_now.keys()):
        moves = tuple(_moves(was.get(folder, {}), is_now.get(folder, {})))
        program = ("npm", "--global", "--prefix", f"/{folder.removesuffix(_NODE)}")
        wanted = [f"{name}@{after}" for name, _, after in moves if after]
        gone = [name for name, _, after in moves if not after]
        if wanted:
            yield OtherMove(shlex.join((*program, "install", *wanted)), tuple(move for move in moves if move[2]))
        if gone:
            yield OtherMove(shlex.join((*program, "uninstall", *gone)), tuple(move for move in moves if not move[2]))


def _moves(was: Mapping[str, str], is_now: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    for name in sorted(was.keys() | is_now.keys()):
        before, after = is_now.get(name, ""), was.get(name, "")
        if before != after:
            yield name, before, after


def _distributions(rows: Iterable[tuple[str, ...]]) -> dict[str, dict[str, str]]:
    packages: dict[str, dict[str, str]] = {}
    for folder, name, version, installer, *_ in (row for row in rows if len(row) in (4, 5)):
        if installer not in _OWN_INSTALLERS:
            continue
        try:
            packages.setdefault(folder, {})[DistributionName(name)] = PythonVersion(version)
        except UnsafeName:
            continue
    return packages


def _pip_of(folder: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return how pip is started for the distributions in a directory, () where that is not known, and its options."""
    if match := _LOCAL.fullmatch(folder):
        # Debian's pip asks for it where apt has Python's packages, too (PEP 668).
        return (match[1], "-m", "pip"), ("--break-system-packages",)
    match = _ENVIRONMENT.fullmatch(folder)
    return ((f"/{match[1]}/bin/python", "-m", "pip"), ()) if match else ((), ())


def _node(rows: Iterable[tuple[str, ...]]) -> dict[str, dict[str, str]]:
    packages: dict[str, dict[str, str]] = {}
    for folder, name, version in (row for row in rows if len(row) == 3):
        # Where Debian has its own modules; npm itself comes with Node.
        if not folder.endswith(_NODE) or folder == f"usr{_NODE}" or name in ("npm", "corepack"):
            continue
        # A word that begins with a dash is an option for npm.
        if name.startswith("-") or "/node_modules/" in name:
            continue
        try:
            packages.setdefault(folder, {})[NodePath(name)] = NodeVersion(version)
        except UnsafeName:
            continue
    return packages

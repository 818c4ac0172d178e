"""The lines that run pip and npm themselves, for packages where no statement installs any: in the folder of a user, in
that of the system's Python, and npm's for the whole system.

Names and versions are the instance's claim, and a line fetches them. So it names exactly what is there, takes wheels
only, and runs no scripts of packages; what these would have made is copied as files.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

from envbuild.drift.account_lines import Names
from envbuild.drift.statement_text import Line, has, word
from envbuild.history.package_changes import PackageChange
from envbuild.images.accounts import read_databases
from envbuild.lockfile.checked_name import is_name
from envbuild.packages.inventory.component import NODE, PYTHON
from envbuild.packages.node_names import NodePath, NodeVersion
from envbuild.packages.python_names import DistributionName, PythonVersion, normal_name
from envbuild.plan.image_config import Facts
from envbuild.record import Record
from envbuild.store.store import Store
from envbuild.tree.entry import DIRECTORY, Digest
from envbuild.tree.lookup import lookup, resolve

_USER_SITE = re.compile(r"(?P<place>.+/\.local)/lib/python(?P<version>3\.[0-9]{1,3})/site-packages")
_SYSTEM_SITE = re.compile(r"(?P<place>usr|usr/local)/lib/python(?P<version>3(?:\.[0-9]{1,3})?)/(?:site|dist)-packages")
_GLOBAL_MODULES = re.compile(r"(?P<place>[^\n]*[^/\n])/lib/node_modules")
_PIP_OPTIONS = ("--no-deps", "--only-binary=:all:", "--no-cache-dir")
_NPM_OPTIONS = ("--ignore-scripts", "--no-audit", "--no-fund")


class Command(Record):
    """A line, and the folder that its packages are in (without a slash before it). `user` is whose they are."""

    line: Line
    place: str
    user: str


class CommandLines:
    """The lines for what somebody installed by hand. `target` is the instance's tree, `facts` are the image's, and
    `changes` the packages that differ."""

    def __init__(self, store: Store, target: Digest, facts: Facts, changes: Iterable[PackageChange]) -> None:
        self._store = store
        self._target = target
        self._facts = facts
        self._changes = [change for change in changes if change.new is not None]
        self._names = Names(read_databases(store, target))

    def all(self) -> list[Command]:
        """Return the lines, pip's before npm's."""
        return [*self._python(_SYSTEM_SITE), *self._python(_USER_SITE), *self._node()]

    def _python(self, site: re.Pattern[str]) -> list[Command]:
        wanted: dict[tuple[str, str, str], list[str]] = {}
        for change in self._changes:
            match = site.fullmatch(change.package.where) if change.package.kind == PYTHON else None
            new = change.new
            if match is None or new is None or not new.record.endswith(".dist-info/METADATA"):
                continue
            # Debian's own distributions are packages of apt.
            if match[0] == "usr/lib/python3/dist-packages":
                continue
            if is_name(DistributionName, new.name) and is_name(PythonVersion, new.version):
                key = (match["place"], match["version"], self._owner(change.package.where))
                wanted.setdefault(key, []).append(f"{normal_name(new.name)}=={new.version}")
        commands = []
        for (place, version, user), words in sorted(wanted.items()):
            options = [*(("--user",) if site is _USER_SITE else ()), *_PIP_OPTIONS]
            if any(has(self._store, self._target, f"{usr}/python{version}/EXTERNALLY-MANAGED") for usr in _LIBRARIES):
                options.append("--break-system-packages")
            program = [self._program(version), "-m", "pip", "install", *options]
            commands += self._command(place, user, [*program, *sorted(words)], tuple(words))
        return commands

    def _program(self, version: str) -> str:
        """Return the name of the Python of a version: scripts that pip makes begin with it."""
        for folder in _PROGRAMS:
            target = resolve(self._store.trees, self._target, f"{folder}/python3".encode())
            if target is not None:
                return "python3" if target[0].endswith(f"/python{version}".encode()) else f"python{version}"
        return f"python{version}"

    def _node(self) -> list[Command]:
        wanted: dict[tuple[str, str], list[str]] = {}
        for change in self._changes:
            match = _GLOBAL_MODULES.fullmatch(change.package.where) if change.package.kind == NODE else None
            new = change.new
            if match is None or new is None or "node_modules/" in match["place"] or not match["place"].isprintable():
                continue
            if has(self._store, self._target, f"{match['place']}/lib/package.json"):
                continue  # a project of its own
            if is_name(NodePath, new.name) and is_name(NodeVersion, new.version):
                key = (match["place"], self._owner(change.package.where))
                wanted.setdefault(key, []).append(f"{new.name}@{new.version}")
        commands = []
        for (place, user), words in sorted(wanted.items()):
            program = ["npm", "install", "--global", "--prefix", f"/{place}", *_NPM_OPTIONS]
            commands += self._command(place, user, [*program, *sorted(words)], tuple(words))
        return commands

    def _command(self, place: str, user: str, words: list[str], about: tuple[str, ...]) -> list[Command]:
        if not user:
            return []  # of a user without a name, who can't run anything in a recipe
        own = self._facts.user.partition(":")[0] or "root"
        options = "network" if user == ("root" if own == "0" else own) else f"network, user={word(user)}"
        return [Command(Line(f"run({options}) {shlex.join(words)}", about), place, user)]

    def _owner(self, folder: str) -> str:
        """Return the name of the user that a directory belongs to, "" for one that has none."""
        entry = lookup(self._store.trees, self._target, folder.encode("utf-8", "surrogateescape"))
        if entry is None or entry.kind != DIRECTORY:
            return ""
        return "root" if entry.uid == 0 else self._names.name(entry.uid)


_LIBRARIES = ("usr/lib", "usr/local/lib")
_PROGRAMS = ("usr/local/bin", "usr/bin")

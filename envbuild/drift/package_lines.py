"""The lines that bring the packages which somebody installed or removed by hand."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

from envbuild.debian.deb822 import stanzas
from envbuild.debian.names import DebianName, DebianVersion
from envbuild.drift.statement_text import Line, as_root, block, has, text_of, word
from envbuild.history.package_changes import PackageChange
from envbuild.lockfile.checked_name import BadName
from envbuild.packages.inventory.bad_record import Unreadable, parsed_json
from envbuild.packages.inventory.component import DPKG, NODE, PYTHON
from envbuild.packages.names import DistributionName, NodePath, NodeVersion, PythonVersion
from envbuild.packages.pip import normal
from envbuild.plan.image_config import Facts
from envbuild.store.store import Store
from envbuild.tree.entry import Digest

_SITE = re.compile(r"(.+)/lib/python3[^/]*/site-packages")
_PYTHON = re.compile(r"(?:/[A-Za-z0-9._-]+)+/python3?(?:\.[0-9]{1,3})?")
_VENV_OPTIONS = {"--without-pip", "--system-site-packages", "--symlinks", "--copies"}
"""Options of venv that fetch nothing and lead nowhere."""
_SHORT = 3
"""Packages that stand on the statement's own line."""


class PackageLines:
    """Writes lines that lead from the packages of one tree to those of another, the instance's. `changes` are those
    between them; `facts` are the image's."""

    def __init__(self, store: Store, target: Digest, facts: Facts, changes: Iterable[PackageChange]) -> None:
        self._store = store
        self._target = target
        self._facts = facts
        self._changes = list(changes)

    def apt(self, *, automatic: bool) -> list[str]:
        """`NAME=VERSION` of the Debian packages that were added or have another version: those that somebody asked
        for, or with `automatic` those that apt holds for brought along."""
        marked = self._automatic()
        found = []
        for one in self._changes:
            if one.any.kind == DPKG and one.new is not None:
                name = self._debian_name(one.new.name)
                if (name in marked) == automatic and _is(DebianName, name) and _is(DebianVersion, one.new.version):
                    found.append(f"{name}={one.new.version}")
        return found

    def removed(self) -> Line | None:
        """The line that takes Debian packages away, with their settings if these are gone, too."""
        stanza = {fields.get("package", ""): fields.get("status", "") for fields in self._status()}
        gone: dict[str, list[str]] = {"--purge": [], "--remove": []}
        for one in self._changes:
            if one.any.kind == DPKG and one.new is None and _is(DebianName, self._debian_name(one.any.name)):
                name = self._debian_name(one.any.name)
                kept = stanza.get(name.partition(":")[0], "").endswith("config-files")
                gone["--remove" if kept else "--purge"].append(name)
        commands = [f"dpkg {option} {shlex.join(names)}" for option, names in gone.items() if names]
        if not commands:
            return None
        head = f"run{as_root(self._facts.user)}"
        text = f"{head} {commands[0]}" if len(commands) == 1 else block(head, commands)
        return Line(text, tuple(name for names in gone.values() for name in names))

    def python(self) -> list[Line]:
        """For each virtual environment the line that makes it, if it is new, and the one that fills it."""
        wanted: dict[str, list[str]] = {}
        for one in self._changes:
            match = _SITE.fullmatch(one.any.where) if one.any.kind == PYTHON else None
            if match is None or not match[1].isprintable():
                continue
            if not has(self._store, self._target, f"{match[1]}/pyvenv.cfg"):
                continue
            found = wanted.setdefault(match[1], [])
            if one.new is None or not has(self._store, self._target, _requested(one.new.record)):
                continue
            # An instance may say anything of itself, also `x @ http://...`, which pip would fetch.
            if _is(DistributionName, one.new.name) and _is(PythonVersion, one.new.version):
                found.append(f"{normal(one.new.name)}=={one.new.version}")
        return [line for folder, words in sorted(wanted.items()) for line in self._environment(folder, words)]

    def _environment(self, folder: str, words: list[str]) -> Iterable[Line]:
        own = [one for one in words if one.partition("==")[0] in ("pip", "setuptools")]
        if own and not any(one.old for one in self._changes if one.any.where.startswith(f"{folder}/")):
            # venv(1) brings pip and setuptools in the form that the image's Python has them.
            yield Line(f"run{as_root(self._facts.user)} {self._maker(folder)}", (f"/{folder}",))
            words = [one for one in words if one not in own]
        if words:
            yield _statement(f"pip(into={word(f'/{folder}')})", words)

    def _maker(self, folder: str) -> str:
        """The command that made a virtual environment, as that has it on record since Python 3.11."""
        for text in (text_of(self._store, self._target, f"{folder}/pyvenv.cfg") or "").splitlines():
            name, _, value = text.partition(" = ")
            words = value.split(" ")
            known = words[1:3] == ["-m", "venv"] and set(words[3:-1]) <= _VENV_OPTIONS
            if name == "command" and known and words[-1] == f"/{folder}" and _PYTHON.fullmatch(words[0]):
                return shlex.join(words)
        return f"python3 -m venv {shlex.quote(f'/{folder}')}"

    def node(self) -> list[Line]:
        """The lines for Node packages that the package.json beside their node_modules asks for."""
        wanted: dict[str, list[str]] = {}
        for one in self._changes:
            if one.any.kind != NODE or one.new is None or not one.new.where.endswith("/node_modules"):
                continue
            folder = one.new.where.removesuffix("/node_modules")
            if not _is(NodePath, one.new.name) or not _is(NodeVersion, one.new.version):
                continue
            if "node_modules/" not in folder and folder.isprintable() and one.new.name in self._asked(folder):
                wanted.setdefault(folder, []).append(f"{one.new.name}@{one.new.version}")
        return [_statement(f"npm(into={word(f'/{folder}')})", words) for folder, words in sorted(wanted.items())]

    def _asked(self, folder: str) -> set[str]:
        try:
            plain = parsed_json(text_of(self._store, self._target, f"{folder}/package.json") or "{}")
        except Unreadable:
            return set()
        asked = plain.get("dependencies") if isinstance(plain, dict) else None
        return set(asked) if isinstance(asked, dict) else set()

    def _status(self) -> list[dict[str, str]]:
        return list(stanzas(text_of(self._store, self._target, "var/lib/dpkg/status") or ""))

    def _automatic(self) -> set[str]:
        states = stanzas(text_of(self._store, self._target, "var/lib/apt/extended_states") or "")
        return {
            self._debian_name(f"{fields.get('package')}:{fields.get('architecture', 'all')}")
            for fields in states
            if fields.get("auto-installed") == "1"
        }

    def _debian_name(self, name: str) -> str:
        plain, _, architecture = name.partition(":")
        return plain if architecture in ("", "all", self._facts.arch) else name


def apt_line(words: list[str]) -> Line:
    """The line that installs these Debian packages."""
    return _statement("apt", words)


def _statement(keyword: str, words: list[str]) -> Line:
    written = [word(one) for one in words]
    text = f"{keyword} {' '.join(written)}" if len(words) <= _SHORT else block(keyword, written)
    return Line(text, tuple(words))


def _is(kind: type[str], text: str) -> bool:
    """Whether a text that an instance gives is what packages of this kind have."""
    try:
        kind(text)
    except BadName:
        return False
    return True


def _requested(record: str) -> str:
    return f"{record.rpartition('/')[0]}/REQUESTED"

"""The lines for packages that somebody installed or removed by hand."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from functools import cached_property

from envbuild.debian.deb822 import stanzas
from envbuild.debian.names import DebianName, DebianVersion
from envbuild.drift.statement_text import Line, as_root, block, has, text_of, word
from envbuild.history.package_changes import PackageChange
from envbuild.lockfile.checked_name import is_name
from envbuild.packages.inventory.bad_record import Unreadable, parsed_json
from envbuild.packages.inventory.component import DPKG, NODE, PYTHON
from envbuild.packages.node_names import NodePath, NodeVersion
from envbuild.packages.python_names import DistributionName, PythonVersion, normal_name
from envbuild.plan.image_config import Facts
from envbuild.store.store import Store
from envbuild.tree.entry import Digest

_SITE = re.compile(r"(.+)/lib/python3[^/]*/site-packages")
_PYTHON = re.compile(r"(?:/[A-Za-z0-9._-]+)+/python3?(?:\.[0-9]{1,3})?")
_VENV_OPTIONS = {"--without-pip", "--system-site-packages", "--symlinks", "--copies"}
"""Options of venv that fetch nothing and name no path."""
_SHORT = 3
"""Packages on the statement's own line; more go into a block."""


class PackageLines:
    """The lines that turn the packages of one tree into those of another, the instance's. `changes` are the
    differences; `facts` are the image's."""

    def __init__(self, store: Store, target: Digest, facts: Facts, changes: Iterable[PackageChange]) -> None:
        self._store = store
        self._target = target
        self._facts = facts
        self._changes = list(changes)

    def apt(self, *, automatic: bool) -> list[str]:
        """Return `NAME=VERSION` of the Debian packages that were added or have another version: those installed by
        request, or with `automatic` those that apt marks as installed automatically."""
        return [text for change in self._changes for text in self._apt(change, (automatic,))]

    def downgraded(self) -> list[str]:
        """Return `NAME=VERSION` of the Debian packages that have an older version now."""
        older = [change for change in self._changes if change.package.kind == DPKG and change.verb == "downgraded"]
        return [text for change in older for text in self._apt(change, (True, False))]

    def _apt(self, change: PackageChange, automatic: tuple[bool, ...]) -> Iterable[str]:
        new = change.new
        if change.package.kind == DPKG and new is not None:
            name = self._debian_name(new.name)
            if (
                (name in self.automatic) in automatic
                and is_name(DebianName, name)
                and is_name(DebianVersion, new.version)
            ):
                yield f"{name}={new.version}"

    def removed(self) -> Line | None:
        """Return the line that removes Debian packages, with their settings if these are gone too."""
        stanza = {fields.get("package", ""): fields.get("status", "") for fields in self._status()}
        gone: dict[str, list[str]] = {"--purge": [], "--remove": []}
        for change in self._changes:
            name = self._debian_name(change.package.name)
            if change.package.kind == DPKG and change.new is None and is_name(DebianName, name):
                kept = stanza.get(name.partition(":")[0], "").endswith("config-files")
                gone["--remove" if kept else "--purge"].append(name)
        commands = [f"dpkg {option} {shlex.join(names)}" for option, names in gone.items() if names]
        if not commands:
            return None
        head = f"run{as_root(self._facts.user)}"
        text = f"{head} {commands[0]}" if len(commands) == 1 else block(head, commands)
        return Line(text, tuple(name for names in gone.values() for name in names))

    def python(self) -> list[Line]:
        """Return, for each virtual environment, the line that creates it if it is new, and the one that fills it."""
        wanted: dict[str, list[str]] = {}
        for change in self._changes:
            match = _SITE.fullmatch(change.package.where) if change.package.kind == PYTHON else None
            if match is None or not match[1].isprintable():
                continue
            if not has(self._store, self._target, f"{match[1]}/pyvenv.cfg"):
                continue
            words = wanted.setdefault(match[1], [])
            new = change.new
            if new is None or not has(self._store, self._target, _requested(new.record)):
                continue
            # An instance can claim anything, also a name `x @ http://...`, which pip would fetch.
            if is_name(DistributionName, new.name) and is_name(PythonVersion, new.version):
                words.append(f"{normal_name(new.name)}=={new.version}")
        return [line for folder, words in sorted(wanted.items()) for line in self._environment(folder, words)]

    def _environment(self, folder: str, words: list[str]) -> Iterable[Line]:
        own = [requirement for requirement in words if requirement.partition("==")[0] in ("pip", "setuptools")]
        inside = [change for change in self._changes if change.package.where.startswith(f"{folder}/")]
        if own and not any(change.old for change in inside):
            # venv(1) installs the pip and setuptools that come with the image's Python.
            yield Line(f"run{as_root(self._facts.user)} {self._maker(folder)}", (f"/{folder}",))
            words = [requirement for requirement in words if requirement not in own]
        if words:
            yield _statement(f"pip(into={word(f'/{folder}')})", words)

    def _maker(self, folder: str) -> str:
        """Return the command that made a virtual environment, which it records since Python 3.11."""
        for text in (text_of(self._store, self._target, f"{folder}/pyvenv.cfg") or "").splitlines():
            name, _, value = text.partition(" = ")
            words = value.split(" ")
            known = words[1:3] == ["-m", "venv"] and set(words[3:-1]) <= _VENV_OPTIONS
            if name == "command" and known and words[-1] == f"/{folder}" and _PYTHON.fullmatch(words[0]):
                return shlex.join(words)
        return f"python3 -m venv {shlex.quote(f'/{folder}')}"

    def node(self) -> list[Line]:
        """Return the lines for Node packages that the package.json beside their node_modules requests."""
        wanted: dict[str, list[str]] = {}
        for change in self._changes:
            new = change.new
            if change.package.kind != NODE or new is None or not new.where.endswith("/node_modules"):
                continue
            folder = new.where.removesuffix("/node_modules")
            if not is_name(NodePath, new.name) or not is_name(NodeVersion, new.version):
                continue
            if "node_modules/" not in folder and folder.isprintable() and new.name in self._requested(folder):
                wanted.setdefault(folder, []).append(f"{new.name}@{new.version}")
        return [_statement(f"npm(into={word(f'/{folder}')})", words) for folder, words in sorted(wanted.items())]

    def _requested(self, folder: str) -> set[str]:
        try:
            plain = parsed_json(text_of(self._store, self._target, f"{folder}/package.json") or "{}")
        except Unreadable:
            return set()
        requested = plain.get("dependencies") if isinstance(plain, dict) else None
        return set(requested) if isinstance(requested, dict) else set()

    def _status(self) -> list[dict[str, str]]:
        return list(stanzas(text_of(self._store, self._target, "var/lib/dpkg/status") or ""))

    @cached_property
    def automatic(self) -> frozenset[str]:
        """The names of the packages that apt marks as installed automatically."""
        states = stanzas(text_of(self._store, self._target, "var/lib/apt/extended_states") or "")
        return frozenset(
            self._debian_name(f"{fields.get('package')}:{fields.get('architecture', 'all')}")
            for fields in states
            if fields.get("auto-installed") == "1"
        )

    def _debian_name(self, name: str) -> str:
        plain, _, architecture = name.partition(":")
        return plain if architecture in ("", "all", self._facts.arch) else name


def apt_line(words: list[str], options: str = "") -> Line:
    """Return the line that installs these Debian packages; `options` stand in parentheses, "" for none."""
    return _statement(f"apt{options}", words)


def _statement(keyword: str, words: list[str]) -> Line:
    quoted = [word(text) for text in words]
    text = f"{keyword} {' '.join(quoted)}" if len(words) <= _SHORT else block(keyword, quoted)
    return Line(text, tuple(words))


def _requested(record: str) -> str:
    return f"{record.rpartition('/')[0]}/REQUESTED"

"""The text of a lock, and the file that has it.

It is YAML that is written in one way only, a fact a line, so that a reviewer can read its diff and git can merge it.
Writing needs no YAML library; reading takes one, since people and merges may have touched the file. What a text meant
is remembered in the store, and the same text is not parsed again. Locks of version 1 and 2 are read by earlier.py.
"""

from __future__ import annotations

import os

from envbuild.digest import sha256_of
from envbuild.errors import UsageError, fields
from envbuild.linux.machine import architecture
from envbuild.lockfile.lock import (
    COMPATIBILITY,
    VERSION,
    BadLock,
    Lock,
    LockedInstall,
    Package,
    Section,
    UnsupportedHash,
)
from envbuild.lockfile.lock_fields import (
    PACKAGE_FIELDS,
    digest_text,
    earlier_to_plain,
    from_plain,
    number_of,
    to_plain,
)
from envbuild.lockfile.results import lines_of
from envbuild.record import values
from envbuild.store.store import Store
from envbuild.text import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable
    from typing import Any

MAX_CHARACTERS = 16_000_000
"""A lock of two thousand packages has half a million."""
MAX_VALUES = 250_000
"""Texts, lists and maps of a lock: nine for each package."""
_MAX_KEY = 1024
"""Characters of a key that a colon may follow on its line, with quotes."""
_LINE_ENDS = (0x2028, 0x2029)
"""Characters that YAML allows, and takes for the end of a line."""
_MERGE = "envbuild git install; git checkout --merge -- {path}"
_MEMO = "lock 3"
"""The kind of what the store's memo keeps of locks."""
_PINS = "# What a build takes: review it, and let git merge it."
_RESULTS = (
    "# What came of it. Each line stands for itself; a build adds those that are missing.",
    "# Lines that nobody asks for any more do no harm: leave them to the next build.",
    "# After a merge without `envbuild git install`, keep the lines of both sides.",
)
"""Not shorter: git takes two conflicts with three lines or fewer between them for one, and a union of both sides would
then have pins behind results."""


def dump(lock: Lock) -> str:
    """Return the text of a lock: the same lock gives the same bytes."""
    sections = sorted((lock.own, *lock.others), key=lambda section: section.architecture)
    lines = [*_head(lock), "", _PINS, "pins:"]
    for section in sections:
        lines += section_lines(section)
    results = [line for section in sections for line in lines_of(section.architecture, section.results)]
    lines += ["", *_RESULTS, "results:" if results else "results: []", *(f"  - {_item(line)}" for line in results)]
    return "\n".join(lines) + "\n"


def pins_text(lock: Lock) -> str:
    """Return the text of all that a lock has but the results, for machines like this one."""
    return "\n".join([*_head(lock), *section_lines(lock.own)]) + "\n"


def _head(lock: Lock) -> list[str]:
    lines = [
        "# Made by envbuild; keep it in git beside the recipe. `envbuild update` renews it.",
        f"version: {VERSION}",
        f"compatibility: {lock.compatibility}",
        f"recipe: {_quote(lock.recipe)}",
    ]
    if lock.cool_down:
        lines.append(f"cool-down: {_quote(lock.cool_down)}")
    if lock.parameters:
        lines.append("parameters:")
        for name, value in sorted(lock.parameters):
            lines += _entry(2, name, _quote(value))
    return lines


def section_lines(section: Section) -> list[str]:
    """Return the lines of the pins for one architecture."""
    lines = [f"  {section.architecture}:"]
    for title, pairs in (("fetched", section.fetched), ("images", section.images)):
        if pairs:
            lines.append(f"    {title}:")
            for name, digest in sorted(pairs):
                lines += _entry(6, name, digest_text(digest))
    if section.commits:
        lines.append("    commits:")
        for name, commit in sorted(section.commits):
            lines += _entry(6, name, commit)
    lines.append("    stages:" if section.stages else "    stages: []")
    for stage in section.stages:
        lines += [f"      - stage: {_quote(stage.name)}", f"        base: {_quote(stage.base)}"]
        if not stage.follows:
            lines += [f"        digest: {digest_text(stage.digest)}"]
        lines.append(f"        origin: {_quote(stage.origin)}")
        if not stage.follows:
            lines.append(f"        epoch: {stage.epoch}")
        if stage.packages.all:
            lines.append(f"        released: {stage.released}")
            for title, packages in (("packages", stage.packages.asked), ("pulled", stage.packages.pulled)):
                lines.append(f"        {title}:" if packages else f"        {title}: []")
                lines += [package_line(package, 10) for package in sorted(packages, key=values)]
        if stage.installs:
            lines.append("        installs:")
        for install in stage.installs:
            lines.append(f"          - install: {install.manager}")
            lines.append("            wants:" if install.wants else "            wants: []")
            lines += [f"              - {_quote(word)}" for word in sorted(install.wants)]
            if install.sources:
                lines.append("            sources:")
                lines += [f"              - {_quote(source)}" for source in sorted(install.sources)]
            lines.append("            packages:" if install.packages else "            packages: []")
            lines += [package_line(package) for package in sorted(install.packages, key=values)]
            # Last, so that a package that moved and a new statement behind it are two changes for git, and no conflict.
            lines.append(f"            asks: {digest_text(install.asks)}")
            if install.earlier is not None:
                # A merge with a lock of before may be written; a build knows what these mean.
                lines.append("            earlier:")
                lines += [f"              {name}: {value}" for name, value in earlier_to_plain(install.earlier).items()]
    return lines


def read_lock(text: str, path: str, store: Store) -> Lock:
    """Return the lock that `text` holds. Raises BadLock."""
    key = sha256_of(f"{architecture()} {text}".encode())
    remembered = store.memo.get(_MEMO, key)
    if remembered is not None:
        try:
            return from_plain(json.loads(remembered))
        except (KeyError, TypeError, ValueError, AttributeError, AssertionError, RecursionError):
            pass  # written by another version: the text itself decides
    lock = parse(text, path)
    remember_lock(text, lock, store)
    return lock


def remember_lock(text: str, lock: Lock, store: Store) -> None:
    """Keep what a lock's text means, for the next build to read."""
    key = sha256_of(f"{architecture()} {text}".encode())
    store.memo.put(_MEMO, key, json.dumps(to_plain(lock)).encode())


def parse(text: str, path: str) -> Lock:
    """Return the lock that `text` holds. Raises BadLock, also for conflict markers and for a newer version."""
    import yaml  # 20 ms; a lock that was read before comes from the store's memo instead

    from envbuild.language.bounded_yaml import BoundedLoader

    if len(text) > MAX_CHARACTERS:
        raise BadLock(path, f"it has more than {MAX_CHARACTERS:,} characters")
    # Both sides of a merge may have changed a line that follows from others: such a value is unknown then.
    repeated: list[str] = []

    class Loader(BoundedLoader):
        max_nodes = MAX_VALUES
        max_depth = 12
        aliases = False  # a lock is written without

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
            made = super().construct_mapping(node, deep=deep)
            if len(made) < len(node.value):
                by_key: dict[object, list[yaml.Node]] = {}
                for key, value in node.value:
                    by_key.setdefault(key.value, []).append(value)
                for name, nodes in by_key.items():
                    if len(nodes) > 1:
                        repeated.append(str(name))
                        made[name] = _both([self.construct_object(value, deep=True) for value in nodes])
            return made

    try:
        plain = yaml.load(text, Loader)
    except yaml.YAMLError as error:
        if "\n<<<<<<< " in f"\n{text}":
            hint = f"keep the lines of one side and build, or begin again with a merge that knows locks: {_MERGE}"
            raise BadLock(path, "git's conflict markers are in it", hint.format(path=path)) from error
        raise BadLock(path, " ".join(str(error).split())) from error
    try:
        lock = _from_text(plain, repeated, path)
    except UnsupportedHash as error:
        number = next((n for n, line in enumerate(text.splitlines(), 1) if error.hash in line), 0)
        raise BadLock(f"{path}:{number}" if number else path, str(error), _hash_hint(path)) from error
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise BadLock(path, f"{type(error).__name__}: {str(error)[:200]}") from error

    for section in (lock.own, *lock.others):
        for stage in section.stages:
            for install in stage.installs:
                _refuse_two_versions(install, path)
    return lock


def _from_text(plain: dict[str, Any], repeated: list[str], path: str) -> Lock:
    version = plain["version"]
    if version is None:
        raise ValueError("two branches wrote it in different versions: keep one side of it, and build")
    if version not in map(str, range(1, VERSION + 1)):
        reason = f"it has version {version[:20]}, this envbuild knows version {VERSION}"
        raise BadLock(path, reason, "use the envbuild that wrote it, or a newer one")
    if version != str(VERSION):
        from envbuild.lockfile.earlier import from_earlier  # only until the next build

        return from_earlier(plain, architecture())
    compatibility = plain["compatibility"]
    if compatibility is None or number_of(compatibility) > COMPATIBILITY:
        reason = (
            f"its keys and trees are of compatibility {str(compatibility)[:20]}, this envbuild knows {COMPATIBILITY}"
        )
        raise BadLock(path, reason, "use the envbuild that wrote it, or a newer one: this one would give other digests")
    return from_plain(plain)


def _both(meanings: list[Any]) -> Any:
    """Return what a key that stands twice means: all of its lists or maps; None for other values."""
    if all(isinstance(value, list) for value in meanings):
        return [item for value in meanings for item in value]
    if all(isinstance(value, dict) for value in meanings):
        merged: dict[Any, Any] = {}
        for value in meanings:
            for key, item in value.items():
                merged[key] = _both([merged[key], item]) if key in merged and merged[key] != item else item
        return merged
    return meanings[0] if all(value == meanings[0] for value in meanings) else None


def _hash_hint(path: str) -> str:
    return f"see who changed that line: git log -p -- {path}; and take it back: git checkout COMMIT -- {path}"


def _refuse_two_versions(install: LockedInstall, path: str) -> None:
    known: dict[tuple[str, bool], Package] = {}
    for package in install.packages:
        other = known.setdefault((package.name, package.origin.startswith("build/")), package)
        if other != package and not package.origin.startswith("build/"):
            reason = f"it has {package.name} twice, as {other.version} and as {package.version} ({install.text})"
            raise BadLock(path, reason, "two branches moved it: keep one of the two lines, and build")


@fields
class LockNotWritten(UsageError):
    """The lock can't be put beside its recipe."""

    path: str
    reason: str

    def text(self) -> tuple[str, str]:
        return (
            f"the lock {self.path} can't be written: {self.reason}",
            "the image is built and tagged; make the folder writable, or free space, and build again",
        )


def write(path: str, text: str) -> None:
    """Put the lock in place at once: a reader sees the old one or the new one, never a half."""
    # In the same folder, as a rename does not cross file systems.
    temporary = f"{path}.{os.getpid()}.new"
    try:
        with open(temporary, "x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        try:
            os.unlink(temporary)
        except FileNotFoundError:
            pass
        raise LockNotWritten(path, str(error.strerror)) from error


def package_line(package: Package, indent: int = 14) -> str:
    """Return the line of one package in a lock's text."""
    fields = zip(PACKAGE_FIELDS, values(package), strict=True)
    return f"{' ' * indent}- {{{', '.join(f'{name}: {_quote(value)}' for name, value in fields)}}}"


def _entry(indent: int, name: str, value: str) -> tuple[str, ...]:
    """Return the lines of one entry of a map: a key that is longer than YAML allows before a colon has its own (YAML
    1.2, "7.4.2. Flow Mappings" and "8.2.2. Block Mappings")."""
    key, space = _quote(name), " " * indent
    if len(key) <= _MAX_KEY:
        return (f"{space}{key}: {value}",)
    return f"{space}? {key}", f"{space}: {value}"


def _item(line: str) -> str:
    """Return a line of results as YAML takes it: the addresses and methods that a step asked with can be anything."""
    return _quote(line) if line.endswith(":") or ": " in line or " #" in line else line


def _quote(text: str) -> str:
    quoted = json.dumps(text, ensure_ascii=False)
    # Characters that YAML does not allow, or takes for the end of a line.
    return quoted if quoted.isprintable() else "".join(map(_escaped, quoted))


def _escaped(character: str) -> str:
    code = ord(character)
    is_plain = code < 0x7F or 0x9F < code < 0xD800 or 0xDFFF < code < 0xFFFE or code > 0xFFFF
    return character if is_plain and code not in _LINE_ENDS else f"\\u{code:04x}"

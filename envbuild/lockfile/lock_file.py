"""The text of a lock, and the file that has it.

It is YAML that is written in one way only, a fact a line, so that a reviewer can read its diff and git can merge it.
Writing needs no YAML library; reading takes one, since people and merges may have touched the file. What a text meant
is remembered in the store, and the same text is not parsed again. Locks of version 1 and 2 are read by earlier.py.
"""

from __future__ import annotations

import os

from envbuild.digest import sha256_of
from envbuild.errors import UsageError
from envbuild.linux.machine import architecture
from envbuild.lockfile.lock import (
    COMPATIBILITY,
    VERSION,
    BadLock,
    BasePackages,
    Earlier,
    Lock,
    LockedInstall,
    LockedStage,
    Package,
    Section,
    UnsupportedHash,
    check_hashes,
)
from envbuild.lockfile.lock_fields import (
    PACKAGE_FIELDS,
    UNKNOWN,
    digest_of,
    listed_of,
    number_of,
    package_to_plain,
    packages_from_plain,
    packages_of,
    packages_to_plain,
    pairs_of,
    released_of,
)
from envbuild.lockfile.results import NO_RESULTS, Results, lines_of, results_of
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
_MAX_DIGITS = 18
_MAX_ARCHITECTURE = 40
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
        lines += ["parameters:", *(f"  {_quote(name)}: {_quote(value)}" for name, value in sorted(lock.parameters))]
    return lines


def section_lines(section: Section) -> list[str]:
    """Return the lines of the pins for one architecture."""
    lines = [f"  {section.architecture}:"]
    for title, pairs in (("fetched", section.fetched), ("images", section.images)):
        if pairs:
            lines += [f"    {title}:", *(f"      {_quote(name)}: {_shown(digest)}" for name, digest in sorted(pairs))]
    lines.append("    stages:" if section.stages else "    stages: []")
    for stage in section.stages:
        lines += [f"      - stage: {_quote(stage.name)}", f"        base: {_quote(stage.base)}"]
        if not stage.follows:
            lines += [f"        digest: {_shown(stage.digest)}"]
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
            lines.append(f"            asks: {_shown(install.asks)}")
            if install.earlier is not None:
                # A merge with a lock of before may be written; a build knows what these mean.
                lines.append("            earlier:")
                lines += [f"              {name}: {value}" for name, value in _plain_earlier(install.earlier).items()]
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
                found: dict[object, list[yaml.Node]] = {}
                for key, value in node.value:
                    found.setdefault(key.value, []).append(value)
                for name, nodes in found.items():
                    if len(nodes) > 1:
                        repeated.append(str(name))
                        made[name] = _both([self.construct_object(one, deep=True) for one in nodes])
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


def _both(found: list[Any]) -> Any:
    """Return what a key that stands twice means: all of its lists or maps; None for other values."""
    if all(isinstance(value, list) for value in found):
        return [item for value in found for item in value]
    if all(isinstance(value, dict) for value in found):
        merged: dict[Any, Any] = {}
        for value in found:
            for key, item in value.items():
                merged[key] = _both([merged[key], item]) if key in merged and merged[key] != item else item
        return merged
    return found[0] if all(value == found[0] for value in found) else None


def _hash_hint(path: str) -> str:
    return f"see who changed that line: git log -p -- {path}; and take it back: git checkout COMMIT -- {path}"


def _refuse_two_versions(install: LockedInstall, path: str) -> None:
    known: dict[tuple[str, bool], Package] = {}
    for package in install.packages:
        other = known.setdefault((package.name, package.origin.startswith("build/")), package)
        if other != package and not package.origin.startswith("build/"):
            reason = f"it has {package.name} twice, as {other.version} and as {package.version} ({install.text})"
            raise BadLock(path, reason, "two branches moved it: keep one of the two lines, and build")


def from_plain(plain: dict[str, Any]) -> Lock:
    """Return the lock from the types that YAML or JSON give."""
    here = architecture()
    pins = plain["pins"] or {}
    results = results_of(map(str, plain["results"] or ()))
    names = sorted({*pins, *results})
    sections = [_section(_architecture(name), pins.get(name) or {}, results.get(name, NO_RESULTS)) for name in names]
    return Lock(
        recipe=str(plain["recipe"]),
        own=next((section for section in sections if section.architecture == here), Section(here)),
        parameters=pairs_of(plain.get("parameters"), digests=False),
        others=tuple(section for section in sections if section.architecture != here),
        cool_down=_cool_down(plain.get("cool-down")),
        compatibility=number_of(plain["compatibility"]),
        version=number_of(plain["version"]),
    )


def to_plain(lock: Lock) -> dict[str, object]:
    """from_plain(to_plain(lock)) == lock."""
    sections = (lock.own, *lock.others)
    return {
        "recipe": lock.recipe,
        "version": lock.version,
        "compatibility": lock.compatibility,
        "cool-down": lock.cool_down,
        "parameters": dict(lock.parameters),
        "pins": {section.architecture: _plain_section(section) for section in sections},
        "results": [line for section in sections for line in lines_of(section.architecture, section.results)],
    }


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
        raise UsageError(
            f"the lock {path} can't be written: {error.strerror}",
            "the image is built and tagged; make the folder writable, or free space, and build again",
        ) from error


def _section(name: str, plain: dict[str, Any], results: Results) -> Section:
    return Section(
        architecture=name,
        stages=tuple(_stage(stage) for stage in listed_of(plain.get("stages"))),
        fetched=pairs_of(plain.get("fetched"), digests=True),
        images=pairs_of(plain.get("images"), digests=True),
        results=results,
    )


def _plain_section(section: Section) -> dict[str, object]:
    return {
        "fetched": {url: f"sha256:{digest}" for url, digest in section.fetched},
        "images": {name: f"sha256:{digest}" for name, digest in section.images},
        "stages": [
            {
                "stage": stage.name,
                "base": stage.base,
                "digest": f"sha256:{stage.digest}",
                "origin": stage.origin,
                "epoch": stage.epoch,
                "released": stage.released,
                **packages_to_plain(stage.packages),
                "installs": [_plain_install(install) for install in stage.installs],
            }
            for stage in section.stages
        ],
    }


def _stage(plain: dict[str, Any]) -> LockedStage:
    digest = digest_of(plain.get("digest"))
    stage = LockedStage(
        name=str(plain["stage"]),
        base=str(plain["base"]),
        digest=digest,
        origin=str(plain["origin"] or ""),
        epoch=number_of(plain.get("epoch") or 0),
        installs=tuple(_install(install) for install in listed_of(plain.get("installs"))),
        packages=packages_from_plain(plain),
        released=released_of(plain.get("released") or 0),
    )
    # Two branches renewed the base: which packages it is made of is as unknown as its tree.
    return stage if digest or stage.follows else stage.replace(packages=BasePackages(), released=0)


def _install(plain: dict[str, Any]) -> LockedInstall:
    manager, earlier = str(plain["install"]), plain.get("earlier")
    if not manager.isalnum():
        raise ValueError(f"{manager[:40]!r} is not a package manager")
    wants, sources = (_texts_of(plain.get(name)) for name in ("wants", "sources"))
    install = LockedInstall(
        manager=manager,
        wants=wants,
        asks=digest_of(plain["asks"]),
        packages=packages_of(listed_of(plain.get("packages"))),
        earlier=_earlier(earlier) if earlier else None,
        sources=sources,
    )
    check_hashes(manager, install.packages)
    return install


def _texts_of(value: object) -> tuple[str, ...]:
    texts = value or []
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError("a list of texts is expected")
    return tuple(sorted(set(texts)))


def _plain_install(install: LockedInstall) -> dict[str, object]:
    plain: dict[str, object] = {
        "install": install.manager,
        "asks": f"sha256:{install.asks}",
        "wants": list(install.wants),
        "sources": list(install.sources),
        "packages": [package_to_plain(package) for package in install.packages],
    }
    return plain if install.earlier is None else {**plain, "earlier": _plain_earlier(install.earlier)}


def _earlier(plain: dict[str, Any]) -> Earlier:
    asks, sees, key, parent = (digest_of(plain[name]) for name in ("asks", "sees", "key", "parent"))
    return Earlier(asks, sees, key, parent, number_of(plain["epoch"]))


def _plain_earlier(earlier: Earlier) -> dict[str, object]:
    digests = {name: _shown(getattr(earlier, name)) for name in ("asks", "sees", "key", "parent")}
    return {**digests, "epoch": earlier.epoch}


def package_line(package: Package, indent: int = 14) -> str:
    """Return the line of one package in a lock's text."""
    fields = zip(PACKAGE_FIELDS, values(package), strict=True)
    return f"{' ' * indent}- {{{', '.join(f'{name}: {_quote(value)}' for name, value in fields)}}}"


def _architecture(name: object) -> str:
    text = str(name)
    if len(text) > _MAX_ARCHITECTURE or not text.isascii() or not text.replace("-", "").replace("_", "").isalnum():
        raise ValueError(f"{text[:40]!r} is not an architecture")
    return text


def _cool_down(value: object) -> str:
    text = str(value or "")
    if len(text) > _MAX_DIGITS or not all(part.isascii() and part.isalnum() for part in text):
        raise ValueError(f"{text[:40]!r} is not a span of time")
    return text


def _shown(digest: str) -> str:
    return f"sha256:{digest}" if digest else UNKNOWN


def _item(line: str) -> str:
    """Return a line of results as YAML takes it: the addresses and methods that a step asked with can be anything."""
    return _quote(line) if line.endswith(":") or ": " in line or " #" in line else line


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)

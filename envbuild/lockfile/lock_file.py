"""The text of a lock, and the file that has it.

It is YAML that is written in one way only, a fact a line, so that a reviewer can read its diff and git can merge it.
Writing needs no YAML library; reading takes one, since people and merges may have touched the file. What a text meant
is remembered in the store, and the same text is not parsed again.
"""

from __future__ import annotations

import os

from envbuild.digest import sha256_of
from envbuild.errors import UsageError
from envbuild.lockfile.lock import (
    VERSION,
    BadLock,
    BasePackages,
    Lock,
    LockedStage,
    LockedStep,
    Package,
    UnsupportedHash,
    check_hashes,
)
from envbuild.record import Pairs, values
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
_LATEST = (1 << 33) - 1
"""The latest date of a base, in seconds: in the year 2242. The C library can't write all that a number can be."""
_PACKAGE_FIELDS = ("name", "version", "hash", "from")
"""What the lock calls the fields of a package, in their order."""
_UNKNOWN = "unknown"
_MERGE = "envbuild git install; git checkout --merge -- {path}"


def dump(lock: Lock) -> str:
    """Return the text of a lock: the same lock gives the same bytes."""
    lines = [
        "# Made by envbuild; keep it in git beside the recipe. `envbuild update` renews it.",
        f"version: {lock.version}",
        f"recipe: {_quote(lock.recipe)}",
        f"image: {_shown(lock.image)}",
        f"tree: {_shown(lock.tree)}",
        f"size: {lock.size}",
        f"epoch: {lock.epoch}",
    ]
    for title, pairs in (("parameters", lock.parameters), ("fetched", lock.fetched), ("images", lock.images)):
        if pairs:
            lines.append(f"{title}:")
            mark = "" if title == "parameters" else "sha256:"
            lines += [f"  {_quote(k)}: {mark}{v if mark else _quote(v)}" for k, v in sorted(pairs)]
    lines.append("stages:")
    for stage in lock.stages:
        lines += [
            f"  - stage: {_quote(stage.name)}",
            f"    base: {_quote(stage.base)}",
            f"    digest: {_shown(stage.digest)}",
            f"    origin: {_quote(stage.origin)}",
            f"    epoch: {stage.epoch}",
        ]
        if stage.packages.all:
            lines.append(f"    released: {stage.released}")
            for title, packages in (("packages", stage.packages.asked), ("pulled", stage.packages.pulled)):
                lines.append(f"    {title}:" if packages else f"    {title}: []")
                lines += [package_line(package, 6) for package in sorted(packages, key=values)]
        lines.append("    steps:" if stage.steps else "    steps: []")
        for step in stage.steps:
            lines += [
                f"      - step: {_quote(step.text)}",
                f"        key: {_shown(step.key)}",
                f"        tree: {_shown(step.tree)}",
            ]
            if step.installs:
                lines.append(f"        asks: {_shown(step.asks)}")
                if step.sees:
                    lines.append(f"        sees: {_shown(step.sees)}")
                lines.append("        packages:" if step.packages else "        packages: []")
                lines += [package_line(package) for package in sorted(step.packages, key=values)]
    return "\n".join(lines) + "\n"


def read_lock(text: str, path: str, store: Store) -> Lock:
    """Return the lock that `text` holds. Raises BadLock."""
    key = sha256_of(text.encode())
    remembered = store.memo.get("lock", key)
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
    store.memo.put("lock", sha256_of(text.encode()), json.dumps(to_plain(lock)).encode())


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
                seen: set[object] = set()
                for key, _ in node.value:
                    if key.value in seen:
                        repeated.append(key.value)
                        made[key.value] = None
                    seen.add(key.value)
            return made

    try:
        plain = yaml.load(text, Loader)
    except yaml.YAMLError as error:
        if "\n<<<<<<< " in f"\n{text}":
            hint = f"keep the lines of one side and build, or begin again with a merge that knows locks: {_MERGE}"
            raise BadLock(path, "git's conflict markers are in it", hint.format(path=path)) from error
        raise BadLock(path, " ".join(str(error).split())) from error
    try:
        if plain["version"] not in map(str, range(1, VERSION + 1)):
            reason = f"it has version {plain['version'][:20]}, this envbuild knows version {VERSION}"
            raise BadLock(path, reason, "use the envbuild that wrote it, or a newer one")
        lock = from_plain({**plain, "merged": bool(repeated) or not _digest(plain["image"])})
    except UnsupportedHash as error:
        number = next((n for n, line in enumerate(text.splitlines(), 1) if error.hash in line), 0)
        raise BadLock(f"{path}:{number}" if number else path, str(error), _hash_hint(path)) from error
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise BadLock(path, f"{type(error).__name__}: {str(error)[:200]}") from error

    for stage in lock.stages:
        for step in stage.steps:
            _refuse_two_versions(step, path)
    return lock


def _hash_hint(path: str) -> str:
    return f"see who changed that line: git log -p -- {path}; and take it back: git checkout COMMIT -- {path}"


def _refuse_two_versions(step: LockedStep, path: str) -> None:
    known: dict[tuple[str, bool], Package] = {}
    for package in step.packages:
        other = known.setdefault((package.name, package.origin.startswith("build/")), package)
        if other != package and not package.origin.startswith("build/"):
            reason = f"it has {package.name} twice, as {other.version} and as {package.version} ({step.text})"
            raise BadLock(path, reason, "two branches moved it: keep one of the two lines, and build")


def from_plain(plain: dict[str, object]) -> Lock:
    """Return the lock from the types that YAML or JSON give."""
    stages = _listed(plain["stages"])
    return Lock(
        recipe=str(plain["recipe"]),
        image=_digest(plain["image"]),
        tree=_digest(plain["tree"]),
        size=_number(plain["size"] or 0),
        epoch=_number(plain["epoch"] or 0),
        merged=bool(plain.get("merged")),
        # What a store remembers of locks of version 1 does not say so.
        version=_number(plain.get("version") or 1),
        stages=tuple(_stage(stage) for stage in stages),
        parameters=_pairs(plain.get("parameters"), digests=False),
        fetched=_pairs(plain.get("fetched"), digests=True),
        images=_pairs(plain.get("images"), digests=True),
    )


def to_plain(lock: Lock) -> dict[str, object]:
    """from_plain(to_plain(lock)) == lock."""
    return {
        "recipe": lock.recipe,
        "image": f"sha256:{lock.image}",
        "tree": f"sha256:{lock.tree}",
        "size": lock.size,
        "epoch": lock.epoch,
        "merged": lock.merged,
        "version": lock.version,
        "parameters": dict(lock.parameters),
        "fetched": {url: f"sha256:{digest}" for url, digest in lock.fetched},
        "images": {name: f"sha256:{digest}" for name, digest in lock.images},
        "stages": [
            {
                "stage": stage.name,
                "base": stage.base,
                "digest": f"sha256:{stage.digest}",
                "origin": stage.origin,
                "epoch": stage.epoch,
                "released": stage.released,
                **packages_to_plain(stage.packages),
                "steps": [_plain_step(step) for step in stage.steps],
            }
            for stage in lock.stages
        ],
    }


def packages_to_plain(packages: BasePackages) -> dict[str, object]:
    """packages_from_plain(packages_to_plain(packages)) == packages."""
    return {
        "packages": [_plain_package(package) for package in packages.asked],
        "pulled": [_plain_package(package) for package in packages.pulled],
    }


def packages_from_plain(plain: dict[str, object] | None) -> BasePackages:
    """Return the packages of a base from the types that YAML or JSON give."""
    groups = (_listed((plain or {}).get(title)) for title in ("packages", "pulled"))
    found = BasePackages(*(tuple(dict.fromkeys(map(_package, group))) for group in groups))
    check_hashes("apt", found.all)
    return found


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


def _stage(plain: dict[str, object]) -> LockedStage:
    steps = _listed(plain["steps"])
    return LockedStage(
        name=str(plain["stage"]),
        base=str(plain["base"]),
        digest=_digest(plain["digest"]),
        origin=str(plain["origin"]),
        epoch=_number(plain["epoch"]),
        steps=tuple(_step(step) for step in steps),
        packages=packages_from_plain(plain),
        released=_released(plain.get("released") or 0),
    )


def _step(plain: dict[str, object]) -> LockedStep:
    packages = _listed(plain.get("packages"))
    if not str(plain["step"]).strip():
        raise ValueError("a step has no text")
    step = LockedStep(
        text=str(plain["step"]),
        key=_digest(plain["key"]),
        tree=_digest(plain["tree"]),
        asks=_digest(plain["asks"]) if "asks" in plain else "",
        # Two branches may have added the same line.
        packages=tuple(dict.fromkeys(_package(package) for package in packages)),
        sees=_digest(plain["sees"]) if "sees" in plain else "",
    )
    check_hashes(step.manager, step.packages)
    return step


def _package(plain: dict[str, object]) -> Package:
    return Package(*(str(plain[field]) for field in _PACKAGE_FIELDS))


def _plain_step(step: LockedStep) -> dict[str, object]:
    plain: dict[str, object] = {"step": step.text, "key": f"sha256:{step.key}", "tree": f"sha256:{step.tree}"}
    if step.installs:
        plain["asks"] = f"sha256:{step.asks}"
        plain["sees"] = f"sha256:{step.sees}"
        plain["packages"] = [_plain_package(package) for package in step.packages]
    return plain


def _plain_package(package: Package) -> dict[str, object]:
    return dict(zip(_PACKAGE_FIELDS, values(package), strict=True))


def package_line(package: Package, indent: int = 10) -> str:
    """Return the line of one package in a lock's text."""
    pairs = zip(_PACKAGE_FIELDS, values(package), strict=True)
    return f"{' ' * indent}- {{{', '.join(f'{name}: {_quote(value)}' for name, value in pairs)}}}"


def _digest(value: object) -> str:
    """Return a digest without its algorithm; "" for one that a merge left unknown."""
    if value in (None, "", _UNKNOWN, "sha256:"):
        return ""
    algorithm, _, digest = str(value).partition(":")
    if algorithm != "sha256" or len(digest) != 64 or set(digest) - set("0123456789abcdef"):
        raise ValueError(f"{value!r} is not a sha256 digest")
    return digest


def _pairs(value: object, *, digests: bool) -> Pairs:
    if not value:
        return ()
    if not isinstance(value, dict):
        raise ValueError("a map is expected")
    return tuple(sorted((str(k), _digest(v) if digests else str(v)) for k, v in value.items()))


def _listed(value: object) -> list[dict[str, object]]:
    if not value:
        return []
    if not isinstance(value, list):
        raise ValueError("a list is expected")
    return value


def _number(value: object) -> int:
    text = str(value)
    if len(text) > _MAX_DIGITS or not text.isascii() or not text.isdigit():
        raise ValueError(f"{text[:40]!r} is not a number that a lock has")
    return int(text)


def _released(value: object) -> int:
    moment = _number(value)
    if moment > _LATEST:
        raise ValueError(f"{moment} is not the date of a release")
    return moment


def _shown(digest: str) -> str:
    return f"sha256:{digest}" if digest else _UNKNOWN


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)

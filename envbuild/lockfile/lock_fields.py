"""A lock as the plain types that YAML and JSON have, and back: its digests, numbers, dates and packages are checked.

The functions raise ValueError, KeyError, TypeError or AttributeError for what a lock can't have.
"""

from __future__ import annotations

from envbuild.linux.machine import architecture
from envbuild.lockfile.lock import (
    BasePackages,
    Earlier,
    Lock,
    LockedInstall,
    LockedStage,
    Package,
    Section,
    check_hashes,
    commit_id,
)
from envbuild.lockfile.results import NO_RESULTS, Results, lines_of, results_of
from envbuild.record import Pairs, values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

PACKAGE_FIELDS = ("name", "version", "hash", "from")
"""What the lock calls the fields of a package, in their order."""
UNKNOWN = "unknown"
_MAX_DIGITS = 18
_MAX_ARCHITECTURE = 40
_LATEST = (1 << 33) - 1
"""The latest date of a base, in seconds: in the year 2242. The C library can't write all that a number can be."""


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


def _section(name: str, plain: dict[str, Any], results: Results) -> Section:
    return Section(
        architecture=name,
        stages=tuple(_stage(stage) for stage in listed_of(plain.get("stages"))),
        fetched=pairs_of(plain.get("fetched"), digests=True),
        images=pairs_of(plain.get("images"), digests=True),
        results=results,
        commits=_commits_of(plain.get("commits")),
    )


def _commits_of(value: object) -> Pairs:
    commits = pairs_of(value, digests=False)
    if commits:
        from envbuild.language.git_address import is_commit, is_git  # few locks have any
    for url, commit in commits:
        if not is_git(url) or not is_commit(commit_id(commit)):
            raise ValueError(f"{commit[:80]!r} is not a commit of a git repository")
    return commits


def _plain_section(section: Section) -> dict[str, object]:
    return {
        "fetched": {url: f"sha256:{digest}" for url, digest in section.fetched},
        "images": {name: f"sha256:{digest}" for name, digest in section.images},
        "commits": dict(section.commits),
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
    sources = _texts_of(plain.get("sources"))
    listed = listed_of(plain.get("packages"))
    # Git takes what two branches added at the end of `wants` and at the beginning of `packages` for one place: where it
    # keeps the lines of both, wants of the second stand behind packages of the first.
    wants = _texts_of([*listed_of(plain.get("wants")), *(item for item in listed if isinstance(item, str))])
    install = LockedInstall(
        manager=manager,
        wants=wants,
        asks=digest_of(plain["asks"]),
        packages=packages_of(item for item in listed if not isinstance(item, str)),
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
    return plain if install.earlier is None else {**plain, "earlier": earlier_to_plain(install.earlier)}


def _earlier(plain: dict[str, Any]) -> Earlier:
    asks, sees, key, parent = (digest_of(plain[name]) for name in ("asks", "sees", "key", "parent"))
    return Earlier(asks, sees, key, parent, number_of(plain["epoch"]))


def earlier_to_plain(earlier: Earlier) -> dict[str, object]:
    """_earlier(earlier_to_plain(earlier)) == earlier."""
    digests = {name: digest_text(getattr(earlier, name)) for name in ("asks", "sees", "key", "parent")}
    return {**digests, "epoch": earlier.epoch}


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


def packages_to_plain(packages: BasePackages) -> dict[str, object]:
    """packages_from_plain(packages_to_plain(packages)) == packages."""
    return {
        "packages": [package_to_plain(package) for package in packages.asked],
        "pulled": [package_to_plain(package) for package in packages.pulled],
    }


def packages_from_plain(plain: dict[str, object] | None) -> BasePackages:
    """Return the packages of a base from the types that YAML or JSON give."""
    groups = (listed_of((plain or {}).get(title)) for title in ("packages", "pulled"))
    packages = BasePackages(*(packages_of(group) for group in groups))
    check_hashes("apt", packages.all)
    return packages


def packages_of(listed: Iterable[dict[str, object]]) -> tuple[Package, ...]:
    """Return packages in the order that locks have: two branches may have added the same line, or any order."""
    return tuple(sorted({_package(plain) for plain in listed}, key=values))


def _package(plain: dict[str, object]) -> Package:
    return Package(*(str(plain[field]) for field in PACKAGE_FIELDS))


def package_to_plain(package: Package) -> dict[str, object]:
    """Return the fields of a package by the names that a lock has for them."""
    return dict(zip(PACKAGE_FIELDS, values(package), strict=True))


def digest_of(value: object) -> str:
    """Return a digest without its algorithm; "" for one that a merge left unknown."""
    if value in (None, "", UNKNOWN, "sha256:"):
        return ""
    algorithm, _, digest = str(value).partition(":")
    if algorithm != "sha256" or len(digest) != 64 or set(digest) - set("0123456789abcdef"):
        raise ValueError(f"{value!r} is not a sha256 digest")
    return digest


def digest_text(digest: str) -> str:
    """Return a digest as a lock shows it: digest_of(digest_text(digest)) == digest."""
    return f"sha256:{digest}" if digest else UNKNOWN


def pairs_of(value: object, *, digests: bool) -> Pairs:
    """Return a map of texts, or of names and digests, sorted."""
    if not value:
        return ()
    if not isinstance(value, dict):
        raise ValueError("a map is expected")
    return tuple(sorted((str(k), digest_of(v) if digests else str(v)) for k, v in value.items()))


def listed_of(value: object) -> list[dict[str, object]]:
    """Return a list, empty for none."""
    if not value:
        return []
    if not isinstance(value, list):
        raise ValueError("a list is expected")
    return value


def number_of(value: object) -> int:
    """Return a number that a lock has. Raises ValueError for what is none."""
    text = str(value)
    if len(text) > _MAX_DIGITS or not text.isascii() or not text.isdigit():
        raise ValueError(f"{text[:40]!r} is not a number that a lock has")
    return int(text)


def released_of(value: object) -> int:
    """Return the date of a release, in seconds. Raises ValueError for one that no calendar reaches."""
    moment = number_of(value)
    if moment > _LATEST:
        raise ValueError(f"{moment} is not the date of a release")
    return moment

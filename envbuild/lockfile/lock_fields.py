"""The values in a lock's text, checked: digests, numbers, dates, packages. They raise ValueError and its like for
what a lock can't have."""

from __future__ import annotations

from collections.abc import Iterable

from envbuild.lockfile.lock import BasePackages, Package, check_hashes
from envbuild.record import Pairs, values

PACKAGE_FIELDS = ("name", "version", "hash", "from")
"""What the lock calls the fields of a package, in their order."""
UNKNOWN = "unknown"
_MAX_DIGITS = 18
_LATEST = (1 << 33) - 1
"""The latest date of a base, in seconds: in the year 2242. The C library can't write all that a number can be."""


def packages_to_plain(packages: BasePackages) -> dict[str, object]:
    """packages_from_plain(packages_to_plain(packages)) == packages."""
    return {
        "packages": [package_to_plain(package) for package in packages.asked],
        "pulled": [package_to_plain(package) for package in packages.pulled],
    }


def packages_from_plain(plain: dict[str, object] | None) -> BasePackages:
    """Return the packages of a base from the types that YAML or JSON give."""
    groups = (listed_of((plain or {}).get(title)) for title in ("packages", "pulled"))
    found = BasePackages(*(packages_of(group) for group in groups))
    check_hashes("apt", found.all)
    return found


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

"""Caches that programs make of what else is in a tree: after a merge they are made anew."""

from __future__ import annotations

import re

from envbuild.record import NamedTuple


class Cache(NamedTuple):
    """A cache: the pattern of its paths (without a slash before them), and the commands that may make it: the first
    whose program the tree has is run."""

    name: str
    pattern: re.Pattern[bytes]
    commands: tuple[tuple[str, ...], ...]


CACHES = (
    Cache("ld.so.cache", re.compile(rb"etc/ld\.so\.cache"), (("/sbin/ldconfig", "-i"), ("/sbin/ldconfig",))),
    Cache("fontconfig", re.compile(rb"var/cache/fontconfig/.*"), (("/usr/bin/fc-cache", "-s"),)),
    Cache(
        "gconv",
        re.compile(rb"usr/lib(?:/[^/]+)?/gconv/gconv-modules\.cache"),
        (("/usr/sbin/iconvconfig",),),
    ),
    Cache(
        "mime", re.compile(rb"usr/share/mime/(?!packages/).*"), (("/usr/bin/update-mime-database", "/usr/share/mime"),)
    ),
    Cache(
        "certificates",
        re.compile(rb"etc/ssl/certs/ca-certificates\.crt"),
        (("/usr/sbin/update-ca-certificates",),),
    ),
    Cache(
        "desktop files",
        re.compile(rb"usr/share/applications/mimeinfo\.cache"),
        (("/usr/bin/update-desktop-database", "-q"),),
    ),
    Cache(
        "schemas",
        re.compile(rb"usr/share/glib-2\.0/schemas/gschemas\.compiled"),
        (("/usr/bin/glib-compile-schemas", "/usr/share/glib-2.0/schemas"),),
    ),
)


def cache_of(path: bytes) -> Cache | None:
    """Return the cache that a path is of, None for none."""
    return next((cache for cache in CACHES if cache.pattern.fullmatch(path)), None)


def is_cache(path: bytes) -> bool:
    """Return whether a path is made by a program of what else is in the tree."""
    return cache_of(path) is not None

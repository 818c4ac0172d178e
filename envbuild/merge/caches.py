"""Caches that programs make of what else is in a tree: after a merge they are made anew."""

from __future__ import annotations

import re

from envbuild.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from envbuild.tree.diff import Change


class Cache(NamedTuple):
    """A cache: the pattern of its paths (without a slash before them), where what it is made of lies and how its names
    end (any of them), and the commands that may make it: the first whose program the tree has is run.

    The commands make all of it. Whether it is newer than what it is made of says nothing: times of trees are those of
    packages, and of steps none is later than the epoch.
    """

    name: str
    pattern: re.Pattern[bytes]
    inputs: tuple[bytes, ...]
    ending: re.Pattern[bytes]
    commands: tuple[tuple[str, ...], ...]

    def concerns(self, path: bytes) -> bool:
        """Return whether a path is of the cache, or of what it is made of."""
        made_of = path.startswith(self.inputs) and self.ending.search(path) is not None
        return made_of or self.pattern.fullmatch(path) is not None


_ANY = re.compile(rb"")


def _cache(
    name: str, pattern: bytes, inputs: tuple[bytes, ...], *commands: tuple[str, ...], ending: bytes = b""
) -> Cache:
    return Cache(name, re.compile(pattern), inputs, re.compile(ending) if ending else _ANY, commands)


CACHES = (
    _cache(
        "ld.so.cache",
        rb"etc/ld\.so\.cache",
        (b"usr/lib/", b"usr/local/lib/", b"lib/", b"lib64/", b"etc/ld.so.conf"),
        ("/sbin/ldconfig", "-i"),
        ending=rb"\.so(?:\.[\w.]+)?$|\.conf$",
    ),
    _cache(
        "fontconfig",
        rb"var/cache/fontconfig/.+",
        (b"usr/share/fonts/", b"usr/local/share/fonts/", b"etc/fonts/", b"usr/share/fontconfig/"),
        ("/usr/bin/fc-cache", "-s", "-r"),
    ),
    _cache(
        "gconv",
        rb"usr/lib(?:/[^/]+)?/gconv/gconv-modules\.cache",
        (b"usr/lib/",),
        ("/usr/sbin/iconvconfig",),
        ending=rb"/gconv/",
    ),
    _cache(
        "locales",
        rb"usr/lib/locale/locale-archive",
        (b"usr/share/i18n/", b"etc/locale.gen"),
        ("/usr/sbin/locale-gen",),
    ),
    _cache(
        "mime types",
        rb"usr/share/mime/(?!packages/).+",
        (b"usr/share/mime/packages/",),
        ("/usr/bin/update-mime-database", "/usr/share/mime"),
    ),
    _cache(
        "certificates",
        rb"etc/ssl/certs/ca-certificates\.crt",
        (b"usr/share/ca-certificates/", b"usr/local/share/ca-certificates/", b"etc/ca-certificates.conf"),
        ("/usr/sbin/update-ca-certificates",),
    ),
    _cache(
        "desktop files",
        rb"usr/share/applications/mimeinfo\.cache",
        (b"usr/share/applications/",),
        ("/usr/bin/update-desktop-database", "-q"),
    ),
    _cache(
        "mailcap",
        rb"etc/mailcap",
        (b"usr/lib/mime/packages/", b"usr/share/applications/"),
        ("/usr/sbin/update-mime",),
    ),
    _cache(
        "icons",
        rb"usr/share/icons/hicolor/icon-theme\.cache",
        (b"usr/share/icons/hicolor/",),
        ("/usr/sbin/update-icon-caches", "/usr/share/icons/hicolor"),
        ("/usr/bin/gtk-update-icon-cache", "-qf", "/usr/share/icons/hicolor"),
    ),
    _cache(
        "schemas",
        rb"usr/share/glib-2\.0/schemas/gschemas\.compiled",
        (b"usr/share/glib-2.0/schemas/",),
        ("/usr/bin/glib-compile-schemas", "/usr/share/glib-2.0/schemas"),
    ),
    _cache(
        "manual pages",
        rb"var/cache/man/(?:.+/)?index\.db",
        (b"usr/share/man/", b"usr/local/share/man/"),
        ("/usr/bin/mandb", "-qc"),
    ),
)


_PREFIXES = (
    b"etc/ld.so.cache",
    b"etc/mailcap",
    b"etc/ssl/certs/",
    b"var/cache/",
    *sorted({prefix for cache in CACHES for prefix in cache.inputs}),
)
"""Where all caches and all that they are made of lies."""


def cache_of(path: bytes) -> Cache | None:
    """Return the cache that a path is of, None for none."""
    return next((cache for cache in CACHES if cache.pattern.fullmatch(path)), None)


def is_cache(path: bytes) -> bool:
    """Return whether a path is made by a program of what else is in the tree."""
    return cache_of(path) is not None


def stale_caches(ours: Iterable[Change], theirs: Iterable[Change]) -> Iterator[bytes]:
    """Yield a path of each cache that one side made of what it had, while the other side changed what it is made of.

    The changes are of paths that are not caches' own, one for each path.
    """
    sides = [_of_caches(changes) for changes in (ours, theirs)]
    for (outputs, _), (_, inputs) in (sides, sides[::-1]):
        yield from (path for name, path in outputs.items() if name in inputs)


def _of_caches(changes: Iterable[Change]) -> tuple[dict[str, bytes], set[str]]:
    """Return the caches that changed, each with one of its paths, and those whose inputs did."""
    outputs: dict[str, bytes] = {}
    inputs: set[str] = set()
    for change in changes:
        path = change.path
        if not path.startswith(_PREFIXES):
            continue
        for cache in CACHES:
            if cache.pattern.fullmatch(path):
                if change.after is not None:
                    outputs.setdefault(cache.name, path)
            elif cache.name not in inputs and path.startswith(cache.inputs) and cache.ending.search(path):
                inputs.add(cache.name)
    return outputs, inputs

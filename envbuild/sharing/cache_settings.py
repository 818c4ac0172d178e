"""Which shared caches a team's or a user's builds use, from a file: `from` and `to` name repositories, `mounts` has the
caches of steps travel, too, `patience` is how many seconds registries may keep a build waiting, `insecure` names hosts
that may be spoken to without encryption. `trace` says which steps are traced (build/reuse.py): "auto", or true for all.

The file is the user's or the machine's, and never a project's: whoever may say where results come from can have a
store take theirs for the steps of other projects.
"""

from __future__ import annotations

import os
import stat
import tomllib
from typing import Any

from envbuild.errors import UsageError, fields
from envbuild.record import Record

AUTO = "auto"
"""Which steps are traced: those that are worth it."""
MAX_SETTINGS = 1 << 20
_KNOWN = ("from", "to", "mounts", "patience", "insecure", "trace")
_MAX_PATIENCE = 600
_MAX_PLACES = 20


@fields
class BadCacheSettings(UsageError):
    """A file with shared caches that can't be read, or can be changed by everybody."""

    path: str
    reason: str

    def text(self) -> tuple[str, str]:
        return f"{self.path}: {self.reason}", 'as in: from = ["HOST/team/cache"] (docs/sharing.md)'


class CacheSettings(Record):
    """The shared caches that builds use unless they say others."""

    cache_from: tuple[str, ...] = ()
    cache_to: tuple[str, ...] = ()
    mounts: bool = False
    patience: float = 2.0
    insecure: tuple[str, ...] = ()
    trace: bool | str = False


def read_settings(path: str) -> CacheSettings:
    """Return the settings in a file. Raises BadCacheSettings."""
    try:
        plain = tomllib.loads(_content(path))
    except (ValueError, RecursionError) as error:  # an endless number is none of TOML's own errors
        raise BadCacheSettings(path, f"it is no TOML: {error}") from error
    unknown = sorted(plain.keys() - set(_KNOWN))
    if unknown:
        raise BadCacheSettings(path, f"'{unknown[0][:80]}' is not known")
    mounts = plain.get("mounts", False)
    patience = plain.get("patience", CacheSettings().patience)
    if not isinstance(mounts, bool):
        raise BadCacheSettings(path, "mounts is neither true nor false")
    if isinstance(patience, bool) or not isinstance(patience, int | float) or not 0 < patience <= _MAX_PATIENCE:
        raise BadCacheSettings(path, f"patience is no number of seconds up to {_MAX_PATIENCE}")
    trace = plain.get("trace", False)
    if not isinstance(trace, bool) and trace != AUTO:
        raise BadCacheSettings(path, 'trace is neither true nor false nor "auto"')
    return CacheSettings(
        _texts(plain, "from", path),
        _texts(plain, "to", path),
        mounts,
        float(patience),
        _texts(plain, "insecure", path),
        trace,
    )


def _texts(plain: dict[str, Any], member: str, path: str) -> tuple[str, ...]:
    texts = plain.get(member, [])
    texts = [texts] if isinstance(texts, str) else texts
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts) or len(texts) > _MAX_PLACES:
        raise BadCacheSettings(path, f"{member} is no list of names")
    return tuple(texts)


def _content(path: str) -> str:
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_SETTINGS:
                raise BadCacheSettings(path, "it is not a file with settings")
            if status.st_mode & stat.S_IWOTH:
                raise BadCacheSettings(path, "everybody can change it")
            return file.read(MAX_SETTINGS).decode()
    except OSError as error:
        raise BadCacheSettings(path, str(error.strerror)) from error
    except UnicodeDecodeError as error:
        raise BadCacheSettings(path, "it is not text") from error

"""What the package manager wrote down that it did: apt's history.log, and dpkg's own log for what apt did not do.

The logs' contents are not in a capture, and they are rotated. So each capture keeps the newest actions, which `why`
shows beside the path that differs since then.
"""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

from envbuild.capture.machine_root import MachineRoot
from envbuild.debian.deb822 import stanzas

Row = tuple[str, ...]

MAX_ACTIONS = 1000
"""Actions that a capture keeps, the newest: some 100 KB."""
MAX_LOG = 8 << 20
"""Bytes of a log that are read; of a longer one the last."""
_APT = "/var/log/apt/history.log"
_DPKG = "/var/log/dpkg.log"
_MAX_ZONE = 1 << 16
_MAX_COMMAND = 500
_VERBS = ("install", "upgrade", "downgrade", "reinstall", "remove", "purge")
_PACKAGE = re.compile(r"([A-Za-z0-9][A-Za-z0-9.+:-]*) \(([^()]*)\)")
_NOTHING = "<none>"


def package_actions(root: MachineRoot) -> Iterator[Row]:
    """Yield time (UTC), command line, what was done, package, version before, version after, of the newest actions. An
    action of dpkg that no run of apt did has no command line."""
    zone = _zone(root)
    actions: list[Row] = []
    runs: list[tuple[str, str]] = []
    for text in _logs(root, _APT):
        for fields in stanzas(text):
            begin, end = (_utc(" ".join(fields.get(key, "").split()), zone) for key in ("start-date", "end-date"))
            if begin:
                runs.append((begin, end or begin))
                actions += _of_apt(fields, begin)
    for text in _logs(root, _DPKG):
        actions += _of_dpkg(text, zone, runs)
    yield from sorted(actions)[-MAX_ACTIONS:]


def _of_apt(fields: dict[str, str], begin: str) -> Iterator[Row]:
    command = fields.get("commandline", "")[:_MAX_COMMAND]
    for verb in _VERBS:
        for package, versions in _PACKAGE.findall(fields.get(verb, "")):
            old, _, new = versions.partition(", ")
            if verb in ("install", "reinstall"):
                old, new = "", old  # behind the version stands only `automatic`
            yield begin, command, verb, package, old, "" if verb in ("remove", "purge") else new


def _of_dpkg(text: str, zone: tzinfo, runs: Iterable[tuple[str, str]]) -> Iterator[Row]:
    runs = list(runs)
    for line in text.split("\n"):
        words = line.split(" ")
        if len(words) != 6 or words[2] not in _VERBS:
            continue
        moment = _utc(f"{words[0]} {words[1]}", zone)
        if moment and not any(begin <= moment <= end for begin, end in runs):
            old, new = ("" if word == _NOTHING else word for word in words[4:])
            yield moment, "", words[2], words[3], old, new


def _logs(root: MachineRoot, path: str) -> Iterator[str]:
    """Yield a log and what was rotated last: right after that the log itself is empty."""
    for name in (f"{path}.1", path):
        content = root.read(name)
        if content is not None:
            yield _last(content)
            continue
        packed = root.read(f"{name}.gz")
        if packed is not None:
            try:
                yield _last(zlib.decompressobj(wbits=31).decompress(packed, MAX_LOG))
            except zlib.error:
                continue


def _last(content: bytes) -> str:
    return content[-MAX_LOG:].decode("utf-8", "replace")


def _zone(root: MachineRoot) -> tzinfo:
    """Return the machine's zone: logs have its time."""
    content = root.read("/etc/localtime", _MAX_ZONE)
    if content is None:
        return UTC
    try:
        return ZoneInfo.from_file(io.BytesIO(content))
    except (ValueError, ArithmeticError, LookupError, AssertionError, EOFError, struct.error):
        return UTC  # zoneinfo says so of a damaged file in any of these ways


def _utc(text: str, zone: tzinfo) -> str:
    """Return a time of a log in UTC, "" for none."""
    try:
        moment = datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=zone)
        return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError):
        return ""

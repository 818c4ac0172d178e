"""Crontabs of the system and of users (crontab(5)), and the scripts that run daily and so on."""

from __future__ import annotations

import re
from collections.abc import Iterator

from envbuild.capture.machine_root import MachineRoot

SYSTEM = "/etc/crontab"
SYSTEM_FOLDER = "/etc/cron.d"
USERS = ("/var/spool/cron/crontabs", "/var/spool/cron")
"""Of Debian, and of others."""
_PERIODS = ("hourly", "daily", "weekly", "monthly", "yearly")
_MAX_BYTES = 1 << 20
_VARIABLE = re.compile(r"[A-Za-z_\"'][A-Za-z0-9_\"']*\s*=")


def crontabs(root: MachineRoot) -> Iterator[tuple[str, ...]]:
    """Yield user, schedule, command and file of each job."""
    for path in (SYSTEM, *(f"{SYSTEM_FOLDER}/{name}" for name in root.names(SYSTEM_FOLDER) if "." not in name)):
        for schedule, rest in _jobs(root.read_text(path, _MAX_BYTES) or ""):
            user, _, command = rest.partition(" ")
            yield user, schedule, command.strip(), path
    for folder in USERS:
        for user in root.names(folder):
            for schedule, command in _jobs(root.read_text(f"{folder}/{user}", _MAX_BYTES, follow=False) or ""):
                yield user, schedule, command, f"{folder}/{user}"
    for period in _PERIODS:
        # run-parts(8) of Debian takes no other names.
        for name in root.names(f"/etc/cron.{period}"):
            if re.fullmatch(r"[A-Za-z0-9_-]+", name):
                yield "root", period, f"/etc/cron.{period}/{name}", f"/etc/cron.{period}"
    for line in (root.read_text("/etc/anacrontab", _MAX_BYTES) or "").split("\n"):
        fields = line.split(None, 3)
        if len(fields) == 4 and not line.lstrip().startswith("#") and not _VARIABLE.match(line):
            yield "root", f"every {fields[0]} days after {fields[1]} minutes", fields[3], "/etc/anacrontab"


def _jobs(text: str) -> Iterator[tuple[str, str]]:
    """Yield the schedule and the rest of each job."""
    for line in text.split("\n"):
        line = line.strip()
        if not line or line[0] == "#" or _VARIABLE.match(line):
            continue
        number = 1 if line[0] == "@" else 5
        fields = line.split(None, number)
        if len(fields) == number + 1:
            yield " ".join(fields[:number]), " ".join(fields[number].split("\t", 1))

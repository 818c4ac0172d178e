"""What has a machine capture itself: the texts of a program to start, of systemd's units, cron's lines and apt's hooks.

All of them start one short program with the name of what starts it, so that nothing that a user chose has to be quoted
for each of them. systemd.timer(5), crontab(5), apt.conf(5).
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from envbuild.record import Record

MARK = "# Made by `envbuild capture --install`; `envbuild capture --uninstall` removes it."
NAME = "envbuild-capture"
RUNNER = "capture-run"
TIMER, BEFORE_APT, AFTER_APT = "timer", "before-apt", "after-apt"
"""What starts a capture by itself."""
PERIODS = {"hourly": "17 * * * *", "daily": "17 3 * * *", "weekly": "17 3 * * 0"}
"""How often, by systemd's word, and as cron has it."""
MAX_MINUTES = 30
"""How long apt waits for a capture, such as for one that waits for `gc`: then it goes on without."""


class Installation(Record):
    """How a machine is captured by itself: the words that start envbuild, a file of it that is there while it is
    installed, its store, what `capture` is given, and how often."""

    program: tuple[str, ...]
    module: str
    store: str
    options: tuple[str, ...]
    every: str = "hourly"


def runner_text(installation: Installation) -> str:
    """Return the program that all others start, with TIMER, BEFORE_APT or AFTER_APT."""
    program = " ".join(map(shlex.quote, installation.program))
    options = "".join(f" {shlex.quote(option)}" for option in installation.options)
    return f"""\
#!/bin/sh
{MARK}
# envbuild may have been removed: nothing that starts this fails then.
[ -x {shlex.quote(installation.program[0])} ] && [ -e {shlex.quote(installation.module)} ] || exit 0
ENVBUILD_STORE={shlex.quote(installation.store)}
export ENVBUILD_STORE
exec {program} capture --by "$1"{options} </dev/null
"""


def service_text(runner: str) -> str:
    """Return the unit that captures the machine once. `runner` is the path of the program, as a unit writes it."""
    return f"""\
{MARK}
[Unit]
Description=Capture this machine, if it changed

[Service]
Type=oneshot
ExecStart={runner} {TIMER}
Nice=19
CPUSchedulingPolicy=idle
IOSchedulingClass=idle
TimeoutStartSec=6h
"""


def timer_text(every: str) -> str:
    """Return the unit that starts the service."""
    return f"""\
{MARK}
[Unit]
Description=Capture this machine {every}

[Timer]
OnCalendar={every}
RandomizedDelaySec=5min
Persistent=true

[Install]
WantedBy=timers.target
"""


def cron_text(runner: str, every: str) -> str:
    """Return the file for /etc/cron.d. What goes wrong is mailed, as cron does."""
    return f"{MARK}\nSHELL=/bin/sh\n{PERIODS[every]} root {runner} {TIMER} >/dev/null\n"


def crontab_line(runner: str, every: str) -> str:
    """Return the line of a user's own crontab, where `%` would end it."""
    return f"{PERIODS[every]} {shlex.quote(runner).replace('%', chr(92) + '%')} {TIMER} >/dev/null {MARK}"


def apt_text(runner: str) -> str:
    """Return the settings that have apt capture the machine before and after dpkg runs. A hook that fails would stop
    apt."""
    hooks = "".join(
        f'DPkg::{when}-Invoke {{ "[ ! -x {runner} ] || timeout {MAX_MINUTES}m {runner} {trigger} || true"; }};\n'
        for when, trigger in (("Pre", BEFORE_APT), ("Post", AFTER_APT))
    )
    return f"//{MARK.removeprefix('#')}\n{hooks}"


def with_line(crontab: str, line: str) -> str:
    """Return a user's crontab with our line in the place of an older one of ours."""
    return f"{without_line(crontab)}{line}\n"


def without_line(crontab: str) -> str:
    """Return a user's crontab without our line."""
    kept = [line for line in crontab.splitlines() if not line.endswith(MARK)]
    return "".join(f"{line}\n" for line in kept)


def options_of(name: str | None, *, home: bool, included: Sequence[str], secrets: bool, light: bool) -> tuple[str, ...]:
    """Return the words that `capture` is given each time."""
    words = [name] if name is not None else []
    for word, wanted in (("--home", home), ("--secrets", secrets), ("--light", light)):
        words += [word] if wanted else []
    for path in included:
        words += ["--include", path]
    return tuple(words)


def unit_word(path: str) -> str:
    """Return a path as a word of a unit's command line (systemd.service(5)), where `%`, `$`, quotes, backslashes and
    spaces mean something."""
    plain = path.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{plain}"' if plain != path or " " in path or "'" in path else path

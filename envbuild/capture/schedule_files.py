"""Setting a machine up so that it captures itself, and undoing that: which files, and who is told of them."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from envbuild.capture import schedule
from envbuild.capture.schedule import MARK, NAME, RUNNER, Installation
from envbuild.errors import FileUnusable, MachineLacks, UsageError, WorkFailed, fields
from envbuild.linux.nofollow import Folder, NotAFile, TooMuch
from envbuild.record import Record

SYSTEMD, CRON, CRONTAB = "systemd", "cron", "crontab"
_SECONDS = 60.0
"""The time that systemctl and crontab have."""
_MAX_READ = 1 << 20
_SYSTEMD_PATHS = ("usr/lib/systemd/systemd", "lib/systemd/systemd")
_CRON_PATHS = ("usr/sbin/cron", "usr/sbin/crond", "usr/sbin/anacron")


class Machine(Record):
    """The machine that is set up: its `root`, whether root sets it up or a user, whose folder of settings is
    `settings` (as an absolute path on the machine), and whether it is the one that this process runs on."""

    root: str = "/"
    is_root: bool = True
    settings: str = "/etc/envbuild"

    @property
    def is_this(self) -> bool:
        """Whether programs of it can be told of what was set up."""
        return self.root == "/"

    @property
    def runner(self) -> str:
        """The path of the program that all others start."""
        return f"{self.settings}/{RUNNER}"

    @property
    def units(self) -> str:
        """Where its units are."""
        return "/etc/systemd/system" if self.is_root else f"{os.path.dirname(self.settings)}/systemd/user"


class SetUp(Record):
    """A file that is written, with its text and mode, or a link with where it leads."""

    path: str
    text: str = ""
    mode: int = 0o644
    target: str = ""


class Setting(Record):
    """All that has a machine capture itself: `timer` is SYSTEMD, CRON or CRONTAB, or "" where the machine has none of
    them; `line` is that of a user's crontab; `apt` tells whether apt's runs are captured."""

    timer: str
    files: tuple[SetUp, ...]
    line: str
    apt: bool


@fields
class NotOurs(UsageError):
    """A file that would be written is there already, and is somebody else's."""

    path: str

    def text(self) -> tuple[str, str]:
        return f"{self.path} is there already, and envbuild did not make it", "move it away, and try again"


@fields
class NothingStarts(MachineLacks):
    """A machine that has nothing that could start a capture."""

    def text(self) -> tuple[str, str]:
        return (
            "this machine has neither systemd nor cron that could start captures",
            "apt install cron; or start it yourself from time to time: envbuild capture --by timer",
        )


@fields
class UnsafeProgram(UsageError):
    """Root would start a program from time to time that somebody else can change."""

    path: str
    reason: str

    def text(self) -> tuple[str, str]:
        return (
            f"root would start envbuild from {self.path}, {self.reason}",
            "install envbuild for the machine, where only root can change it, such as in /opt or /usr/local",
        )


@fields
class ProgramFailed(WorkFailed):
    """systemctl or crontab did not do what it was to."""

    command: str
    reason: str

    def text(self) -> tuple[str, str]:
        return f"{self.command} failed: {self.reason}", ""


def setting_of(machine: Machine, installation: Installation) -> Setting:
    """Return what has a machine capture itself. Raises NothingStarts."""
    timer = _timer(machine)
    runner = machine.runner
    files = [SetUp(runner, schedule.runner_text(installation), 0o755)]
    line = ""
    if timer == SYSTEMD:
        files += [
            SetUp(f"{machine.units}/{NAME}.service", schedule.service_text(schedule.unit_word(runner))),
            SetUp(f"{machine.units}/{NAME}.timer", schedule.timer_text(installation.every)),
            SetUp(f"{machine.units}/timers.target.wants/{NAME}.timer", target=f"{machine.units}/{NAME}.timer"),
        ]
    elif timer == CRON:
        files.append(SetUp(f"/etc/cron.d/{NAME}", schedule.cron_text(runner, installation.every)))
    elif timer == CRONTAB:
        line = schedule.crontab_line(runner, installation.every)
    apt = machine.is_root and _is_there(machine, "etc/apt/apt.conf.d")
    if apt:
        files.append(SetUp(f"/etc/apt/apt.conf.d/90{NAME}", schedule.apt_text(runner)))
    if not timer and not apt:
        raise NothingStarts
    return Setting(timer, tuple(files), line, apt)


def install(machine: Machine, setting: Setting) -> None:
    """Write all files of a setting, and tell those that read them. Raises NotOurs, FileUnusable, ProgramFailed and
    OSError."""
    _remove(machine, (file for file in _possible(machine) if file.path not in {f.path for f in setting.files}))
    for file in setting.files:
        with _folder_of(machine, file) as (folder, name):
            if not _is_ours(folder, name, file) and _has(folder, name):
                raise NotOurs(file.path)
    for file in setting.files:
        with _folder_of(machine, file) as (folder, name):
            if not file.target:
                folder.replace(name, file.text.encode("utf-8", "surrogateescape"), file.mode)
            elif folder.link_target(name) != file.target:
                folder.remove(name)
                folder.symlink(os.fsencode(file.target), name)
    if setting.line:
        _set_crontab(schedule.with_line(_crontab(), setting.line))
    if setting.timer == SYSTEMD and _systemd_runs(machine):
        _systemctl(machine, "daemon-reload")
        _systemctl(machine, "restart", f"{NAME}.timer")


def uninstall(machine: Machine) -> tuple[str, ...]:
    """Remove all that `install` may have set up, and nothing else; return the paths. Raises ProgramFailed and
    OSError."""
    has_units = _systemd_runs(machine) and _is_there(machine, f"{machine.units}/{NAME}.timer".lstrip("/"))
    if has_units:
        _systemctl(machine, "stop", f"{NAME}.timer")
    removed = list(_remove(machine, _possible(machine)))
    if has_units:
        _systemctl(machine, "daemon-reload")
    if not machine.is_root and machine.is_this and shutil.which("crontab"):
        before = _crontab()
        after = schedule.without_line(before)
        if after != before:
            _set_crontab(after)
            removed.append("crontab")
    return tuple(removed)


def installed(machine: Machine) -> tuple[str, ...]:
    """Return the paths of what is set up."""
    return tuple(file.path for file in _possible(machine) if _is_set_up(machine, file))


def check_program(paths: Iterable[str]) -> None:
    """Make sure that nobody but root can change what lies at these paths and leads to them. Raises UnsafeProgram."""
    for path in paths:
        for way in dict.fromkeys((os.path.abspath(path), os.path.realpath(path))):
            while True:
                _check_owner(way)
                if way == "/":
                    break
                way = os.path.dirname(way)
        for folder, folders, names in os.walk(os.path.realpath(path)):
            for name in (*folders, *names):
                _check_owner(os.path.join(folder, name))


def _check_owner(path: str) -> None:
    status = os.lstat(path)
    if status.st_uid != 0:
        raise UnsafeProgram(path, f"which belongs to user {status.st_uid}")
    writers = status.st_mode & (0o002 | (0o020 if status.st_gid != 0 else 0))
    if writers and not stat.S_ISLNK(status.st_mode) and not (stat.S_ISDIR(status.st_mode) and status.st_mode & 0o1000):
        raise UnsafeProgram(path, "which others may write to")


def _timer(machine: Machine) -> str:
    if _systemd_runs(machine):
        return SYSTEMD
    if not machine.is_root:
        return CRONTAB if machine.is_this and shutil.which("crontab") else ""
    if any(_is_there(machine, path) for path in _CRON_PATHS):
        return CRON
    return SYSTEMD if any(_is_there(machine, path) for path in _SYSTEMD_PATHS) else ""


def _systemd_runs(machine: Machine) -> bool:
    # sd_booted(3); a user's manager has its sockets there.
    place = "/run/systemd/system" if machine.is_root else f"/run/user/{os.getuid()}/systemd"
    return machine.is_this and os.path.isdir(place) and shutil.which("systemctl") is not None


def _is_there(machine: Machine, path: str) -> bool:
    return os.path.lexists(os.path.join(machine.root, path))


def _possible(machine: Machine) -> Iterator[SetUp]:
    """Yield all files that any setting has, without their texts."""
    yield SetUp(f"{machine.units}/timers.target.wants/{NAME}.timer", target=f"{machine.units}/{NAME}.timer")
    yield SetUp(f"{machine.units}/{NAME}.timer")
    yield SetUp(f"{machine.units}/{NAME}.service")
    if machine.is_root:
        yield SetUp(f"/etc/cron.d/{NAME}")
        yield SetUp(f"/etc/apt/apt.conf.d/90{NAME}")
    # Last: what starts it is gone by then.
    yield SetUp(machine.runner)


@contextmanager
def _folder_of(machine: Machine, file: SetUp) -> Iterator[tuple[Folder, str]]:
    """Yield the directory and the name of a file. Raises FileUnusable where the way there has something else than
    directories, such as a link."""
    try:
        with Folder(machine.root).below(file.path.lstrip("/")) as place:
            yield place
    except NotADirectoryError as error:
        raise FileUnusable(
            file.path, f"{error.filename} on the way is a link or a file", "make it a directory, or set it up by hand"
        ) from error


def _is_set_up(machine: Machine, file: SetUp) -> bool:
    if not _is_there(machine, file.path.lstrip("/")):
        return False
    with _folder_of(machine, file) as (folder, name):
        return _is_ours(folder, name, file)


def _is_ours(folder: Folder, name: str, file: SetUp) -> bool:
    if file.target:
        return folder.link_target(name) == file.target
    try:
        return MARK.removeprefix("#").encode() in folder.read(name, _MAX_READ)
    except (OSError, NotAFile, TooMuch):
        return False


def _has(folder: Folder, name: str) -> bool:
    if folder.link_target(name) is not None:
        return True
    try:
        folder.read(name, _MAX_READ)
    except FileNotFoundError:
        return False
    except (OSError, NotAFile, TooMuch):
        pass
    return True


def _remove(machine: Machine, files: Iterable[SetUp]) -> list[str]:
    removed = []
    for file in files:
        if _is_set_up(machine, file):
            with _folder_of(machine, file) as (folder, name):
                folder.remove(name)
            removed.append(file.path)
    return removed


def _systemctl(machine: Machine, *words: str) -> None:
    _run(("systemctl", *(() if machine.is_root else ("--user",)), *words))


def _crontab() -> str:
    done = subprocess.run(
        ("crontab", "-l"), stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, check=False
    )
    # It ends with 1 where the user has none.
    return done.stdout.decode("utf-8", "surrogateescape") if done.returncode == 0 else ""


def _set_crontab(text: str) -> None:
    _run(("crontab", "-"), text.encode("utf-8", "surrogateescape"))


def _run(words: tuple[str, ...], given: bytes = b"") -> None:
    try:
        done = subprocess.run(words, input=given, capture_output=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise ProgramFailed(" ".join(words), f"it took more than {_SECONDS:.0f} seconds") from error
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise ProgramFailed(" ".join(words), lines[-1] if lines else f"exit code {done.returncode}")

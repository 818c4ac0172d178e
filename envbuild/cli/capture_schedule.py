"""`envbuild capture --install`, `--uninstall`, and what the captures that these set up are started with."""

from __future__ import annotations

import argparse
import os
import sys

from envbuild.capture import schedule
from envbuild.cli.environment import Environment
from envbuild.errors import UsageError
from envbuild.ui.sanitize import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from envbuild.capture.schedule_files import Machine, Setting

_PROGRAM = "import sys; sys.path.insert(0, {root!r}); from envbuild.__main__ import main; main()"
TRIGGERS = {schedule.TIMER: "timer", schedule.BEFORE_APT: "apt", schedule.AFTER_APT: "apt"}
"""What is on record of the start of a capture, by the word of `--by`."""


def add_schedule_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that set a machine up, and the one that its captures are started with."""
    parser.add_argument(
        "--install",
        action="store_true",
        help="have this machine capture itself, with these options: by a timer, and before and after each run of apt",
    )
    parser.add_argument("--uninstall", action="store_true", help="undo --install; what was captured stays")
    parser.add_argument("--dry-run", "-n", action="store_true", help="only show what --install or --uninstall would do")
    parser.add_argument(
        "--every",
        choices=tuple(schedule.PERIODS),
        default="hourly",
        help="how often the timer starts (default: hourly)",
    )
    parser.add_argument(
        "--by",
        choices=tuple(TRIGGERS),
        help="what starts this capture: it is recorded only if something changed; the timer's has idle priority",
    )


def set_up(arguments: argparse.Namespace, environment: Environment, name: str | None) -> int:
    """Do what --install or --uninstall says; `name` is the one given for the captures. Raises what schedule_files
    does."""
    from envbuild.capture import schedule_files

    if arguments.install and arguments.uninstall:
        raise UsageError("--install and --uninstall", "leave out one of the two")
    machine = _machine(arguments.root, environment)
    if arguments.uninstall:
        removed = schedule_files.installed(machine) if arguments.dry_run else schedule_files.uninstall(machine)
        verb = "would remove" if arguments.dry_run else "removed"
        environment.stdout.writelines(f"{verb} {visible(path)}\n" for path in removed)
        if not removed:
            environment.stdout.write("nothing is set up here\n")
        return 0
    package = os.path.dirname(os.path.abspath(sys.modules["envbuild"].__file__ or ""))
    if machine.is_root and machine.is_this:
        schedule_files.check_program((sys.executable, package))
    options = schedule.options_of(
        name, home=arguments.home, included=arguments.include or (), secrets=arguments.secrets, light=arguments.light
    )
    program = (sys.executable, "-P", "-c", _PROGRAM.format(root=os.path.dirname(package)))
    installation = schedule.Installation(
        program, f"{package}/__main__.py", environment.store_path(), options, arguments.every
    )
    setting = schedule_files.setting_of(machine, installation)
    if not arguments.dry_run:
        schedule_files.install(machine, setting)
    _show(setting, environment, arguments.dry_run)
    return 0


def begin_as(by: str) -> str:
    """Make this process what one started by `by` is to be; return the reason of its capture."""
    if by == schedule.TIMER:
        _wait_for_others()
        return ""
    from envbuild.capture.apt_run import command_of_apt

    command = command_of_apt(os.getpid())
    return f"before {command}" if by == schedule.BEFORE_APT else command


def _wait_for_others() -> None:
    """Have all others go first: at the processors and at the disks."""
    from envbuild.linux.syscalls import read_disks_when_idle

    os.nice(19)
    try:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        read_disks_when_idle()
    except OSError:
        pass  # a sandbox may forbid it; then it is nice, and no more


def _machine(root: str, environment: Environment) -> Machine:
    from envbuild.capture.schedule_files import Machine
    from envbuild.linux.own_id import own_uid

    if own_uid() == 0 or root != "/":
        return Machine(os.path.realpath(root))
    return Machine("/", False, os.path.realpath(environment.config_folder()))


def _show(setting: Setting, environment: Environment, dry_run: bool) -> None:
    write = environment.stdout.write
    for file in setting.files:
        if not dry_run:
            write(f"wrote {visible(file.path)}\n")
        elif file.target:
            write(f"would make {visible(file.path)} a link to {visible(file.target)}\n\n")
        else:
            write(f"would write {visible(file.path)}:\n")
            write("".join(f"    {visible(line)}\n" for line in file.text.splitlines()) + "\n")
    if setting.line:
        write(f"{'would add' if dry_run else 'added'} to the crontab: {visible(setting.line)}\n")
    if not setting.timer:
        environment.warn(["no timer was set up: this machine has neither systemd nor cron. Runs of apt are captured"])
    elif not setting.apt:
        environment.warn(["runs of apt are not captured: that is root's to set up"], "note")

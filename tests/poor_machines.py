"""Commands of envbuild on a machine that lacks something: functions for `Project.call`, with the command's words."""

from __future__ import annotations

import errno
import os
import sys
from typing import NoReturn

from envbuild.bases import debian, host
from envbuild.build import build
from envbuild.cli.main import run
from envbuild.debian.host_dpkg import DpkgDatabase
from envbuild.drift import copied_files
from envbuild.instances.network import private
from envbuild.linux import syscalls
from envbuild.sandbox import mounts, user_namespace

MS_BIND = 1 << 12
"""mount(2)"""


def nothing() -> int:
    """As this machine is."""
    return run(sys.argv[1:])


def without_user_namespaces() -> int:
    """The first word is the error's name."""
    name, *words = sys.argv[1:]
    code = getattr(errno, name)

    def refuse(flags: int) -> NoReturn:
        raise OSError(code, os.strerror(code))

    syscalls.unshare = syscalls.clone = refuse
    return run(words)


def without_fsopen() -> int:
    """Linux before 5.2."""

    def missing(*_: object, **__: object) -> NoReturn:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    syscalls.fsopen = syscalls.open_tree = syscalls.mount_setattr = syscalls.move_mount = missing
    return run(sys.argv[1:])


def without_lowerdir_plus() -> int:
    """Linux before 6.8."""
    real = syscalls.fsconfig

    def fsconfig(context: int, key: str, value: object) -> None:
        if key == "lowerdir+":
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), key)
        real(context, key, value)

    syscalls.fsconfig = fsconfig
    return run(sys.argv[1:])


def restricted_by_apparmor() -> int:
    """Ubuntu since 23.10: a user namespace can be made, and nothing may be done in it."""
    real = user_namespace._read_setting

    def prepare(*_: object, **__: object) -> NoReturn:
        raise OSError(errno.EACCES, os.strerror(errno.EACCES), "proc")

    user_namespace._read_setting = lambda path: "1" if "apparmor" in path else real(path)
    mounts.prepare = prepare
    return run(sys.argv[1:])


def with_single_id() -> int:
    """No range of the user in /etc/subuid."""
    build.has_single_id = lambda uid: True
    user_namespace._enter = lambda: user_namespace._enter_single("taken away for a test")
    return run(sys.argv[1:])


def with_own_apt() -> int:
    """apt's settings are those in the folder $ENVBUILD_TESTS_APT."""
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
    syscalls.mount(os.environ["ENVBUILD_TESTS_APT"], "/etc/apt", None, MS_BIND)
    return run(sys.argv[1:])


def with_small_copies() -> int:
    """A commit asks before it writes 100 KiB beside a recipe."""
    copied_files.MAX_UNASKED = 100 << 10
    return run(sys.argv[1:])


def with_little_essential() -> int:
    """Each base of `host` has a shell and coreutils, in place of all that Debian counts as essential."""
    take_essential_away()
    return run(sys.argv[1:])


def take_essential_away() -> None:
    host.ALWAYS = ("dash", "coreutils")
    DpkgDatabase.essential = lambda self: []


def without_mmdebstrap() -> int:
    debian.find_program = lambda name: None
    return run(sys.argv[1:])


def with_one_way_out() -> int:
    """The first word is the program that connects networks of instances, of those that are known."""
    tool, *words = sys.argv[1:]
    find = private.find_program
    others = {"pasta", "slirp4netns"} - {tool}
    private.find_program = lambda name: None if name in others else find(name)
    return run(words)

"""A command that is process 1 itself, as systemd and s6 want to be: in a process namespace below that of the sandbox.

The sandbox's own process 1 stays outside of it, where the command does not see it, and goes on doing what it does for
others: it starts the commands of `exec`, which are in the command's namespace too, opens sockets, and reports the end.
"""

from __future__ import annotations

import os

from envbuild.errors import fields
from envbuild.linux import syscalls
from envbuild.sandbox import mounts
from envbuild.sandbox.child import Command, Confinement, fork_command
from envbuild.sandbox.spec import SandboxFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from envbuild.sandbox.mounts import Detached


@fields
class NoOwnProc(SandboxFailure):
    """A command that is process 1 has no /proc."""

    def text(self) -> tuple[str, str]:
        return "the /proc of the command can't be mounted", "try without init=none"


def command_as_init(
    stage: str, held: tuple[Detached, ...], waiting: Command, confinement: Confinement, group: str
) -> tuple[Command, tuple[Detached, ...]]:
    """Return a command that is process 1, in place of the one that is waiting, and the mounts `held` with its /proc in
    place of the sandbox's. `group` is how the path of the control group ends that it is to see. Raises SandboxFailure.
    """
    waiting.orders.close()
    os.close(waiting.failed)
    os.waitpid(waiting.pid, 0)
    groups = _own_groups(group)  # before the fork: the command is to see no other groups either
    syscalls.unshare(syscalls.CLONE_NEWPID)
    command = fork_command(confinement)
    proc = mounts.proc_again(stage, _mount_from_inside)
    for mount in held:
        if mount.target == proc.target:
            os.close(mount.descriptor)
    others = tuple(mount for mount in held if mount.target != proc.target)
    return command, (proc, *others, *groups)


def _mount_from_inside(target: str) -> None:
    """Mount /proc from a process of the new namespace: it shows the namespace of whoever mounts it."""
    pid = os.fork()
    if pid == 0:
        try:
            mounts.mount_proc(target)
            os._exit(0)
        finally:
            os._exit(1)
    if os.waitpid(pid, 0)[1]:
        raise NoOwnProc


def _own_groups(group: str) -> tuple[Detached, ...]:
    """Return the view of the command's own control group; of none if this process is not in that one: it could be that
    of whoever started this."""
    if not group:
        return ()
    with open("/proc/self/cgroup", "rb") as file:
        own = [line.strip() for line in file if line.startswith(b"0::")]
    if not any(line.endswith(group.encode()) for line in own):
        return ()
    try:
        syscalls.unshare(syscalls.CLONE_NEWCGROUP)
        return (mounts.cgroup_view(),)
    except OSError:
        return ()  # a kernel without version 2

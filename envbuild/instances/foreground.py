"""An instance that the user's own process supervises, with the user's terminal or streams.

Its sandbox is made ahead of time, while the modules that say what to run in it are loaded: so this module imports no
more than that takes.
"""

from __future__ import annotations

import gc
from _thread import start_new_thread

from envbuild.contexts import contextmanager
from envbuild.errors import WorkFailed, fields
from envbuild.linux import signals as signal
from envbuild.linux.latch import Latch
from envbuild.record import Record
from envbuild.sandbox.helper_client import Helper
from envbuild.sandbox.spec import SandboxFailure
from envbuild.sandbox.user_namespace import CONTAINED, RANGE, SHIFTED, enter_user_namespace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from socket import socket

    from envbuild.instances.network.interface import Network
    from envbuild.instances.supervisor import Supervisor, Task
    from envbuild.store.stacks import LateCheck


class Ahead(Record):
    """The helper, which is making a sandbox; the network, if one had to be entered; sockets of the first ports."""

    helper: Helper
    network: Network | None = None
    opened: tuple[socket, ...] = ()


@contextmanager
def sandbox_ahead(network: str, store_path: str, opened: Sequence[socket] = ()) -> Iterator[Ahead]:
    """Enter the network and begin to make a sandbox. The process has one thread, and is in no namespace yet.

    Garbage collection is off from here on: nothing that is loaded until the command runs is garbage, and looking at all
    of it would slow the start down. The supervisor turns it on again.
    """
    gc.disable()
    if network in ("none", "host"):  # as in config.py, which is loaded meanwhile
        with Helper.start(enter_user_namespace(), once=True) as helper:
            yield Ahead(helper, opened=tuple(opened))
        return
    from envbuild.instances.network.select import enter_network

    with enter_network(network, store_path) as entered, Helper.start(entered.ids, once=True) as helper:
        yield Ahead(helper, entered, tuple(opened))


def run_in_foreground(
    task: Task,
    ahead: Ahead,
    late: LateCheck | None = None,
    *,
    terminal: bool,
    tell: Callable[[tuple[str, ...]], None] = lambda warnings: None,
) -> int:
    """Run an instance with this process's streams, or with its terminal; return the exit code of its command.

    Signals to this process are forwarded to the command; on a terminal Ctrl-C is a key, which the terminal forwards.
    While it runs, a `late` check of the image's layers may go on. Raises SandboxFailure, PortTaken and ImageDamaged.
    """
    from envbuild.instances.control_client import forward_signals, in_thread_on_signal
    from envbuild.instances.stdio import OwnStreams, is_root
    from envbuild.instances.supervisor import Supervisor

    if not terminal:
        kind = ahead.helper.ids.kind
        other_ids = kind == SHIFTED or (kind in (RANGE, CONTAINED) and not is_root(task.request.user))
        streams = OwnStreams(other_ids=other_ids)
        supervisor = Supervisor(task, ahead.helper, streams, tell, network=ahead.network, opened=ahead.opened)
        forward_signals(supervisor.signal)
        return _run(supervisor, late, tell)
    from envbuild.instances.terminal import TerminalBridge

    task = task.replace(request=task.request.replace(terminal=True))
    with TerminalBridge(0, 1) as bridge:
        streams = OwnStreams(bridge.connect)
        supervisor = Supervisor(task, ahead.helper, streams, tell, network=ahead.network, opened=ahead.opened)
        # The terminal is gone (SIGHUP), or somebody ends the instance.
        for number in (signal.SIGHUP, signal.SIGTERM):
            in_thread_on_signal(number, supervisor.signal)
        return _run(supervisor, late, tell)


def _run(supervisor: Supervisor, late: LateCheck | None, tell: Callable[[tuple[str, ...]], None]) -> int:
    code = supervisor.run() if late is None else _run_checked(supervisor, late)
    if supervisor.error:
        tell((supervisor.error,))
    return code


@fields
class ImageDamaged(WorkFailed):
    """Files of an image were changed by something else; the command that saw them was ended."""

    reason: str

    def text(self) -> tuple[str, str]:
        return (
            f"files of the image were changed by something else ({self.reason}): the command was ended",
            "they were put aside and made again: run the same command again",
        )


_AGAIN = 0.02
"""Seconds between two trials to end a command."""


def _run_checked(supervisor: Supervisor, late: LateCheck) -> int:
    """Run an instance on layers that are still being checked, and end it where they are damaged. Raises ImageDamaged,
    also where the command ended before that was known, and StoreDamaged where what is damaged can't be made again."""
    over, checked = Latch(), Latch()
    reason = ""

    def check() -> None:
        nonlocal reason
        try:
            reason = late.wait()
        finally:
            checked.set()
        # Again and again: it may be about to start.
        while reason and not over.is_set():
            try:
                supervisor.kill()
            except SandboxFailure:
                return
            over.wait(_AGAIN)

    start_new_thread(check, ())
    try:
        return supervisor.run()
    finally:
        over.set()
        checked.wait()
        if reason:
            late.mend()
            # Also where the command could not be started, which is no wonder then.
            raise ImageDamaged(reason)

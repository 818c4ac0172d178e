"""An instance that the user's own process looks after, with the user's terminal or streams."""

from __future__ import annotations

import signal
from collections.abc import Callable

from envbuild.instances.ahead import Ahead
from envbuild.instances.stdio import OwnStreams
from envbuild.instances.supervisor import Supervisor, Task

PASSED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


def run_in_foreground(
    task: Task,
    ahead: Ahead,
    *,
    terminal: bool,
    tell: Callable[[tuple[str, ...]], None] = lambda notes: None,
) -> int:
    """Runs an instance with this process's streams, or with its terminal; returns the exit code of its command.

    Signals that this process gets are the command's; on a terminal Ctrl-C is a key, which that passes on. Raises
    SandboxFailure and PortTaken.
    """
    if not terminal:
        supervisor = Supervisor(task, ahead.helper, OwnStreams(), tell, network=ahead.network, opened=ahead.opened)
        pass_signals(supervisor.signal)
        return _run(supervisor, tell)
    from envbuild.instances.terminal import TerminalBridge

    task = task.replace(request=task.request.replace(terminal=True))
    with TerminalBridge(0, 1) as bridge:
        streams = OwnStreams(bridge.connect)
        supervisor = Supervisor(task, ahead.helper, streams, tell, network=ahead.network, opened=ahead.opened)
        # The terminal is gone (SIGHUP), or somebody wants the instance to go.
        for number in (signal.SIGHUP, signal.SIGTERM):
            signal.signal(number, lambda number, _frame: supervisor.signal(number))
        return _run(supervisor, tell)


def _run(supervisor: Supervisor, tell: Callable[[tuple[str, ...]], None]) -> int:
    code = supervisor.run()
    if supervisor.error:
        tell((supervisor.error,))
    return code


def pass_signals(send: Callable[[int], None]) -> None:
    """From here signals are the command's, as they would be without us between."""
    for number in PASSED:
        signal.signal(number, lambda number, _frame: send(number))

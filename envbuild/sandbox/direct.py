"""A sandbox of this process's own, without a helper: for a process that stays small and runs one command only.

What the helper is for, to go on making sandboxes beside threads, is not needed then; a process less is 4 MB less.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from envbuild.errors import MachineLacks, fields
from envbuild.linux import signals as signal
from envbuild.linux.sockets import AF_UNIX, SOCK_STREAM, socketpair
from envbuild.sandbox.await_result import await_result
from envbuild.sandbox.exec_client import Session
from envbuild.sandbox.helper_process import Waiting, confinement_for, make_sandbox
from envbuild.sandbox.idmapped_mounts import send_for_run
from envbuild.sandbox.spec import Outcome, Request, SandboxFailure
from envbuild.sandbox.stdio import give_to_sandbox
from envbuild.sandbox.user_namespace import SHIFTED, IdMap, explain, why_refused
from envbuild.sandbox.wire import send_descriptors


@fields
class NoSandbox(SandboxFailure):
    """The kernel refuses what a sandbox is made of, or there was one already."""

    reason: str
    mend: str

    def text(self) -> tuple[str, str]:
        return f"a sandbox can't be made: {self.reason}", self.mend


class DirectSandbox:
    """One sandbox, made at once; it ends with this process, or with `close`."""

    def __init__(self, ids: IdMap, *, network: bool) -> None:
        """Make the sandbox. The process has one thread yet, and is in its user namespace; `network` shares that of
        this process."""
        self.ids = ids
        self._sandbox: Waiting | None = None
        self._problem: OSError | MachineLacks | None = None
        self._namespace: int | None = None
        try:
            confinement = confinement_for(ids)
            try:
                self._sandbox = make_sandbox(confinement, ids, network=network)
            finally:
                os.close(confinement.launcher)
            if ids.kind == SHIFTED:
                self._namespace = self._sandbox.open_namespace()
        except (OSError, MachineLacks) as error:
            self._problem = error  # told when there is a command for it

    def close(self) -> None:
        """End it, if it has not run its command to the end."""
        if self._sandbox is not None:
            self._sandbox.end()
            self._sandbox = None

    def run(
        self,
        request: Request,
        *,
        stdin: int,
        output: int,
        errors: int,
        terminal: Callable[[int], None] | None,
        started: Callable[[int], None],
        session: Session,
        made: Callable[[int], None],
        running: Callable[[], None],
    ) -> Outcome:
        """Run the one command, as Helper.run does. Raises SandboxFailure."""
        began = time.monotonic()
        sandbox = self._sandbox
        if sandbox is None:
            reason, hint = "it has run its command", ""
            if isinstance(self._problem, MachineLacks):
                raise self._problem
            if self._problem is not None and self.ids.kind == SHIFTED:
                raise explain(self._problem) from self._problem
            if self._problem is not None:
                reason, hint = str(self._problem.strerror), why_refused(self._problem)
            raise NoSandbox(reason, hint) from self._problem
        give_to_sandbox((stdin, output, errors), self.ids)
        ours, theirs = socketpair(AF_UNIX, SOCK_STREAM)
        with ours:
            with theirs:
                made(sandbox.pid)
                send_descriptors(sandbox.hand, (stdin, output, errors, theirs.fileno()))
            failure = send_for_run(ours, request, self._namespace)
            session.begin(ours, self.ids)
            started(1)
            try:
                return await_result(ours, failure, terminal, began, session, running, self.cancel_all)
            finally:
                session.end()
                # Not over before all that was in it is.
                os.waitid(os.P_PIDFD, sandbox.descriptor, os.WEXITED)
                os.close(sandbox.descriptor)
                sandbox.hand.close()
                self._sandbox = None

    def signal(self, run: int, number: int) -> None:
        """Send a signal to the command."""
        sandbox = self._sandbox
        if sandbox is not None:
            try:
                signal.pidfd_send_signal(sandbox.descriptor, number)
            except OSError:
                pass  # it is over

    def cancel_all(self) -> None:
        """End the command and all that it started."""
        self.signal(1, signal.SIGKILL)

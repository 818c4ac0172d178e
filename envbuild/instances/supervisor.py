"""Supervising one instance as long as it runs: start and restart its command, check its health, answer commands.

A background instance has a process of its own for this, and there is none for all; one in the foreground is looked
after by the process that the user started. Either lives in the user namespace that it made, as root of it.
"""

from __future__ import annotations

import gc
import os
import time

from envbuild.errors import EnvbuildError
from envbuild.instances.config import Limits, Settings, runs_systemd
from envbuild.instances.init_process import start_time
from envbuild.instances.record import TEMPORARY, settle, settle_state
from envbuild.instances.records import EXITED, RESTARTING, RUNNING, State
from envbuild.instances.state_writer import StateWriter
from envbuild.linux import signals as signal
from envbuild.linux.latch import Latch
from envbuild.record import Record, values
from envbuild.sandbox.exec_client import Session
from envbuild.sandbox.spec import ExecCommand, Outcome, Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from socket import socket

    from envbuild.instances.control_server import ControlServer
    from envbuild.instances.health import HealthMonitor
    from envbuild.instances.limits import Group
    from envbuild.instances.network.interface import Network
    from envbuild.instances.network.port_forwarder import PortForwarder
    from envbuild.instances.stdio import Streams
    from envbuild.sandbox.direct import DirectSandbox
    from envbuild.sandbox.helper_client import Helper

    Sandboxes = Helper | DirectSandbox

FIRST_PAUSE, MAX_PAUSE = 0.1, 60.0
"""Seconds between restarts: doubled each time, from the first on again after it has run for STEADY seconds."""
STEADY = 10.0
CANNOT_START = 127
"""The exit code where a command could not be started again."""
LAST_WORD = 30.0
"""Seconds that the last state may take to be written to a disk that is full."""
OUT_OF_MEMORY = "it was ended for using more memory than it may"


class Task(Record):
    """What to supervise: an instance, by its id, name and directory, and the request for its sandbox."""

    identity: str
    name: str
    folder: str
    settings: Settings
    request: Request


class Supervisor:
    """The supervisor of one instance. `tell` is called once, with warnings for the user, when the command was
    started."""

    def __init__(
        self,
        task: Task,
        helper: Sandboxes,
        streams: Streams,
        tell: Callable[[tuple[str, ...]], None] = lambda notes: None,
        *,
        network: Network | None = None,
        opened: Sequence[socket] = (),
    ) -> None:
        """Open the ports and make the group for its limits: raises PortTaken before anything starts.

        `network` is the one that was entered for it, if that had to be done; `opened` are the sockets of its first
        ports, where those were opened already.
        """
        self._task = task
        self._settings = task.settings
        self._helper = helper
        self._streams = streams
        self._tell = tell
        self._reported = False
        self._session = Session()
        self._stopping = Latch()
        self._over = Latch()
        self._number = 0
        self._server: ControlServer | None = None
        self.code = 0
        self._request = task.request
        address = ""
        if network is not None:
            names = (task.name, *task.settings.aliases)
            self._request = network.attach(task.folder, names, task.request, self._session)
            address = network.address
        self._state = StateWriter(task.folder, State(RUNNING, address=address))
        # Optional parts are imported only when the instance uses them; this saves start-up time and memory.
        self._ports: PortForwarder | None = None
        if task.settings.ports:
            from envbuild.instances.network.port_forwarder import PortForwarder
            from envbuild.instances.network.ports import opened_ports

            mapping = opened_ports(task.settings.ports, opened)
            self._ports = PortForwarder(mapping, self._session, task.folder)
            self._state.hold(ports=tuple(values(port) for port, _ in mapping))
        self._group: Group | None = None
        delegates = runs_systemd(task.settings)
        if task.settings.limits != Limits() or delegates:
            from envbuild.instances.limits import make_group

            owner = helper.ids.outside(0) if delegates else None
            self._group = make_group(task.settings.limits, task.identity, task.folder, owner)
            if self._group.own:
                self._request = self._request.replace(group="/".join(self._group.own.split("/")[-2:]))
        self._health: HealthMonitor | None = None
        if task.settings.health is not None:
            from envbuild.instances.health import HealthMonitor

            check = task.settings.health
            entry = ExecCommand(check.argv, task.request.environment, task.request.directory, task.request.user)
            self._health = HealthMonitor(check, entry, self._session, self._took_health)

    def run(self) -> int:
        """Run it to its end; the exit code of its command. Raises SandboxFailure if that could not be started."""
        gc.freeze()
        gc.enable()
        if self._ports is not None:
            self._ports.start()
        if self._health is not None:
            self._health.start()
        try:
            try:
                reason = self._run_and_restart()
            finally:
                # Before anybody hears of the end: its ports are free then.
                if self._ports is not None:
                    self._ports.close()
            self._state.finish(
                status=EXITED, ended=time.time(), code=self.code, error=reason, health="", pid=0, begun=0
            )
        finally:
            self._over.set()
            if self._health is not None:
                self._health.end()
            # Whoever waits for the end is to hear of it.
            if self._server is not None:
                self._server.end()
            if self._group is not None:
                self._group.remove()
            if not os.path.exists(f"{self._task.folder}/{TEMPORARY}"):
                self._state.wait(LAST_WORD)
                quietly(settle_state, self._task.folder)
        return self.code

    @property
    def error(self) -> str:
        """What ended the command from outside, "" if nothing did."""
        return self._state.now.error

    def wait(self) -> int:
        """Return when the instance is over: its exit code."""
        self._over.wait()
        return self.code

    def signal(self, number: int) -> None:
        """Send a signal to the command; KILL to all that it has started, too."""
        if self._number and number == signal.SIGKILL:
            self._helper.signal(self._number, number)
        elif self._number:
            self._session.signal_first(number)

    def stop(self, seconds: float | None = None) -> None:
        """End the command: by its own stop signal, and if it does not go in time, for certain."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        limit = self._settings.stop_timeout if seconds is None else seconds
        if limit <= 0:
            # A signal right before the kill would leave it to chance which of the two the command dies of.
            self._helper.cancel_all()
            return
        from envbuild.linux.signal_names import signal_number

        self.signal(signal_number(self._settings.stop) or signal.SIGTERM)

        import threading  # loaded late, as all that a start need not wait for

        def kill() -> None:
            if not self._over.wait(limit):
                self._helper.cancel_all()

        threading.Thread(target=kill, name="stop", daemon=True).start()

    def kill(self) -> None:
        """End the command at once, and for good."""
        self._stopping.set()
        self._helper.cancel_all()

    def _run_and_restart(self) -> str:
        """Run the command, and again as often as it is to be; return what ended it from outside, "" if nothing did."""
        restarts, pause = 0, FIRST_PAUSE
        while True:
            began = time.time()
            try:
                self.code, reason = self._once(began, restarts).status, ""
            except (EnvbuildError, OSError) as error:
                # The first start is its caller's matter; later the machine may lack something for a while.
                if not restarts:
                    raise
                self.code, reason = CANNOT_START, getattr(error, "message", str(error))
            reason = reason or self._cause(self.code)
            if self._stopping.is_set() or not self._settings.restart.wants(self.code, restarts):
                return reason
            pause = FIRST_PAUSE if time.time() - began >= STEADY else pause
            self._state.put(status=RESTARTING, ended=time.time(), code=self.code, error=reason)
            if self._stopping.wait(pause):
                return reason
            pause = min(pause * 2, MAX_PAUSE)
            restarts += 1

    def _once(self, began: float, restarts: int) -> Outcome:
        stdin, output, errors = self._streams.open()

        def started(number: int) -> None:
            self._number = number
            self._streams.started()
            if self._server is None:
                # While process 1 mounts the tree: nobody has to wait for this.
                from envbuild.instances.control_server import ControlServer

                self._server = ControlServer(self._task.folder, self._session, self)
                self._server.start()
                quietly(settle, self._task.folder)

        def running() -> None:
            if self._ports is not None:
                self._ports.begin()
            self._state.put(status=RUNNING, started=began, ended=0.0, code=None, restarts=restarts)
            if self._health is not None:
                self._health.begin()
            if not self._reported:
                self._reported = True
                self._tell(self._group.warnings if self._group is not None else ())

        def made(pid: int) -> None:
            if self._group is not None:
                self._group.add(pid)
            self._state.hold(pid=pid, begun=start_time(pid))

        try:
            return self._helper.run(
                self._request,
                stdin=stdin,
                output=output,
                errors=errors,
                terminal=self._streams.terminal,
                started=started,
                session=self._session,
                made=made,
                running=running,
            )
        finally:
            self._streams.finish()

    def _cause(self, code: int) -> str:
        killed = code and self._group is not None and self._group.out_of_memory()
        return OUT_OF_MEMORY if killed else ""

    def _took_health(self, health: str, printed: str) -> None:
        self._state.put(health=health, check=printed)


def quietly(work: Callable[[str], None], folder: str) -> None:
    """Do what makes an instance's record safe; where the disk cannot do that, the instance runs all the same."""
    try:
        work(folder)
    except OSError:
        pass

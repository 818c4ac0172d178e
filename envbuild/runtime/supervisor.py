"""The process of its own that a background instance has: starts its command, writes its log, restarts it, answers.

There is one for each instance and none for all. It lives in the user namespace that it made, as root of it.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from socket import AF_UNIX, SOCK_STREAM, socket

from envbuild.engine.home import Homes
from envbuild.errors import EnvbuildError
from envbuild.plan.facts import load
from envbuild.record import Record, values
from envbuild.runtime import control
from envbuild.runtime.logs import ERR, OUT, LogWriter
from envbuild.runtime.port_mapper import PortMapper
from envbuild.runtime.ports import Port, open_ports
from envbuild.sandbox.helper import Helper
from envbuild.sandbox.ids import enter_user_namespace
from envbuild.sandbox.request import Bind, Entry, Outcome, Request
from envbuild.sandbox.session import Ended, Session
from envbuild.sandbox.wire import receive, send
from envbuild.store.instances import EXITED, RESTARTING, RUNNING, Instance, State, hold, write_layers, write_state
from envbuild.store.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 60.0
"""Seconds between restarts: doubled each time, from the first on again after it has run for STEADY seconds."""
STEADY = 10.0


def _signal_of(name: str) -> int:
    found = getattr(signal, f"SIG{name.removeprefix('SIG')}", signal.SIGTERM)
    return int(found)


class Restart(Record):
    """When an ended command is started again: never, on-failure or always; at most `most` times, None for no end."""

    when: str = "never"
    most: int | None = None

    def wants(self, code: int, restarts: int) -> bool:
        """Whether it is started again after it ended with `code`."""
        if self.most is not None and restarts >= self.most:
            return False
        return self.when == "always" or (self.when == "on-failure" and code != 0)


def supervise(instance: Instance, store_path: str, ready: Callable[[str], None]) -> None:
    """Runs an instance to its end. The process has one thread and is nobody's child.

    `ready` is called once: with "" when the command was started, else with why it was not.
    """
    told = [False]

    def tell(text: str) -> None:
        if not told[0]:
            told[0] = True
            ready(text)

    try:
        lock = hold(instance)
    except EnvbuildError as error:
        tell(f"{error.message}\n{error.hint}")
        return
    try:
        with Helper.start(enter_user_namespace(), once=True) as helper:
            _Supervisor(instance, store_path, helper, tell).run()
    except EnvbuildError as error:
        write_state(instance.path, State(EXITED, ended=time.time(), code=127, error=error.message))
        tell(f"{error.message}\n{error.hint}")
    finally:
        tell("it ended before its command was started")
        os.close(lock)


class _Supervisor:
    def __init__(self, instance: Instance, store_path: str, helper: Helper, tell: Callable[[str], None]) -> None:
        self._instance = instance
        self._helper = helper
        self._tell = tell
        self._options = instance.options
        self._restart = Restart(*self._options.get("restart", ["never", None]))
        self._log = LogWriter(f"{instance.path}/log")
        self._session = Session()
        self._stopping = threading.Event()
        self._over = threading.Event()
        self._number = 0
        self._answering: list[threading.Thread] = []
        self._code = 0
        self._state = State(RUNNING)
        self._store_path = store_path
        # Before anything starts: a port that is taken is told at once.
        opened = open_ports([Port(*one) for one in self._options.get("ports", [])])
        self._mapped = [list(values(port)) for port, _ in opened]
        self._ports = PortMapper(opened, self._session)

    def run(self) -> None:
        request = self._request()
        server = self._listen()
        threading.Thread(target=self._serve, args=(server,), name="control", daemon=True).start()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: self._stop(None))
        self._ports.start()
        restarts, pause = 0, FIRST_PAUSE
        while True:
            began = time.time()
            outcome = self._once(request, began, restarts)
            self._code = outcome.status
            if self._stopping.is_set() or not self._restart.wants(outcome.status, restarts):
                break
            pause = FIRST_PAUSE if time.time() - began >= STEADY else pause
            self._put(State(RESTARTING, began, time.time(), outcome.status, restarts))
            if self._stopping.wait(pause):
                break
            pause = min(pause * 2, LONGEST_PAUSE)
            restarts += 1
        self._put(State(EXITED, began, time.time(), self._code, restarts))
        self._over.set()
        server.close()
        # Whoever waits for the end is to hear of it.
        for thread in list(self._answering):
            thread.join(timeout=1)
        os.unlink(f"{self._instance.path}/{control.SOCKET}")

    def _request(self) -> Request:
        """What to run. The store is open only for this: an instance that runs needs none."""
        instance, options = self._instance, self._options
        facts = load(instance.facts)
        with Store.open(self._store_path, create=False) as store:
            store.share()
            store.owners_observable = self._helper.ids.kind != "single"
            layers = store.layers(instance.tree)
            write_layers(instance.path, layers)
            user = options.get("user")
            user = facts.user if user is None else user
            home = Homes(store).of(instance.tree, user)
            from envbuild.store.attributes import apply_attributes
            from envbuild.tree.forest import root_entry

            root = root_entry(store.trees, instance.tree)
            apply_attributes(f"{instance.path}/upper", root, owners=store.owners_observable)
        variables = {"HOME": home, **facts.environment_of_commands(), **dict(options.get("environment", []))}
        return Request(
            layers=layers,
            argv=tuple(options["argv"]),
            environment=tuple(variables.items()),
            upper=f"{instance.path}/upper",
            work=f"{instance.path}/work",
            directory=options.get("workdir") or facts.workdir,
            user=user,
            network=options.get("network") == "host",
            binds=tuple(Bind(*one) for one in options.get("binds", [])),
            hostname=instance.name[:64],
            serve=True,
            lasting=True,
        )

    def _once(self, request: Request, began: float, restarts: int) -> Outcome:
        out, err = os.pipe2(os.O_CLOEXEC), os.pipe2(os.O_CLOEXEC)
        nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self._log.follow(out[0], OUT)
        self._log.follow(err[0], ERR)

        def started(number: int) -> None:
            self._number = number
            os.close(out[1])
            os.close(err[1])
            os.close(nothing)
            self._ports.begin()
            self._put(State(RUNNING, began, 0.0, None, restarts))
            self._tell("")

        try:
            return self._helper.run(
                request, stdin=nothing, output=out[1], errors=err[1], started=started, session=self._session
            )
        finally:
            self._log.finish()

    def _put(self, state: State) -> None:
        state = state.replace(ports=tuple(tuple(one) for one in self._mapped))
        self._state = state
        write_state(self._instance.path, state)

    def _listen(self) -> socket:
        server = socket(AF_UNIX, SOCK_STREAM)
        # A path of its own length would not fit (unix(7)): from inside the folder it is one word.
        os.chdir(self._instance.path)
        if os.path.lexists(control.SOCKET):
            os.unlink(control.SOCKET)
        server.bind(control.SOCKET)
        os.chmod(control.SOCKET, 0o600)
        os.chdir("/")
        server.listen(64)
        return server

    def _serve(self, server: socket) -> None:
        while True:
            try:
                link, _ = server.accept()
            except OSError:
                return  # closed: the instance is over
            thread = threading.Thread(target=self._answer, args=(link,), name="answer", daemon=True)
            self._answering = [one for one in self._answering if one.is_alive()]
            self._answering.append(thread)
            thread.start()

    def _answer(self, link: socket) -> None:
        with link:
            message = receive(link)
            if message is None:
                return
            kind, payload, descriptors = message
            try:
                if kind == control.ENTER:
                    self._enter(link, payload, descriptors)
                elif kind == control.SIGNAL:
                    self._signal(payload[0])
                    send(link, control.DONE, ())
                elif kind == control.STOP:
                    self._stop(payload[0])
                    self._over.wait()
                    send(link, control.ENDED, (self._code,))
                elif kind == control.WAIT:
                    self._over.wait()
                    send(link, control.ENDED, (self._code,))
            except OSError:
                pass  # who asked is gone

    def _enter(self, link: socket, payload: tuple[Any, ...], descriptors: tuple[int, ...]) -> None:
        over = threading.Event()

        def ended(how: Ended) -> None:
            try:
                if how.failure is not None:
                    send(link, control.FAILED, (how.failure.message, how.failure.hint))
                else:
                    send(link, control.ENDED, (how.status,))
            except OSError:
                pass
            over.set()

        def terminal(master: int) -> None:
            send(link, control.TERMINAL, (), (master,))
            os.close(master)

        entry = Entry(*payload)
        try:
            number = self._session.enter(entry, (descriptors[0], descriptors[1], descriptors[2]), ended, terminal)
        except EnvbuildError as error:
            send(link, control.FAILED, (error.message, error.hint))
            return
        finally:
            for descriptor in set(descriptors):
                os.close(descriptor)
        while not over.is_set():
            message = receive(link)
            if message is None:
                # Who asked is gone: as with a terminal that is closed.
                self._session.signal(number, int(signal.SIGHUP))
                return
            if message[0] == control.SIGNAL:
                self._session.signal(number, message[1][0])

    def _signal(self, number: int) -> None:
        if self._number:
            self._helper.signal(self._number, number)

    def _stop(self, seconds: float | None) -> None:
        """Ends the command: by the image's own signal, and if it does not go in time, for certain."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        facts = json.loads(self._instance.facts)
        self._signal(_signal_of(facts.get("stop", "TERM")))
        limit = self._options.get("stop_timeout", 10.0) if seconds is None else seconds

        def kill() -> None:
            if not self._over.wait(limit):
                self._helper.cancel_all()

        threading.Thread(target=kill, name="stop", daemon=True).start()

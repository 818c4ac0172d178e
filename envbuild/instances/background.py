"""Starts the supervisor of an instance as a process that outlives the terminal and whoever started it.

The process is forked before the store is opened: it stays small, and makes a sandbox while its parent finds out what
is to be run in it.
"""

from __future__ import annotations

import gc
import os
import traceback
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from envbuild import module_pack
from envbuild.errors import EnvbuildError, WorkFailed, fields
from envbuild.instances.config import NEVER, Settings, from_plain, to_plain
from envbuild.instances.control_client import in_thread_on_signal
from envbuild.instances.messages import ASSIGNMENT, START_ANSWERS, Assignment, InstanceStarted, RequestFailed
from envbuild.instances.network import HOST_NETWORK, NO_NETWORK, RESERVED
from envbuild.instances.network.ports import open_ports
from envbuild.instances.network.select import check_network
from envbuild.instances.records import EXITED, Instances, State
from envbuild.instances.state_writer import StateWriter
from envbuild.instances.stdio import LogStreams
from envbuild.instances.supervisor import CANNOT_START, Supervisor, Task
from envbuild.linux import signals as signal
from envbuild.linux import syscalls
from envbuild.linux.forked import run_detached
from envbuild.linux.sockets import AF_UNIX, SOCK_STREAM, socket, socketpair
from envbuild.sandbox.spec import told_exit_code
from envbuild.sandbox.user_namespace import IdMap, enter_user_namespace
from envbuild.sandbox.wire import receive, receive_many_descriptors, send, send_many_descriptors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from envbuild.instances.network.interface import Network
    from envbuild.instances.supervisor import Sandboxes

LOG, TRACE = "log", "supervisor"
"""Files in an instance's folder: what it printed, and where its supervisor's own faults end up."""


@fields
class StartFailed(WorkFailed):
    """The command of an instance could not be started, as its supervisor says."""

    reason: str
    mend: str

    def text(self) -> tuple[str, str]:
        return self.reason, self.mend


@fields
class SupervisorGone(WorkFailed):
    """The supervisor of an instance ended before it could say anything."""

    trace: str

    def text(self) -> tuple[str, str]:
        return "the instance's supervisor ended at once", f"see {self.trace}"


class Background:
    """A supervisor that waits for its task, as the process that started it sees it."""

    def __init__(self, link: socket, opened: Sequence[socket] = ()) -> None:
        """`opened` are sockets of the first ports of what it will run, which it gets."""
        self._link = link
        self._folder = ""
        self._opened = opened

    def start(self, task: Task, lock: int) -> tuple[str, ...]:
        """Have the instance run; return when its command was started, with what the user is to be warned of.

        `lock` is the instance's, which the supervisor holds from then on. Raises StartFailed with the reason, and
        SupervisorGone.
        """
        self.begin(task, lock)
        return self.finish()

    def begin(self, task: Task, lock: int) -> None:
        """Do the first half of `start`: several may be begun before any is waited for."""
        self._folder = task.folder
        try:
            settings = to_plain(task.settings)
            assignment = Assignment(task.identity, task.name, task.folder, settings, len(self._opened), task.request)
            send(self._link, assignment, (lock,))
            send_many_descriptors(self._link, [port.fileno() for port in self._opened])
        except OSError:
            pass  # it is gone, as will be seen when it is waited for

    def finish(self) -> tuple[str, ...]:
        """Do the second half of `start`."""
        try:
            received = receive(self._link, START_ANSWERS)
        except OSError:
            received = None
        if received is None:
            raise SupervisorGone(f"{self._folder}/{TRACE}")
        answer = received[0]
        if isinstance(answer, RequestFailed):
            failed = StartFailed(answer.reason, answer.hint)
            failed.exit_code = told_exit_code(answer.code)
            raise failed
        return answer.notes


@contextmanager
def in_background(
    network: str = NO_NETWORK, store_path: str = "", opened: Sequence[socket] = (), *, again: bool = True
) -> Iterator[Background]:
    """Yield a supervisor in waiting, for an instance in this network, with `opened` sockets for its first ports; it
    goes if it is given no task. This process has one thread yet. `again` is whether the command may be run more than
    once.

    It enters a user namespace first, if it is in none, which the supervisor shares. Not so for a named network: the
    supervisor enters that one's, which could not be done from within another; so those come first if there are several.
    """
    if network in RESERVED:
        enter_user_namespace()
    ours, theirs = socketpair(AF_UNIX, SOCK_STREAM)
    run_detached(lambda: _become(theirs, network, store_path, again))
    theirs.close()
    with ours:
        yield Background(ours, opened)
    for listener in opened:
        listener.close()


@contextmanager
def in_backgrounds(store_path: str, configs: Sequence[Settings]) -> Iterator[list[Background]]:
    """Yield supervisors in waiting, one for each of these configurations, with the configured ports open. This process
    has one thread yet, and the rights of the user; afterwards it is root of its user namespace.

    Raises PortTaken, BadName and MachineLacks, before anything runs.
    """
    backgrounds: dict[int, Background] = {}
    # Named networks first: they can't be entered from within another user namespace.
    order = sorted(range(len(configs)), key=lambda number: configs[number].network in RESERVED)
    with ExitStack() as stack:
        for number in order:
            config = configs[number]
            check_network(config.network)
            opened = [opened_socket for _, opened_socket in open_ports(config.ports)]
            background = in_background(config.network, store_path, opened, again=config.restart.when != NEVER)
            backgrounds[number] = stack.enter_context(background)
        enter_user_namespace()
        yield [backgrounds[number] for number in range(len(configs))]


def _become(link: socket, network: str, store_path: str, again: bool) -> None:
    try:
        os.chdir("/")
        os.umask(0o022)
        # Nothing of whoever started it stays open, but for the socket on which its task comes.
        os.dup2(link.detach(), 3, inheritable=False)
        syscalls.close_range(4, on_exec=False)
        link = socket(fileno=3)
        nothing = os.open(os.devnull, os.O_RDWR)
        for target in (0, 1, 2):
            os.dup2(nothing, target)
        os.close(nothing)
        gc.freeze()
        _look_after(link, network, store_path, again)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


def _look_after(link: socket, network: str, store_path: str, again: bool) -> None:
    with ExitStack() as stack:
        entered: Network | None = None
        if network in (NO_NETWORK, HOST_NETWORK):
            ids = enter_user_namespace()
        else:
            from envbuild.instances.network.select import enter_network

            try:
                entered = stack.enter_context(enter_network(network, store_path))
            except EnvbuildError as error:
                _refuse(link, error)
                return
            ids = entered.ids
        sandboxes = _sandboxes(ids, network, again)
        stack.callback(sandboxes.close)
        _serve(link, sandboxes, entered)


def _sandboxes(ids: IdMap, network: str, again: bool) -> Sandboxes:
    """Return what makes the sandbox: this process, or where there may be another one, when it has threads, a helper."""
    if again:
        from envbuild.sandbox.helper_client import Helper

        return Helper.start(ids, once=True)
    from envbuild.sandbox.direct import DirectSandbox

    return DirectSandbox(ids, network=network == HOST_NETWORK)


def _refuse(link: socket, error: EnvbuildError) -> None:
    """Wait to be given the task, and say why it can't be done."""
    if receive(link, ASSIGNMENT) is not None:
        _answer(link, RequestFailed(error.message, error.hint, error.exit_code))


def _serve(link: socket, helper: Sandboxes, network: Network | None) -> None:
    received = receive(link, ASSIGNMENT)
    if received is None:
        return  # there is nothing to run after all
    assignment, (lock,) = received
    folder = assignment.folder
    errors = os.open(f"{folder}/{TRACE}", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    os.dup2(errors, 2)
    os.close(errors)
    task = Task(assignment.identity, assignment.name, folder, from_plain(assignment.settings), assignment.request)
    opened = [socket(fileno=port) for port in receive_many_descriptors(link, assignment.sockets)]

    def tell(notes: tuple[str, ...]) -> None:
        _answer(link, InstanceStarted(notes))

    try:
        try:
            supervisor = Supervisor(task, helper, LogStreams(f"{folder}/{LOG}"), tell, network=network, opened=opened)
            for number in (signal.SIGTERM, signal.SIGINT):
                in_thread_on_signal(number, lambda _number: supervisor.stop())
            module_pack.release()
            supervisor.run()
            # Where it was ended before it was started nobody was told of that.
            _answer(link, RequestFailed(supervisor.error or "its command was ended before it was started", ""))
        except EnvbuildError as error:
            StateWriter(folder, State(EXITED)).finish(status=EXITED, code=CANNOT_START, error=error.message)
            _answer(link, RequestFailed(error.message, error.hint, error.exit_code))
        # Not after a fault of ours: what it was is told in its folder.
        _remove_temporary(assignment.identity, folder)
    finally:
        os.close(lock)


def _remove_temporary(identity: str, folder: str) -> None:
    """Take an instance away that was to be kept only as long as it runs (--rm)."""
    instances = Instances(os.path.dirname(folder))
    instance = instances.get(identity)
    if instance is not None and instance.temporary:
        instances.remove(instance)


def _answer(link: socket, answer: InstanceStarted | RequestFailed) -> None:
    try:
        send(link, answer)
    except OSError:
        pass  # who started it is gone, or has its answer; it goes on
    link.close()

"""Clients without end: of a mapped port, and of the socket for control. An instance can always be ended."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager

import pytest

from tests.conftest import wait_for
from tests.instances.instances import run, state, supervisor_of, with_image
from tests.instances.test_ports import PYTHON, SERVER, descriptors

pytestmark = pytest.mark.namespaces


@pytest.fixture
def image(project, made_once, tmp_path):
    with with_image(project, made_once, tmp_path):
        yield project


@pytest.fixture
def ports(image):
    """The ports (TCP, UDP) of an echoing instance whose supervisor may have 160 descriptors."""
    if not os.path.exists("/usr/bin/python3"):
        pytest.skip("there is no /usr/bin/python3")
    shutil.copy(SERVER, image.folder / "server.py")
    words = ("-p", "127.0.0.1::80", "-p", "127.0.0.1::53/udp", *PYTHON, "-v", f"{image.folder}/server.py:/server.py:ro")
    command = ["run", "-d", "--name", "one", *words, "web", "--", "/usr/bin/python3", "/server.py"]
    done = subprocess.run(
        ["sh", "-c", 'ulimit -n 160; exec "$@"', "sh", sys.executable, "-m", "envbuild", *command],
        cwd=image.folder,
        env=image.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    published = [port["port"] for port in state(image)["ports"]]
    assert wait_for(lambda: echoes(published[0]))
    return published


def echoes(port: int, seconds: float = 60) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=seconds) as link:
            link.sendall(b"hello")
            return link.recv(10) == b"hello"
    except OSError:
        return False


@contextmanager
def connections(port: int, count: int):
    """So many that are open and say nothing, but for one byte."""
    with ExitStack() as stack:
        links = []
        for _ in range(count):
            link = stack.enter_context(socket.socket())
            link.setblocking(False)
            link.connect_ex(("127.0.0.1", port))
            links.append(link)
        time.sleep(1)
        yield links


def can_be_asked(image) -> None:
    done = image.command("exec", "one", "--", "/bin/echo", "I am here", timeout=300)
    assert (done.code, done.out) == (0, "I am here\n"), done.err
    assert state(image)["state"] == "running"


def test_four_hundred_connections_leave_room_for_control_and_are_served_in_turn(image, ports):
    with connections(ports[0], 400):
        for _ in range(3):
            can_be_asked(image)
        pid = supervisor_of(image)
        assert descriptors(pid) < 140
        assert not echoes(ports[0], seconds=2)
    assert wait_for(lambda: echoes(ports[0]))
    assert wait_for(lambda: descriptors(pid) < 60)
    with connections(ports[0], 400):
        done = image.command("stop", "--time", "1", "one", timeout=300)
        assert done.code == 0, done.err
    assert wait_for(lambda: state(image)["state"] == "exited")


def test_four_hundred_senders_of_datagrams_leave_room_too_and_all_get_answers(image, ports):
    with ExitStack() as stack:
        for number in range(400):
            sender = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            sender.settimeout(0.2)
            for _ in range(300):
                sender.sendto(b"word", ("127.0.0.1", ports[1]))
                try:
                    assert sender.recv(100) == b"WORD"
                    break
                except TimeoutError:
                    continue  # a datagram may be lost
            else:
                pytest.fail(f"sender {number} has no answer")
            if number % 100 == 99:
                can_be_asked(image)
        assert descriptors(supervisor_of(image)) < 140
        assert echoes(ports[0])


def control_path(image) -> str:
    return f"{image.store}/instances/{state(image)['id']}/control"


@contextmanager
def silent_clients(path: str, count: int):
    """Clients of the control socket that say nothing."""
    folder = os.open(os.path.dirname(path), os.O_RDONLY)
    with ExitStack() as stack:
        stack.callback(os.close, folder)
        for _ in range(count):
            link = stack.enter_context(socket.socket(socket.AF_UNIX))
            link.setblocking(False)
            try:
                link.connect(f"/proc/self/fd/{folder}/control")
            except BlockingIOError:
                pass  # as many wait as may
        yield


def test_clients_of_the_control_socket_that_hang_are_dropped(image, ports):
    with silent_clients(control_path(image), 300):
        time.sleep(1)
        done = image.command("kill", "one", timeout=300)
        assert done.code == 0, done.err
    assert wait_for(lambda: state(image)["state"] == "exited")


def test_silent_clients_end_no_later_than_others_hinder_the_end(image):
    run(image, "web", "--", "sleep", "100")
    pid = supervisor_of(image)
    with silent_clients(control_path(image), 40):
        began = time.monotonic()
        assert image.command("stop", "--time", "0", "one", timeout=300).code == 0
        assert wait_for(lambda: state(image)["state"] == "exited")
        assert wait_for(lambda: not os.path.exists(f"/proc/{pid}"))
        assert time.monotonic() - began < 60  # one after another, they would take minutes


def test_what_stays_connected_is_refused_when_there_is_no_room_and_kill_works(image, ports):
    words = [sys.executable, "-m", "envbuild", "exec", "one", "--", "/bin/sleep", "100"]
    waiting = [
        subprocess.Popen(
            words, cwd=image.folder, env=image.environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        for _ in range(24)
    ]
    try:
        assert wait_for(lambda: any(process.poll() is not None for process in waiting))
        refused = next(process for process in waiting if process.poll() is not None)
        assert b"are connected to it already" in refused.stderr.read()
        done = image.command("kill", "one", timeout=300)
        assert done.code == 0, done.err
        assert wait_for(lambda: state(image)["state"] == "exited")
    finally:
        for process in waiting:
            process.kill()
            process.wait()
            process.stderr.close()


def test_kill_needs_no_answer_of_the_supervisor(image):
    run(image, "web", "--", "sleep", "100")
    pid = supervisor_of(image)
    os.kill(pid, signal.SIGSTOP)
    try:
        first = state(image)["pid"]
        done = image.command("kill", "one", timeout=300)
        assert (done.code, done.out) == (0, "one\n"), done.err
        assert wait_for(lambda: not os.path.exists(f"/proc/{first}/exe") or not os.readlink(f"/proc/{first}/exe"))
    finally:
        os.kill(pid, signal.SIGCONT)
    assert wait_for(lambda: state(image)["state"] == "exited")

"""/dev/stdout and /dev/stderr of a command belong to its user, whatever they are outside."""

import os
import pty
import socket
import subprocess
import sys

import pytest

from tests.conftest import wait_for
from tests.instances.instances import printed, run, state, with_single_id

pytestmark = pytest.mark.namespaces

OPEN = "echo out > /dev/stdout && echo err > /dev/stderr && echo done"
USERS = ["root", "app"]


@pytest.fixture
def image(image):
    """With a user who is not root."""
    assert image.build("adduser app uid=1000", 'start ["sleep", "100"]').code == 0
    return image


def envbuild(image, *words: str, **streams) -> int:
    process = subprocess.Popen(
        [sys.executable, "-m", "envbuild", *words],
        cwd=image.folder,
        env=image.environment,
        **{"stdin": subprocess.DEVNULL, **streams},
    )
    return process.wait(timeout=60)


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("command", ["run", "exec"])
@pytest.mark.user
def test_a_pipe_and_a_file(image, user, command):
    words = ["run", "-u", user, "web", "--"]
    if command == "exec":
        run(image, "web")
        words = ["exec", "-u", user, "one", "--"]
    done = image.command(*words, "sh", "-c", OPEN)
    assert (done.code, done.out, done.err) == (0, "out\ndone\n", "err\n")
    path = image.folder / "printed"
    with open(path, "w") as file:
        assert envbuild(image, *words, "sh", "-c", OPEN, stdout=file, stderr=file) == 0
    # Nothing was written over what was there.
    assert sorted(path.read_text().splitlines()) == ["done", "err", "out"]


@pytest.mark.parametrize("command", ["run", "exec"])
@pytest.mark.parametrize("allocated", [True, False])
def test_a_terminal(image, command, allocated):
    words = ["run", "-u", "app", *([] if allocated else ["--no-tty"]), "web", "--"]
    if command == "exec":
        run(image, "web")
        words = ["exec", "-u", "app", *words[3:-2], "one", "--"]
    master, slave = pty.openpty()
    assert envbuild(image, *words, "sh", "-c", OPEN, stdin=slave, stdout=slave, stderr=slave) == 0
    os.close(slave)
    shown = os.read(master, 4096)
    os.close(master)
    assert sorted(shown.split()) == [b"done", b"err", b"out"]


def test_a_named_pipe_and_a_socket(image):
    path = image.folder / "fifo"
    os.mkfifo(path)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    writing = os.open(path, os.O_WRONLY)
    assert envbuild(image, "run", "-u", "app", "web", "--", "sh", "-c", OPEN, stdout=writing, stderr=writing) == 0
    assert sorted(os.read(reading, 4096).split()) == [b"done", b"err", b"out"]
    ours, theirs = socket.socketpair()
    assert envbuild(image, "run", "-u", "app", "web", "--", "echo", "plain", stdout=theirs) == 0
    assert ours.recv(100) == b"plain\n"
    for end in (ours, theirs):
        end.close()
    for descriptor in (reading, writing):
        os.close(descriptor)


def test_the_log_and_a_health_check(image):
    assert (
        image.build("adduser app uid=1000", "user app", f"health(every=1s) {OPEN}", f"start {OPEN}; sleep 100").code
        == 0
    )
    run(image, "web")
    assert wait_for(lambda: printed(image) == "out\ndone\n")
    assert image.command("logs", "one").err == "err\n"
    assert wait_for(lambda: state(image)["health"] == "healthy")


def test_steps_of_a_user(image):
    done = image.build("adduser app uid=1000", "user app", f"run {OPEN}", f"run(network) {OPEN}", f"test {OPEN}")
    assert (done.code, done.printed) == (0, "out\nerr\ndone\n" * 3)


@pytest.mark.user
def test_with_a_single_id(image):
    done = with_single_id(image, "run", "-u", "app", "web", "--", "sh", "-c", OPEN)
    assert (done.returncode, done.stdout, done.stderr) == (0, "out\ndone\n", "err\n")


def test_exec_does_not_wait_for_what_it_leaves_running(image):
    run(image, "web")
    with open(image.folder / "printed", "w") as file:
        assert envbuild(image, "exec", "one", "--", "sh", "-c", "echo now; sleep 50 &", stdout=file) == 0
    assert (image.folder / "printed").read_text() == "now\n"

"""What only the user can give to a step: the SSH agent, devices. Secrets are in test_statements.py."""

import os
import shutil
from pathlib import Path

import pytest

from tests.ssh_server import Agent, new_key

pytestmark = [pytest.mark.namespaces, pytest.mark.user]

SSH = "from host(ssh-add, ssh-keygen)"
IN_STEP = (
    "run(ssh, user=nobody)",
    "    ssh-add -L > /tmp/key.pub; ssh-add -l | cut -d ' ' -f 2",
    "    echo text > /tmp/text; ssh-keygen -q -Y sign -f /tmp/key.pub -n file /tmp/text 2> /dev/null",
    "    ssh-keygen -Y check-novalidate -n file -s /tmp/text.sig < /tmp/text | cut -d ' ' -f 1,2",
    "    for away in -D -x '-t 60 /tmp/key.pub'; do",
    "        SSH_ASKPASS_REQUIRE=never ssh-add $away < /dev/null > /dev/null 2>&1 && echo changed || echo refused",
    "    done",
    'run test -z "${SSH_AUTH_SOCK:-}" && test ! -e /run/ssh-agent.sock',
)
needs_ssh = pytest.mark.skipif(shutil.which("ssh-agent") is None, reason="openssh-client is not installed")


@pytest.fixture
def agent(tmp_path):
    """An agent of ssh's own with one key."""
    agent = Agent(new_key(tmp_path / "key"))
    yield agent
    agent.close()


def refusal(column: int, under: str, source: str, message: str, hint: str) -> str:
    place = f"error: {message}\n  --> web.env:3:{column}\n   |\n 3 | {source}\n"
    return f"{place}   | {' ' * (column - 1)}{'^' * len(under)} {hint}\n"


def test_without_leave_or_agent_nothing_runs(project, tmp_path):
    lines = ("run true", "run(secret=x, ssh=work) true")
    project.environment.pop("SSH_AUTH_SOCK", None)
    asked = "the step asks for your SSH agent, which signs whatever the step wants while it runs"
    start = 'start one, and add your key: eval "$(ssh-agent)"; ssh-add'
    for options, variables, message, hint in (
        ((), {}, asked, "allow it with: --ssh work"),
        (("--ssh", "default"), {}, asked, "allow it with: --ssh work"),
        (("--ssh", "work"), {}, "there is no SSH agent for --ssh work: SSH_AUTH_SOCK is not set", start),
        (
            ("--ssh", "work"),
            {"SSH_AUTH_SOCK": "/none"},
            "there is no SSH agent for --ssh work: /none: No such file or directory",
            start,
        ),
    ):
        done = project.build(*lines, options=("--secret", "x=web.env", *options), **variables)
        assert (done.code, done.ran) == (2, [])
        assert done.err == refusal(15, "ssh=work", lines[1], message, hint)
    for value, words in (
        ("web.env", "--ssh: 'web.env' is not a valid name of an agent"),
        ("default=web.env", "--ssh default: web.env: it is not the socket of an agent"),
        ("default=none", "--ssh default: none: No such file or directory"),
    ):
        done = project.build(options=("--ssh", value))
        assert (done.code, words in done.err) == (2, True), done.err


@needs_ssh
def test_a_step_signs_with_the_users_agent_and_can_not_change_it(project, agent):
    path, fingerprint = agent.socket, agent.add("-l").split()[1]
    done = project.build(SSH, *IN_STEP, options=("--ssh", f"default={path}"))
    assert done.code == 0, done.err + done.printed
    assert done.printed == f'{fingerprint}\nGood "file"\n' + 3 * "refused\n"
    assert "ssh-agent.sock" not in project.ls("/run")
    # By its own name, another recipe or agent finds the same step.
    again = project.build(options=("--ssh", "default"), SSH_AUTH_SOCK="/none")
    assert (again.code, again.ran) == (0, [])
    for where, _, names in os.walk(project.folder.parent):
        for file in (Path(where, name) for name in names):
            assert not file.is_file() or os.fsencode(path) not in file.read_bytes(), file
    done = project.command("verify", "web", "--ssh", f"default={path}")
    assert done.code == 0, done.err
    assert "allow it with: --ssh default" in project.command("verify", "web").err


@needs_ssh
def test_an_agent_without_keys_is_told_of(project, agent):
    agent.add("-q", "-D")
    project.write("web.env", "from tar:busybox.tar", "run(ssh) test -S $SSH_AUTH_SOCK")
    done = project.command("build", "web.env", "--ssh", "default", SSH_AUTH_SOCK=agent.socket)
    assert done.code == 0, done.err
    assert "note: your SSH agent has no keys" in done.err


def test_a_device_needs_leave_and_its_name_counts(project):
    lines = ("run true", "run(device=/dev/net/tun) true")
    done = project.build(*lines)
    assert (done.code, done.ran) == (2, [])
    message, hint = "the step asks for the device /dev/net/tun", "allow it with: --allow device=/dev/net/tun"
    assert done.err == refusal(5, "device=/dev/net/tun", lines[1], message, hint)
    done = project.build(*lines[:1], "run(device=/dev/ptmx) true", options=("--allow", "device=/dev/ptmx"))
    assert (done.code, done.ran) == (2, [])
    assert "/dev/ptmx can't be given to a step: it is a terminal\n  --> web.env:3:5\n" in done.err
    for value in ("device=tun", "network.host", "/dev/fuse"):
        done = project.build(options=("--allow", value))
        assert (done.code, "as in: --allow device=/dev/fuse" in done.err) == (2, True), done.err
    # Those that every sandbox has are there without leave.
    assert project.build(lines[0], "run(device=/dev/full) ! echo > /dev/full 2> /dev/null").code == 0
    done = project.build(lines[0], "run(device=/dev/zero) ! echo > /dev/full 2> /dev/null", options=("--explain",))
    assert done.of("step-explained")[0]["reasons"] == ["device=: /dev/full is gone", "device=: /dev/zero is new"]


@pytest.mark.skipif(not os.access("/dev/net/tun", os.R_OK | os.W_OK), reason="/dev/net/tun can't be opened here")
def test_a_step_opens_the_device_that_it_was_given(project):
    open_it = (
        "cat /dev/net/tun 2>&1 | grep -o 'bad state'; ls /dev/net; echo > /dev/net/x; mknod /dev/y c 10 200 || true"
    )
    done = project.build(f"run(device=/dev/net/tun) {open_it}", options=("--allow", "device=/dev/net/tun"))
    assert done.code == 0, done.err
    assert done.printed.startswith("bad state\ntun\n")  # a descriptor that is not bound to an interface yet
    assert "dev" not in project.ls("/")
    assert project.command("fsck").code == 0

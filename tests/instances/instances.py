"""Starting instances in the background, as a user does, and how they stand.

Tests wait by what is on record: a command of envbuild every few milliseconds costs more than what is waited for.
"""

from __future__ import annotations

import os
import struct
from contextlib import contextmanager, suppress
from pathlib import Path
from select import select
from socket import SO_PEERCRED, SOL_SOCKET

from envbuild.cli.commands.ps import plain_form
from envbuild.errors import WorkFailed
from envbuild.instances.control_client import ask, connect
from envbuild.instances.logs import entries
from envbuild.instances.messages import StopRequest
from envbuild.instances.records import DamagedInstance, Instance, Instances
from tests import poor_machines

WAITING = "trap 'echo bye; exit 3' TERM; while :; do sleep 0.05; done"


def web(project) -> None:
    """Makes a small image."""
    done = project.build("run echo in the image > /file", "env GREETING=hello")
    assert done.code == 0, done.out + done.err


@contextmanager
def with_image(project, made_once, tmp_path):
    """Gives a project an image; whatever runs in the end is ended."""
    with made_once.again(project, web, tmp_path / "made"), ended(project):
        yield


@contextmanager
def ended(project):
    """Ends whatever runs in the end."""
    try:
        yield
    finally:
        project.end()
        instances = Instances.of(str(project.store))
        for instance in (*instances.all(), *instances.damaged()):
            if instances.is_supervised(instance):
                _end(instance)


def _end(instance: Instance | DamagedInstance) -> None:
    """Ends one, and returns when its supervisor is gone."""
    with suppress(WorkFailed):  # it ends by itself
        pid = _peer(instance)
        with suppress(ProcessLookupError), open(os.pidfd_open(pid), "rb") as supervisor:
            ask(instance, StopRequest(0), seconds=60)
            assert select([supervisor], [], [], 60)[0], f"the supervisor {pid} stays"


def run(project, *words: str, name: str = "one") -> None:
    """Starts one."""
    done = project.command("run", "-d", "--name", name, *words)
    assert (done.code, done.out) == (0, f"{name}\n"), done.err


def state(project, name: str = "one") -> dict:
    """How it stands by its record, as `ps` tells it."""
    instances = Instances.of(str(project.store))
    instance = instances.find(name)
    return plain_form(instance, instances.state(instance), instance.reference, "")


def printed(project, name: str = "one", stream: str = "out") -> str:
    """What it has printed, by its log."""
    lines = entries(f"{folder_of(project, name)}/log")
    return "".join(f"{line.decode()}\n" for _, kind, line in lines if kind == stream)


def own_file(project, path: str, name: str = "one") -> Path:
    """A file that it has written, in no mount of its own."""
    return folder_of(project, name) / "upper" / path.lstrip("/")


def folder_of(project, name: str = "one") -> Path:
    """Where its record and its files are."""
    return project.store / "instances" / Instances.of(str(project.store)).find(name).identity


def supervisor_of(project, name: str = "one") -> int:
    """The process that looks after one that runs."""
    return _peer(Instances.of(str(project.store)).find(name))


def _peer(instance: Instance | DamagedInstance) -> int:
    """The process that answers at its socket (unix(7))."""
    with connect(instance) as link:
        pid, _, _ = struct.unpack("3i", link.getsockopt(SOL_SOCKET, SO_PEERCRED, 12))
    return pid


def with_single_id(project, *words: str):
    """Runs a command of envbuild as on a machine that gives its user no other ids."""
    return project.call(poor_machines.with_single_id, *words)

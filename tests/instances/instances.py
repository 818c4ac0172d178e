"""Starting instances in the background, as a user does, and how they stand."""

from __future__ import annotations

import json

from tests import poor_machines

WAITING = "trap 'echo bye; exit 3' TERM; while :; do sleep 0.05; done"


def with_image(project):
    """A project with an image; whatever runs in the end is ended."""
    assert project.build("run echo in the image > /file", "env GREETING=hello").code == 0
    yield project
    for instance in json.loads(project.command("ps", "--all", "--format", "json").out):
        project.command("rm", "--force", instance["id"])


def run(project, *words: str, name: str = "one") -> None:
    """Starts one."""
    done = project.command("run", "-d", "--name", name, *words)
    assert (done.code, done.out) == (0, f"{name}\n"), done.err


def state(project, name: str = "one") -> dict:
    """What `ps` knows of it."""
    listed = json.loads(project.command("ps", "--all", "--format", "json").out)
    return next(entry for entry in listed if entry["name"] == name)


def with_single_id(project, *words: str):
    """Runs a command of envbuild as on a machine that gives its user no other ids."""
    return project.call(poor_machines.with_single_id, *words)

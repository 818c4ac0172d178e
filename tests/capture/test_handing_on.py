"""Captures that leave their machine: pushed, pulled, exported, imported, and compared with another machine's."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.capture.conftest import Machine
from tests.conftest import Project
from tests.registry.hostile import Registry

pytestmark = pytest.mark.namespaces

KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\n-----END OPENSSH PRIVATE KEY-----\n"


@pytest.fixture
def registry() -> Iterator[Registry]:
    started = Registry()
    yield started
    started.close()


@pytest.fixture
def colleague(tmp_path: Path) -> Iterator[Project]:
    """Somebody with a store of his own."""
    folder = tmp_path / "colleague"
    folder.mkdir()
    made = Project(folder, tmp_path / "other-store")
    yield made
    made.end()


def done_well(project: Project, *words: str, code: int = 0) -> str:
    done = project.command(*words)
    assert done.code == code, done.err
    return done.out


@pytest.mark.user
def test_a_colleague_gets_the_same_machine_and_compares_it_with_the_own_one(
    machine: Machine, colleague: Project, registry: Registry
):
    captured = machine.capture()
    machine.output("push", "laptop", f"{registry.host}/laptop:1")
    done_well(colleague, "pull", f"{registry.host}/laptop:1", "laptop")
    assert f"sha256:{image_digest(colleague, 'laptop')}" == captured["image"]
    machine.write("/etc/ssh/sshd_config", "PermitRootLogin yes\n")
    done_well(colleague, "capture", "mine", "--root", str(machine.root))
    changes = done_well(colleague, "diff", "laptop", "mine", "--text", code=1)
    assert "-PermitRootLogin no" in changes
    assert "+PermitRootLogin yes" in changes


def image_digest(project: Project, name: str) -> str:
    return project.show(name)["digest"].removeprefix("sha256:")


def test_a_file_is_a_way_too(machine: Machine, colleague: Project, tmp_path: Path):
    captured = machine.capture()
    archive = str(tmp_path / "laptop.tar")
    machine.output("export", "laptop", "--output", archive)
    done_well(colleague, "import", archive, "laptop")
    assert f"sha256:{image_digest(colleague, 'laptop')}" == captured["image"]
    assert done_well(colleague, "cat", "laptop", "/etc/hostname") == "laptop\n"


@pytest.mark.user
def test_secrets_stay_behind_and_that_is_said(machine: Machine, registry: Registry, tmp_path: Path):
    machine.write("/etc/ssh/ssh_host_rsa_key", KEY, 0o600)
    machine.capture()
    host = os.uname().nodename
    note = f"note: 1 secret of {host} stayed behind; envbuild cat laptop /var/lib/envbuild/capture/secrets lists it"
    pushed = machine.project.command("push", "laptop", f"{registry.host}/laptop:1")
    assert note in pushed.err
    exported = machine.project.command("export", "laptop", "--format", "tar", "--output", str(tmp_path / "laptop.tar"))
    assert note in exported.err
    assert b"b3BlbnNzaC1rZXktdjEAAAAA" not in (tmp_path / "laptop.tar").read_bytes()
    machine.capture("--secrets")
    pushed = machine.project.command("push", "laptop", f"{registry.host}/laptop:1")
    assert f"warning: laptop has the secrets of {host} as they are" in pushed.err


def test_homes_that_go_along_are_said(machine: Machine, tmp_path: Path):
    machine.capture("--home")
    exported = machine.project.command("export", "laptop", "--format", "tar", "--output", str(tmp_path / "laptop.tar"))
    assert f"note: laptop has the homes of {os.uname().nodename}" in exported.err


def test_another_image_is_sent_without_a_word(project: Project, tmp_path: Path):
    project.build("from tar:busybox.tar")
    assert project.command("export", "web", "--format", "tar", "--output", str(tmp_path / "web.tar")).err == ""


def test_bisect_finds_what_of_two_captures_breaks_a_test(machine: Machine, busybox: Path):
    subprocess.run(["tar", "xf", busybox, "-C", machine.root], check=True)
    for number in range(8):
        machine.write(f"/etc/settings-{number}", "old\n")
    machine.capture()
    for number in range(8):
        machine.write(f"/etc/settings-{number}", "new\n" if number != 5 else "broken\n")
    machine.capture()
    answer = machine.output("bisect", "laptop@{1}", "laptop", "--", "grep", "-qv", "broken", "/etc/settings-5")
    assert answer.startswith("/etc/settings-5 (changed")
    assert "/etc/settings-5 was brought by laptop:latest@{0}, a capture of 20" in answer

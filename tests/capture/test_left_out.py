"""What a capture leaves out, and how that is said otherwise."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.capture.conftest import Machine

pytestmark = [pytest.mark.namespaces]


def paths(machine: Machine) -> set[str]:
    lines = machine.output("ls", "laptop", "--recursive").splitlines()[1:]
    return {line.split()[-1] for line in lines}


def test_patterns_of_the_user_leave_out_and_take_back(machine: Machine):
    machine.write("/srv/data/large", "x")
    machine.write("/srv/data/small", "x")
    machine.write("/root/.bashrc", "alias l=ls")
    machine.write("/root/other", "x")
    settings = machine.project.folder / ".config/envbuild"
    settings.mkdir(parents=True)
    (settings / "capture.ignore").write_text("# mine\n/srv/data/*\n!/srv/data/small\n!/root/.bashrc\n")
    captured = machine.capture(XDG_CONFIG_HOME="")
    assert {"srv/data/small", "root/.bashrc"} <= paths(machine)
    assert not {"srv/data/large", "root/other"} & paths(machine)
    reasons = {row["path"]: row["reason"] for row in captured["left_out"]}
    assert reasons["srv/data/large"] == f"a pattern of {settings}/capture.ignore"
    assert reasons["root/other"] == "a home (--home takes it)"
    (settings / "capture.ignore").write_text("")
    machine.capture(XDG_CONFIG_HOME="")
    assert "srv/data/large" in paths(machine), "what was left out is looked at again when the patterns change"


def test_a_path_that_is_included_is_taken_and_nothing_beside_it(machine: Machine):
    machine.write("/home/ada/project/code", "x")
    machine.write("/home/ada/other", "x")
    machine.capture("--include", "/home/ada/project")
    assert "home/ada/project/code" in paths(machine)
    assert not {"home/ada/other", "home/ada/.profile"} & paths(machine)


def test_a_store_is_not_taken_wherever_it_lies(machine: Machine):
    inside = machine.root / "srv/store"
    machine.capture(ENVBUILD_STORE=str(inside))
    captured = machine.capture()
    assert {"path": "srv/store/*", "reason": "a store of envbuild"} in captured["left_out"]
    again = machine.capture(ENVBUILD_STORE=str(inside))
    assert {"path": "srv/store/*", "reason": "a store of envbuild"} in again["left_out"]


def test_a_bad_file_of_patterns_is_said(machine: Machine):
    settings = machine.project.folder / ".config/envbuild"
    settings.mkdir(parents=True)
    (settings / "capture.ignore").write_bytes(b"\xff")
    done = machine.project.command("capture", "laptop", "--root", str(machine.root), XDG_CONFIG_HOME="")
    assert done.code == 2
    assert "capture.ignore" in done.err
    assert "make it a plain file of UTF-8 text" in done.err


@pytest.mark.root
def test_another_file_system_is_taken_only_where_it_is_named(machine: Machine):
    machine.write("/srv/disk/below", "hidden by what is mounted")
    script = f"""
        mount -t tmpfs other {machine.root}/srv/disk && echo x > {machine.root}/srv/disk/file
        mkdir {machine.root}/bound && mount --bind {machine.root}/usr {machine.root}/bound
        for options in "" "--include /srv/disk"; do
            {sys.executable} -m envbuild capture laptop --root {machine.root} --left-out $options
            {sys.executable} -m envbuild ls laptop --recursive
        done
    """
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script],
        cwd=machine.project.folder,
        env=machine.project.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    first, second = done.stdout.split("laptop = ")[1:]
    assert "left out: /srv/disk/*: another file system (--include PATH takes it)" in first
    assert "left out: /bound/*: another file system" in first
    assert "srv/disk/file" not in first
    assert "srv/disk/file" in second
    assert "bound/bin" not in second

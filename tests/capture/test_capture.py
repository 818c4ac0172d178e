"""`capture`: the files of a machine as an image, in any number."""

from __future__ import annotations

import os

import pytest

from tests.capture.conftest import Machine

pytestmark = [pytest.mark.namespaces, pytest.mark.user]


def test_each_capture_is_an_entry_of_the_name_with_its_reason(machine: Machine):
    first = machine.capture("-m", "as it came")
    machine.write("/etc/ssh/sshd_config", "PermitRootLogin yes\n")
    second = machine.capture("-m", "ssh")
    assert first["image"] != second["image"]
    assert not second["same"]
    log = machine.output("log", "laptop")
    assert "capture: ssh" in log.splitlines()[0]
    assert "capture: as it came" in log
    changes = machine.output("diff", "laptop@{1}", "laptop", "--text", code=1)
    assert "-PermitRootLogin no" in changes
    assert "+PermitRootLogin yes" in changes
    assert machine.output("cat", "laptop@{1}", "/etc/ssh/sshd_config") == "PermitRootLogin no\n"


def test_a_capture_of_an_unchanged_machine_is_the_same_image(machine: Machine):
    first = machine.capture()
    second = machine.capture()
    assert second["same"]
    assert second["image"] == first["image"]


def test_files_are_as_on_the_machine(machine: Machine):
    tool = machine.root / "usr/bin/tool"
    os.utime(tool, ns=(1, 1_600_000_000_123_456_789))
    (machine.root / "usr/bin/link").symlink_to("/etc/hostname")
    os.mkfifo(machine.root / "usr/pipe")
    machine.capture()
    listed = machine.output("ls", "laptop", "/usr/bin")
    assert "2020-09-13T12:26:40" in listed
    assert f"{os.getuid()}:{os.getgid()}" in listed
    assert "link -> /etc/hostname" in listed
    assert "pipe" in machine.output("ls", "laptop", "/usr")


def test_homes_logs_and_temporary_files_are_left_out_and_said_so(machine: Machine):
    captured = machine.capture()
    assert {row["path"] for row in captured["left_out"]} == {"home/*", "tmp/*", "var/log/syslog"}
    assert ".profile" not in machine.output("ls", "laptop", "--recursive")
    machine.capture("--home")
    assert ".profile" in machine.output("ls", "laptop", "--recursive")


def test_what_can_not_be_read_is_counted_and_listed(machine: Machine):
    if os.getuid() == 0:
        pytest.skip("root reads everything")
    machine.write("/etc/closed/file", "x")
    (machine.root / "etc/closed").chmod(0)
    assert machine.capture()["unread"] == [{"path": "etc/closed", "reason": "Permission denied"}]
    said = machine.output("capture", "laptop", "--root", str(machine.root))
    assert "not read: 1 path (--unread lists it)" in said
    (machine.root / "etc/closed").chmod(0o755)

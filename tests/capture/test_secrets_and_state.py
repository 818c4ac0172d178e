"""Secrets and state of a captured machine, by the command: what is in the image, what changed, and what never is."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.capture.conftest import Machine

pytestmark = pytest.mark.namespaces

RECORD = "/var/lib/envbuild/capture"
SHADOW = "root:$y$j9T$SALT$HASH:19000:0:99999:7:::\n"


def in_store(machine: Machine, text: str) -> bool:
    """Tell whether any file of the store has a text in it."""
    searched = subprocess.run(["grep", "-r", "-l", "-a", text, machine.project.store], capture_output=True, check=False)
    # Outside of its namespace an ordinary user may not read what is root's in its own store.
    assert searched.returncode < 2 or os.getuid()
    return searched.stdout != b""


@pytest.mark.user
def test_no_secret_is_in_the_store_and_a_change_of_it_shows(machine: Machine):
    machine.write("/etc/shadow", SHADOW, 0o600)
    machine.write("/etc/ssh/ssh_host_rsa_key", "CONTENT-OF-A-KEY\n", 0o600)
    machine.write("/etc/environment", "API_TOKEN=VALUE-OF-A-TOKEN\n")
    machine.capture()
    for text in ("SALT", "CONTENT-OF-A-KEY", "VALUE-OF-A-TOKEN"):
        assert not in_store(machine, text)
    listed = machine.output("cat", "laptop", f"{RECORD}/secrets")
    assert [line.split("\t")[:3] for line in listed.splitlines()] == [
        ["etc/environment", "27", "1"],
        ["etc/shadow", str(len(SHADOW)), "1"],
        ["etc/ssh/ssh_host_rsa_key", "17", "whole"],
    ]
    assert machine.capture()["same"]
    machine.write("/etc/shadow", SHADOW.replace("HASH", "OTHER"), 0o600)
    assert not machine.capture()["same"]
    changes = machine.output("diff", "laptop@{1}", "laptop", "--text", code=1)
    assert "+root:!envbuild-secret-v1-" in changes
    assert "OTHER" not in changes


def test_with_secrets_everything_is_as_it_is(machine: Machine):
    machine.write("/etc/shadow", SHADOW, 0o600)
    machine.capture()
    machine.capture("--secrets")
    assert machine.output("cat", "laptop", "/etc/shadow") == SHADOW
    assert machine.output("cat", "laptop", f"{RECORD}/secrets") == ""
    assert "option secrets" in machine.output("cat", "laptop", f"{RECORD}/about")
    machine.capture()
    assert "HASH" not in machine.output("cat", "laptop", "/etc/shadow")


def test_a_key_that_was_removed_makes_all_secrets_new_and_nothing_else(machine: Machine):
    machine.write("/etc/ssh/ssh_host_rsa_key", "CONTENT-OF-A-KEY\n", 0o600)
    machine.capture()
    (machine.project.store / "capture.key").unlink()
    assert not machine.capture()["same"]
    changes = machine.output("diff", "laptop@{1}", "laptop", "--files", code=1)
    assert "ssh_host_rsa_key" in changes
    assert "sshd_config" not in changes


def test_the_key_is_not_in_an_export(machine: Machine):
    machine.write("/etc/ssh/ssh_host_rsa_key", "CONTENT-OF-A-KEY\n", 0o600)
    machine.capture()
    key = (machine.project.store / "capture.key").read_bytes()
    machine.output("export", "laptop", "-o", "laptop.tar")
    content = (machine.project.folder / "laptop.tar").read_bytes()
    assert key not in content
    assert b"CONTENT-OF-A-KEY" not in content


def test_what_changed_beside_files_is_one_line(machine: Machine):
    machine.write("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
    machine.capture()
    machine.write("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\neve:x:1001:1001::/home/eve:/bin/sh\n")
    machine.write("/etc/cron.d/job", "@daily root /usr/bin/tool\n")
    machine.write("/opt/app/lib/python3.11/site-packages/idna-3.7.dist-info/INSTALLER", "pip\n")
    machine.capture()
    old, new = ("laptop@{1}", "laptop")
    for name, line in (
        ("users", "eve\t1001\t1001\t/home/eve\t/bin/sh\tunknown\t"),
        ("crontabs", "root\t@daily\t/usr/bin/tool\t/etc/cron.d/job"),
        ("python", "opt/app/lib/python3.11/site-packages\tidna\t3.7\tpip"),
    ):
        assert line in machine.output("cat", new, f"{RECORD}/state/{name}").splitlines()
    assert "eve" not in machine.output("cat", old, f"{RECORD}/state/users")

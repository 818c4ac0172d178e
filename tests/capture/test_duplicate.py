"""Instances of captured machines: duplicates that are other machines."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.capture.conftest import Machine
from tests.conftest import Project

pytestmark = pytest.mark.namespaces

MACHINE_ID = "0123456789abcdef0123456789abcdef"
KEY, RSA_KEY = "/etc/ssh/ssh_host_ed25519_key", "/etc/ssh/ssh_host_rsa_key"
OWN_KEY = "the machine's own key\n"
SHOW = ("sh", "-c", f"cat /etc/machine-id /etc/hostname /etc/hosts; hostname; cat {KEY}")


@pytest.fixture
def laptop(machine: Machine, busybox: Path) -> Machine:
    """A machine with an identity, whose files can run."""
    subprocess.run(["tar", "xf", busybox, "-C", machine.root], check=True)
    machine.write("/etc/machine-id", f"{MACHINE_ID}\n")
    machine.write("/etc/hosts", "127.0.1.1 laptop\n")
    for kind in ("ecdsa", "ed25519"):
        machine.write(f"/etc/ssh/ssh_host_{kind}_key", OWN_KEY, 0o600)
    return machine


@pytest.mark.user
def test_a_duplicate_has_its_own_machine_id_host_name_and_keys(laptop: Machine, tmp_path: Path):
    laptop.capture()
    seen = [laptop.output("run", "--name", name, "laptop", "--", *SHOW).splitlines() for name in ("a", "b")]
    identities = {lines[0] for lines in seen}
    assert len(identities | {MACHINE_ID}) == 3
    first = seen[0]
    assert first[1:5] == ["a", "127.0.0.1\tlocalhost a", "127.0.1.1 laptop", "a"]
    assert first[5:] != seen[1][5:]
    key = tmp_path / "key"
    key.write_text("\n".join(first[5:]) + "\n")
    key.chmod(0o600)
    public = subprocess.run(["ssh-keygen", "-y", "-f", key], capture_output=True, text=True, check=True).stdout
    assert public.startswith("ssh-ed25519 ")


def test_it_keeps_them_and_they_are_no_change_of_its_files(laptop: Machine):
    laptop.write(RSA_KEY, OWN_KEY, 0o600)  # only here, as it takes half a second to make
    laptop.capture()
    first = laptop.output("run", "--keep", "--name", "a", "laptop", "--", "cat", "/etc/machine-id", KEY, RSA_KEY)
    assert first.count("-----BEGIN OPENSSH PRIVATE KEY-----") == 2
    assert OWN_KEY not in first
    assert laptop.output("start", "-a", "a") == first
    assert "machine-id" not in laptop.output("diff", "a")
    assert laptop.output("cat", "laptop", "/etc/machine-id") == f"{MACHINE_ID}\n"


@pytest.mark.user
def test_links_in_the_place_of_identity_are_left_alone(laptop: Machine):
    for name, target in (("machine-id", "/nowhere"), ("hostname", "../../..")):
        (laptop.root / "etc" / name).unlink()
        os.symlink(target, laptop.root / "etc" / name)
    laptop.capture()
    listed = laptop.output("run", "laptop", "--", "ls", "-l", "/etc")
    assert "machine-id -> /nowhere" in listed
    assert "hostname -> ../../.." in listed


def test_nothing_starts_by_itself_but_a_shell(laptop: Machine):
    laptop.capture()
    assert laptop.project.command("run", "laptop", stdin=b"echo $PPID; exit 7\n").code == 7


def test_what_a_duplicate_changes_stays_there(laptop: Machine):
    laptop.capture()
    laptop.output("run", "laptop", "--", "rm", "/etc/ssh/sshd_config")
    assert (laptop.root / "etc/ssh/sshd_config").exists()
    assert laptop.output("cat", "laptop", "/etc/ssh/sshd_config") == "PermitRootLogin no\n"


def test_an_image_that_is_no_capture_keeps_its_identity(project: Project):
    project.build("from tar:busybox.tar", "file /etc/machine-id", "  of the image", name="web.env")
    assert project.command("run", "web", "--", "cat", "/etc/machine-id").out == "of the image\n"

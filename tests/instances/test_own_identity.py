"""Instances of captured machines: duplicates that are other machines."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.conftest import Project

pytestmark = [pytest.mark.namespaces, pytest.mark.user]

KINDS = ("rsa", "ecdsa", "ed25519")
SHOW = ("sh", "-c", "cat /etc/machine-id /etc/hostname /etc/hosts; hostname; cat /etc/ssh/ssh_host_ed25519_key")


@pytest.fixture
def laptop(project: Project) -> Project:
    """An image that says of itself that it is a capture, with an identity."""
    files = {
        "/var/lib/envbuild/capture/about": "format 1\\nhost laptop\\nuser 0 root\\n",
        "/etc/machine-id": "0123456789abcdef0123456789abcdef\\n",
        "/etc/hostname": "laptop\\n",
        "/etc/hosts": "127.0.1.1 laptop\\n",
        **{f"/etc/ssh/ssh_host_{kind}_key": "a secret\\n" for kind in KINDS},
    }
    lines = [f'file {path} "{text}"' for path, text in files.items()]
    project.build("from tar:busybox.tar", *lines, name="laptop.env")
    return project


def test_a_duplicate_has_its_own_machine_id_host_name_and_keys(laptop: Project, tmp_path: Path):
    seen = [laptop.command("run", "--name", name, "laptop", "--", *SHOW).out for name in ("a", "b")]
    first, second = (text.splitlines() for text in seen)
    assert [first[1], first[-1 - first[::-1].index("-----BEGIN OPENSSH PRIVATE KEY-----") - 1]] == ["a", "a"]
    assert first[2:4] == ["127.0.0.1\tlocalhost a", "127.0.1.1 laptop"]
    assert len(first[0]) == 32 and first[0] not in (second[0], "0123456789abcdef0123456789abcdef")
    assert first[5:] != second[5:]
    key = tmp_path / "key"
    key.write_text("\n".join(first[first.index("-----BEGIN OPENSSH PRIVATE KEY-----") :]) + "\n")
    key.chmod(0o600)
    public = subprocess.run(["ssh-keygen", "-y", "-f", key], capture_output=True, text=True, check=True).stdout
    assert public.startswith("ssh-ed25519 ")


def test_it_keeps_them_and_they_are_no_change_of_its_files(laptop: Project):
    laptop.command("run", "--keep", "--name", "a", "laptop", "--", "cat", "/etc/machine-id")
    first = laptop.command("start", "-a", "a").out
    assert first == laptop.command("start", "-a", "a").out
    assert laptop.command("diff", "a").out == ""


def test_links_in_the_place_of_identity_are_left_alone(project: Project):
    lines = ['file /var/lib/envbuild/capture/about "format 1\\nhost laptop\\nuser 0 root\\n"']
    lines += ["run mkdir /etc && ln -s /nowhere /etc/machine-id && ln -s /etc /etc/ssh && ln -s ../../.. /etc/hostname"]
    project.build("from tar:busybox.tar", *lines, name="laptop.env")
    listed = project.command("run", "laptop", "--", "ls", "-l", "/etc").out
    assert "machine-id -> /nowhere" in listed and "hostname -> ../../.." in listed


def test_another_image_keeps_its_files(project: Project):
    project.build("from tar:busybox.tar", 'file /etc/machine-id "of the image"', name="web.env")
    assert project.command("run", "web", "--", "cat", "/etc/machine-id").out == "of the image"

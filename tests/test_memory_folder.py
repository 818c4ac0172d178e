"""Which folder tests have for their stores."""

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from envbuild.linux import syscalls
from tests import memory_folder
from tests.in_namespace import run_inside


@pytest.fixture
def without_a_choice(monkeypatch):
    monkeypatch.delenv("TMPDIR", raising=False)
    monkeypatch.delenv(memory_folder.OTHERWISE, raising=False)
    monkeypatch.setattr(tempfile, "tempdir", None)


def test_a_folder_that_the_user_chose_is_kept(monkeypatch, without_a_choice):
    monkeypatch.setenv("TMPDIR", "/somewhere")
    memory_folder.choose()
    assert os.environ["TMPDIR"] == "/somewhere"


@pytest.mark.namespaces
@pytest.mark.parametrize(
    ("options", "fit"), [("size=12g", True), ("size=12g,noexec", False), ("size=12g,nodev", False), ("size=1g", False)]
)
def test_memory_has_to_hold_stores_as_a_disk_does(monkeypatch, tmp_path, without_a_choice, options, fit):
    monkeypatch.setattr(memory_folder, "_free_memory", lambda: 20 << 30)
    monkeypatch.setattr(memory_folder, "SHARED_MEMORY", tmp_path)

    def in_a_mount() -> None:
        syscalls.unshare(syscalls.CLONE_NEWNS)
        syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(tmp_path)], check=True)
        memory_folder.choose()
        assert tempfile.gettempdir() == (str(tmp_path) if fit else "/tmp")
        with memory_folder.on_disk() as folder:
            assert folder.parent == Path("/tmp")

    run_inside(in_a_mount)


def test_a_machine_with_little_memory_uses_its_disk(monkeypatch, without_a_choice):
    monkeypatch.setattr(memory_folder, "_free_memory", lambda: 1 << 30)
    memory_folder.choose()
    assert "TMPDIR" not in os.environ

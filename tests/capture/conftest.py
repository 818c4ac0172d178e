"""A small machine: a root of a few files, which tests change by hand as somebody changes a laptop."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Project


class Machine:
    """A root directory, and captures of it as `laptop`."""

    def __init__(self, root: Path, project: Project) -> None:
        self.root = root
        self.project = project

    def write(self, path: str, text: str, mode: int = 0o644) -> Path:
        """Write a file of the machine."""
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)
        return file

    def capture(self, *options: str, **variables: str) -> dict[str, Any]:
        """Take a capture, and return what is said of it."""
        words = ("capture", "laptop", "--root", str(self.root), "--format", "json", *options)
        done = self.project.command(*words, **variables)
        assert done.code == 0, done.err
        return json.loads(done.out)

    def output(self, *words: str, code: int = 0) -> str:
        """Return what a command prints that has to end with this code."""
        done = self.project.command(*words)
        assert done.code == code, done.err
        return done.out


@pytest.fixture
def machine(project: Project, tmp_path: Path) -> Machine:
    made = Machine(tmp_path / "machine", project)
    made.write("/etc/hostname", "laptop\n")
    made.write("/etc/ssh/sshd_config", "PermitRootLogin no\n")
    made.write("/usr/bin/tool", "#!/bin/sh\necho tool\n", 0o755)
    made.write("/home/ada/.profile", "export EDITOR=ed\n")
    made.write("/var/log/syslog", "a line\n")
    made.write("/tmp/scratch", "nothing\n")
    return made


@pytest.fixture
def router(machine: Machine, busybox: Path) -> Machine:
    """A machine that began as the image `base`."""
    done = machine.project.build("from tar:busybox.tar", "file /etc/app/gone", "  old", name="base.env")
    assert done.code == 0, done.err
    subprocess.run(["tar", "-C", machine.root, "-xf", busybox], check=True)
    return machine

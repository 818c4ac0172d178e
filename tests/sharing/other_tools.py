"""docker, podman and buildah as the other side of the tests: each with storage of its own, and what was started and
mounted for it taken away in the end. They need root, which here may not raise limits; hence the settings."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

SETTINGS = """\
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
cgroup_manager = "cgroupfs"
runtime = "runc"
events_logger = "file"
"""


class Tool:
    """One tool. `forms` are the words for what it writes an image as, with a path at `{}`."""

    name = ""
    forms: dict[str, list[str]]
    loads: tuple[str, ...] = ("docker", "oci")
    """Formats of ours that it takes as an archive."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.environment = dict(os.environ)
        program = shutil.which(self.name, path="/usr/bin")  # Debian's, of one version with the daemon
        if program is None:
            pytest.skip(f"{self.name} is not installed")
        self.program = program

    def words(self) -> list[str]:
        """What each of its commands begins with."""
        return [self.program]

    def call(self, *words: str) -> str:
        done = subprocess.run(
            [*self.words(), *words],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        assert done.returncode == 0, f"{self.name} {' '.join(words)}: {done.stderr}{done.stdout}"
        return done.stdout

    def build(self, context: Path, name: str) -> None:
        raise NotImplementedError

    def load(self, archive: Path) -> None:
        self.call("load", "-i", str(archive))

    def run(self, image: str) -> str:
        """What an image prints that runs."""
        return self.call("run", "--rm", "--network=none", image)

    def close(self) -> None:
        pass


class Docker(Tool):
    name = "docker"
    forms = {"docker save": ["save", "{name}", "-o", "{}"]}
    loads = (
        "docker",
    )  # an archive without manifest.json only with containerd's store, which 28 does not have by itself

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        daemon = shutil.which("dockerd", path="/usr/sbin:/usr/bin")
        if daemon is None:
            pytest.skip("dockerd is not installed")
        self.environment |= {"DOCKER_HOST": f"unix://{folder}/s", "DOCKER_BUILDKIT": "1", "DOCKER_CONFIG": str(folder)}
        places = ["--data-root", folder / "data", "--exec-root", folder / "exec", "--pidfile", folder / "pid"]
        self._log = folder / "log"
        with self._log.open("wb") as log:
            self._daemon = subprocess.Popen(
                [daemon, *places, "-H", f"unix://{folder}/s", "--iptables=false", "--bridge=none"],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        end = time.monotonic() + 60
        while subprocess.run([self.program, "info"], env=self.environment, capture_output=True, check=False).returncode:
            ended = self._daemon.poll() is not None or time.monotonic() > end
            assert not ended, self._log.read_text()[-2000:]
            time.sleep(0.2)
        self.version = self.call("version", "-f", "{{.Server.Version}}").strip()

    def build(self, context: Path, name: str) -> None:
        self.call("build", "-q", "--network=none", "-t", name, str(context))

    def close(self) -> None:
        for container in self.call("ps", "-aq").split():  # one that hangs would outlive the daemon
            self.call("rm", "-f", container)
        self._daemon.send_signal(signal.SIGTERM)
        try:
            self._daemon.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self._daemon.pid, signal.SIGKILL)
            self._daemon.wait()


class Podman(Tool):
    name = "podman"
    forms = {
        "oci-dir": ["save", "-q", "--format", "oci-dir", "{name}", "-o", "{}"],
        "oci-archive": ["save", "-q", "--format", "oci-archive", "{name}", "-o", "{}"],
        "docker-archive": ["save", "-q", "--format", "docker-archive", "{name}", "-o", "{}"],
    }

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        (folder / "containers.conf").write_text(SETTINGS)
        self.environment |= {"CONTAINERS_CONF": str(folder / "containers.conf"), "BUILDAH_ISOLATION": "chroot"}

    def words(self) -> list[str]:
        return [self.program, "--root", f"{self.folder}/s", "--runroot", f"{self.folder}/r"]

    def build(self, context: Path, name: str) -> None:
        self.call("build", "-q", "--format=docker", "--layers", "-t", name, str(context))

    def close(self) -> None:
        # They keep their storage mounted on itself.
        subprocess.run(["umount", self.folder / "s/overlay"], capture_output=True, check=False)


class Buildah(Podman):
    name = "buildah"
    forms = {
        "oci": ["push", "-q", "{name}", "oci:{}:{name}"],
        "oci with zstd": ["push", "-q", "--compression-format", "zstd", "{name}", "oci:{}:{name}"],
        "docker-archive": ["push", "-q", "{name}", "docker-archive:{}:{name}"],
    }

    def load(self, archive: Path) -> None:
        kind = "docker-archive" if archive.name.startswith("docker") else "oci-archive"
        self.call("pull", "-q", f"{kind}:{archive}")

    def run(self, image: str) -> str:
        container = self.call("from", "--pull-never", image).strip()
        # Its `run` looks at neither the entry point nor the command.
        settings = json.loads(self.call("inspect", container))["OCIv1"]["config"]
        words = [*settings["Entrypoint"], *settings["Cmd"]]
        return self.call("run", "--isolation", "chroot", container, "--", *words)


TOOLS = (Docker, Podman, Buildah)

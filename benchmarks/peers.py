"""The tools that envbuild is held against: each builds and runs the same busybox, with storage of its own.

Nothing is fetched: all start from one busybox archive. A peer that is not installed is left out, with the reason.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

Words = list[str]


class Missing(Exception):
    """A peer can't be used here; the text says why."""


class Peer:
    """One tool. `note` says which version it is and what its storage promises."""

    name = ""
    note = ""

    def __init__(self, folder: Path) -> None:
        """Makes storage below `folder`, with the base image. Raises Missing."""
        self.folder = folder

    def close(self) -> None:
        """Stops what was started, and takes away what was mounted."""

    def environment(self) -> dict[str, str]:
        return {}

    def build(self, lines: Sequence[str], context: Path, *, cache: bool = True, name: str = "bench") -> Words:
        """The command that builds these Dockerfile lines on the base; the file is written now."""
        path = self.folder / f"{name}.docker"
        path.write_text("\n".join([f"FROM {self.base}", *lines, ""]))
        return self.build_words(path, context, cache, name)

    base = "localhost/busybox"

    def build_words(self, path: Path, context: Path, cache: bool, name: str) -> Words:
        raise NotImplementedError

    def import_archive(self, archive: Path, name: str) -> None:
        """Makes an image of a root file system in a tar file. Raises Missing."""
        raise Missing(f"{self.name} imports nothing")

    def run(self, name: str) -> Words | None:
        """The command that runs `true` in an image, None if the tool has none."""
        return None

    def save(self, name: str, target: Path) -> Words | None:
        """The command that writes an image compressed below or at a path that is not there; None if it has none."""
        return None

    def push(self, name: str, reference: str) -> Words | None:
        """The command that pushes an image to a registry on this machine; None if the tool has none."""
        return None

    def pull(self, reference: str) -> Words | None:
        """The command that pulls it; None if the tool has none."""
        return None

    def load(self, archive: Path) -> Words | None:
        """The command that takes what `docker save` wrote; None if the tool has none."""
        return None

    def forget(self, *names: str) -> None:
        """Remove images with their layers, as far as they are there."""

    def processors(self) -> float:
        """Seconds of processor time that its daemon took so far."""
        return 0.0

    def disk(self) -> int:
        """Bytes that its storage takes."""
        return disk_of(self.folder / "storage")

    def call(self, words: Words) -> str:
        done = subprocess.run(
            words,
            cwd=self.folder,
            env={**os.environ, **self.environment()},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise Missing(f"{' '.join(words[:6])}: {(done.stderr or done.stdout).strip()[-300:]}")
        return done.stdout


class BuildKit(Peer):
    """The builder in Debian's dockerd, started for this with storage of its own and no network."""

    name = "BuildKit"
    base = "busybox"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        daemon, self._client = shutil.which("dockerd", path="/usr/sbin:/usr/bin"), "/usr/bin/docker"
        if daemon is None or not os.path.exists(self._client):
            raise Missing("docker.io is not installed")
        if os.geteuid() != 0:
            raise Missing("dockerd needs root")
        self._socket = f"unix://{folder}/sock"
        places = ["--data-root", folder / "storage", "--exec-root", folder / "exec", "--pidfile", folder / "pid"]
        self._daemon = subprocess.Popen(
            [daemon, *places, "-H", self._socket, "--iptables=false", "--bridge=none"],
            stdout=subprocess.DEVNULL,
            stderr=open(folder / "log", "wb"),  # noqa: SIM115 - the daemon's
            start_new_session=True,
        )
        try:
            for _ in range(150):
                if self._daemon.poll() is not None:
                    raise Missing(f"dockerd ended: {(folder / 'log').read_text()[-300:]}")
                try:
                    version = self.call([self._client, "version", "-f", "{{.Server.Version}}"]).strip()
                    break
                except Missing:
                    time.sleep(0.2)
            else:
                raise Missing("dockerd does not answer")
            self.call([self._client, "import", str(folder.parent / "busybox.tar"), "busybox"])
        except Missing:
            self.close()
            raise
        self.note = f"dockerd {version}, overlay2, fsync of metadata in each step"

    def environment(self) -> dict[str, str]:
        return {"DOCKER_HOST": self._socket, "DOCKER_BUILDKIT": "1"}

    def close(self) -> None:
        self._daemon.send_signal(signal.SIGTERM)
        try:
            self._daemon.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self._daemon.pid, signal.SIGKILL)
            self._daemon.wait()

    def build_words(self, path: Path, context: Path, cache: bool, name: str) -> Words:
        words = [self._client, "build", "-q", "--network=none", "-t", name, "-f", str(path)]
        return [*words, *([] if cache else ["--no-cache"]), str(context)]

    def import_archive(self, archive: Path, name: str) -> None:
        self.call([self._client, "import", str(archive), name])

    def run(self, name: str) -> Words:
        return [self._client, "run", "--rm", "--network=none", name, "true"]

    def save(self, name: str, target: Path) -> Words | None:
        if shutil.which("zstd") is None:
            return None
        return ["sh", "-c", f"{self._client} save {name} | zstd -T0 -q -o {target}"]

    def push(self, name: str, reference: str) -> Words:
        return ["sh", "-c", f"{self._client} tag {name} {reference} && {self._client} push -q {reference}"]

    def pull(self, reference: str) -> Words:
        return [self._client, "pull", "-q", reference]

    def load(self, archive: Path) -> Words:
        return [self._client, "load", "-q", "-i", str(archive)]

    def forget(self, *names: str) -> None:
        for name in names:
            with contextlib.suppress(Missing):
                self.call([self._client, "rmi", "-f", name])
        self.call([self._client, "builder", "prune", "-af"])  # what was built with them keeps their layers

    def processors(self) -> float:
        return sum(_processors(process) for process in _family(self._daemon.pid))


class Buildah(Peer):
    name = "buildah"
    tool = "buildah"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        if shutil.which(self.tool) is None:
            raise Missing(f"{self.tool} is not installed")
        self._storage = ["--root", str(folder / "storage"), "--runroot", str(folder / "run")]
        (folder / "Base").write_text("FROM scratch\nADD busybox.tar /\n")
        shutil.copy(folder.parent / "busybox.tar", folder / "busybox.tar")
        self.call([self.tool, *self._storage, "build", "-q", "-t", "busybox", "-f", "Base", str(folder)])
        self.note = self.call([self.tool, "--version"]).strip()

    def environment(self) -> dict[str, str]:
        return {"BUILDAH_ISOLATION": "chroot"}

    def close(self) -> None:
        # It keeps its storage mounted on itself.
        subprocess.run(["umount", self.folder / "storage/overlay"], capture_output=True, check=False)

    def build_words(self, path: Path, context: Path, cache: bool, name: str) -> Words:
        words = [self.tool, *self._storage, "build", "-q", "--layers", "--network=none", "-t", name, "-f", str(path)]
        return [*words, *([] if cache else ["--no-cache"]), str(context)]

    def import_archive(self, archive: Path, name: str) -> None:
        (self.folder / "Import").write_text(f"FROM scratch\nADD {archive.name} /\n")
        os.link(archive, self.folder / archive.name)
        self.call([self.tool, *self._storage, "build", "-q", "-t", name, "-f", "Import", str(self.folder)])

    def save(self, name: str, target: Path) -> Words:
        words = [self.tool, *self._storage, "push", "-q", "--compression-format", "zstd", f"localhost/{name}"]
        return [*words, f"oci:{target}:{name}"]

    def push(self, name: str, reference: str) -> Words:
        words = [self.tool, *self._storage, "push", "-q", "--tls-verify=false", f"localhost/{name}"]
        return [*words, f"docker://{reference}"]

    def pull(self, reference: str) -> Words:
        return [self.tool, *self._storage, "pull", "-q", "--tls-verify=false", reference]

    def load(self, archive: Path) -> Words:
        return [self.tool, *self._storage, "pull", "-q", f"docker-archive:{archive}"]

    def forget(self, *names: str) -> None:
        for name in names:
            with contextlib.suppress(Missing):
                self.call([self.tool, *self._storage, "rmi", "-f", name])


class Podman(Buildah):
    name = "podman"
    tool = "podman"

    def run(self, name: str) -> Words:
        words = [self.tool, *self._storage, "run", "--rm", "--network=none", "--cgroups=disabled"]
        return [*words, f"localhost/{name}", "true"]


class Bubblewrap(Peer):
    """Only runs: no images, no layers."""

    name = "bwrap"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        if shutil.which("bwrap") is None:
            raise Missing("bubblewrap is not installed")
        (folder / "root").mkdir()
        self.call(["tar", "-xf", str(folder.parent / "busybox.tar"), "-C", "root"])
        self.note = self.call(["bwrap", "--version"]).strip() + ", a sandbox on a plain folder"

    def run(self, name: str) -> Words:
        return ["bwrap", "--unshare-all", "--bind", str(self.folder / "root"), "/", "/bin/true"]


class Nix(Peer):
    """Derivations, each of which needs the one before it: steps without a root file system."""

    name = "nix"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        if shutil.which("nix-build") is None:
            raise Missing("nix-bin is not installed")
        for name in ("store", "state", "log", "conf"):
            (folder / name).mkdir()
        lines = ("sandbox = true", "build-users-group =", "sandbox-paths = /bin/sh=/bin/busybox", "substitute = false")
        (folder / "conf/nix.conf").write_text("\n".join([*lines, ""]))
        self.call(self.build(["RUN echo first > /f"], folder))
        self.note = (
            self.call(["nix-build", "--version"]).strip() + ", sandboxed, no root file system, fsync of metadata"
        )

    def environment(self) -> dict[str, str]:
        names = {"STORE_DIR": "store", "STATE_DIR": "state", "LOG_DIR": "log", "CONF_DIR": "conf"}
        return {f"NIX_{variable}": str(self.folder / name) for variable, name in names.items()}

    def build(self, lines: Sequence[str], context: Path, *, cache: bool = True, name: str = "bench") -> Words:
        """The command that builds a chain of derivations, one for each `RUN ... > FILE`, whose output is that file."""
        path = self.folder / f"{name}.nix"
        steps = ['s0 = "";']
        for number, line in enumerate(lines, 1):
            command = line.removeprefix("RUN ").rpartition(">")[0]
            steps.append(
                f's{number} = derivation {{ name = "s{number}"; system = builtins.currentSystem; builder = "/bin/sh"; '
                f'args = [ "-c" "{command} > $out" ]; previous = s{number - 1}; }};'
            )
        path.write_text(f"let {' '.join(steps)} in s{len(lines)}\n")
        return ["nix-build", "--no-out-link", str(path)]


ALL = (BuildKit, Buildah, Podman, Bubblewrap, Nix)
BUILDERS = ("BuildKit", "buildah")
STEP_BUILDERS = (*BUILDERS, "nix")
"""Those that chain steps, whether or not they have a root file system to copy files into."""


def _family(process: int) -> list[int]:
    """A process and all below it, as far as they still run."""
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        threads = os.listdir(f"/proc/{process}/task")
        for thread in threads:
            if thread != str(process):
                children += Path(f"/proc/{process}/task/{thread}/children").read_text().split()
    except FileNotFoundError:
        return []
    return [process, *(below for child in children for below in _family(int(child)))]


def _processors(process: int) -> float:
    """Seconds that a process took, with those of its children that have ended (proc_pid_stat(5))."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def disk_of(folder: Path) -> int:
    """Bytes on disk below a folder, each inode once."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            status = os.lstat(f"{where}/{name}")
            if (status.st_dev, status.st_ino) not in seen:
                seen.add((status.st_dev, status.st_ino))
                total += status.st_blocks * 512
    return total

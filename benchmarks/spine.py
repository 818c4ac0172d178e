"""Times the spine against peers on this machine, in one run, and prints medians and ratios.

    python benchmarks/spine.py [--runs N]

Needs busybox-static; uses buildah, podman and bubblewrap where they are installed (apt-get install buildah podman
bubblewrap). Nothing is fetched: every tool starts from the same busybox archive. What the figures mean, and what
durability stands beside them, is in docs/performance.md.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.conftest import busybox_tar  # the base of the tests is the base of the benchmarks

ENVBUILD = [sys.executable, "-m", "envbuild"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=7, help="timed runs of each command")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="envbuild-bench-", ignore_cleanup_errors=True) as folder:
        bench = Bench(Path(folder), arguments.runs)
        bench.report("a bare Python start", bench.time([sys.executable, "-c", "pass"]), {})
        steps(bench)
        rebuilds(bench)
        copies(bench)
        starts(bench)
        bench.close()


class Bench:
    def __init__(self, folder: Path, runs: int) -> None:
        self.folder = folder
        self.runs = runs
        self.environment = {**os.environ, "ENVBUILD_STORE": str(folder / "store"), "BUILDAH_ISOLATION": "chroot"}
        self.environment.pop("PYTHONDONTWRITEBYTECODE", None)
        busybox_tar(folder / "busybox.tar")
        self.peers = {name for name in ("buildah", "podman", "bwrap") if shutil.which(name)}
        if self.peers & {"buildah", "podman"}:
            self.storage = ["--root", str(folder / "peer"), "--runroot", str(folder / "peer-run")]
            tool = "buildah" if "buildah" in self.peers else "podman"
            (folder / "Base").write_text("FROM scratch\nADD busybox.tar /\n")
            self.call([tool, *self.storage, "build", "-q", "-t", "busybox", "-f", "Base", "."])

    def close(self) -> None:
        """The peers keep their storage mounted on itself."""
        subprocess.run(["umount", str(self.folder / "peer" / "overlay")], capture_output=True, check=False)

    def call(self, words: list[str]) -> None:
        done = subprocess.run(
            words, cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        if done.returncode:
            raise SystemExit(f"{' '.join(words)} failed:\n{done.stderr.decode(errors='replace')[-2000:]}")

    def time(self, words: list[str], before: Callable[[], None] = lambda: None) -> float:
        """The median seconds of a command; `before` is done untimed ahead of each run."""
        taken = []
        for number in range(self.runs + 1):
            before()
            started = time.perf_counter()
            self.call(words)
            if number:
                taken.append(time.perf_counter() - started)
        return statistics.median(taken)

    def report(self, what: str, own: float, peers: dict[str, float]) -> None:
        ratios = ", ".join(f"{name} {1000 * t:.0f} ms (envbuild {own / t:.2f} of it)" for name, t in peers.items())
        print(f"{what}: {1000 * own:.1f} ms{'; ' + ratios if ratios else ''}", flush=True)


def recipe(bench: Bench, name: str, lines: list[str]) -> None:
    (bench.folder / f"{name}.env").write_text("\n".join(["from tar:busybox.tar", *lines, ""]))


def dockerfile(bench: Bench, name: str, lines: list[str]) -> None:
    (bench.folder / f"{name}.docker").write_text("\n".join(["FROM localhost/busybox", *lines, ""]))


def peer_build(bench: Bench, tool: str, name: str) -> list[str]:
    return [tool, *bench.storage, "build", "-q", "--layers", "-t", name, "-f", f"{name}.docker", "."]


def steps(bench: Bench) -> None:
    count = 40
    recipe(bench, "steps", [f"run echo {n} > /f{n}" for n in range(count)])
    recipe(bench, "none", [])
    bench.call([*ENVBUILD, "build", "none.env"])
    own = bench.time([*ENVBUILD, "build", "steps.env", "--no-cache"]) - bench.time([*ENVBUILD, "build", "none.env"])
    peers = {}
    if "buildah" in bench.peers:
        few = 5
        dockerfile(bench, "few", [f"RUN echo {n} > /f{n}" for n in range(few)])
        words = peer_build(bench, "buildah", "few")
        words.insert(words.index("-q"), "--no-cache")
        peers["buildah"] = bench.time(words) / few
    bench.report("a `run echo` step, uncached", own / count, peers)
    long = 1000
    recipe(bench, "long", [f"run echo {n} > /f{n}" for n in range(long)])
    started = time.perf_counter()
    bench.call([*ENVBUILD, "build", "long.env"])
    bench.report("a step of a recipe of 1,000", (time.perf_counter() - started) / long, {})


def rebuilds(bench: Bench) -> None:
    for count in (20, 100, 1000):
        name = f"n{count}"
        recipe(bench, name, [f"run echo {n} > /f{n}" for n in range(count)])
        bench.call([*ENVBUILD, "build", f"{name}.env"])
        peers = {}
        if "buildah" in bench.peers and count == 20:
            dockerfile(bench, name, [f"RUN echo {n} > /f{n}" for n in range(count)])
            peers["buildah"] = bench.time(peer_build(bench, "buildah", name))
        bench.report(
            f"a rebuild with nothing to do, {count} steps", bench.time([*ENVBUILD, "build", f"{name}.env"]), peers
        )


def copies(bench: Bench) -> None:
    folder = bench.folder / "files"
    for number in range(10_000):
        path = folder / f"d{number % 100}" / f"f{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(16) * 640)
    time.sleep(0.3)
    recipe(bench, "copy", ["copy files/ -> /files/"])
    started = time.perf_counter()
    bench.call([*ENVBUILD, "build", "copy.env"])
    bench.report("a copy of 10,000 files (100 MB), first", time.perf_counter() - started, {})
    bench.report("the same, unchanged", bench.time([*ENVBUILD, "build", "copy.env"]), {})
    edited = folder / "d7" / "f7"

    def edit() -> None:
        edited.write_bytes(os.urandom(16))
        time.sleep(0.2)

    bench.report("the same, one file edited", bench.time([*ENVBUILD, "build", "copy.env"], edit), {})


def starts(bench: Bench) -> None:
    peers = {}
    if "podman" in bench.peers:
        words = [
            "podman",
            *bench.storage,
            "run",
            "--rm",
            "--network=none",
            "--cgroups=disabled",
            "localhost/busybox",
            "true",
        ]
        try:
            peers["podman run"] = bench.time(words)
        except SystemExit as problem:
            print(f"(podman can't run here: {str(problem).splitlines()[-1]})")
    if "bwrap" in bench.peers:
        root = bench.folder / "root"
        root.mkdir()
        bench.call(["tar", "-xf", "busybox.tar", "-C", "root"])
        peers["bwrap"] = bench.time(["bwrap", "--unshare-all", "--bind", str(root), "/", "/bin/true"])
    bench.report("`envbuild run IMAGE -- true`", bench.time([*ENVBUILD, "run", "n20", "--", "true"]), peers)


if __name__ == "__main__":
    main()

"""Times the spine against real peers on this machine, in one run, and prints medians and ratios.

    python benchmarks/spine.py [--runs N] [--only ROW ...] [--json FILE]

Needs busybox-static; uses what is installed of docker.io, buildah, podman and bubblewrap (apt-get install docker.io
buildah podman bubblewrap). What the figures mean, and what durability stands beside them, is in docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks import curves, disk, history, inside, instances, packages, ports, snapshots
from benchmarks.bench import ENVBUILD, Bench
from benchmarks.peers import BUILDERS, Missing


def main() -> None:
    rows = {
        "steps": steps,
        "rebuilds": rebuilds,
        "thousand": thousand,
        "copies": copies,
        "starts": starts,
        "snapshots": snapshots.measure,
        "disk": disk.measure,
        "curves": curves.measure,
        "packages": packages.measure,
        "history": history.measure,
        "inside": inside.measure,
        "instances": instances.measure,
        "ports": ports.measure,
    }
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=7, help="timed runs of each command")
    parser.add_argument("--only", nargs="+", choices=rows, default=list(rows), help="measure only these")
    parser.add_argument("--json", type=Path, help="write the figures to a file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="envbuild-bench-", ignore_cleanup_errors=True) as folder:
        bench = Bench(Path(folder), arguments.runs)
        try:
            bench.report("a bare Python start", bench.time([sys.executable, "-c", "pass"]))
            for name in arguments.only:
                rows[name](bench)
        finally:
            bench.close()
        print("\n" + bench.table())
        if arguments.json:
            bench.save(arguments.json)


def steps(bench: Bench) -> None:
    """A step is what more steps cost: 40 of them against none."""
    count, few = 40, 10
    many, none = bench.recipe("steps", _echoes(count)), bench.recipe("none", [])
    bench.envbuild("build", none, runs=1)
    base = min(bench.envbuild("build", none))
    own = [(taken - base) / count for taken in bench.envbuild("build", many, "--no-cache")]
    peers = {}
    for name in BUILDERS:
        if peer := bench.peers.get(name):
            words = peer.build(_runs(few), bench.folder / name, cache=False, name="few")
            one = peer.build(_runs(1), bench.folder / name, cache=False, name="one")
            least = min(bench.time(one, peer=peer, runs=3))
            peers[name] = [(taken - least) / (few - 1) for taken in bench.time(words, peer=peer, runs=3)]
    bench.report("a `run echo` step, uncached", own, peers, target=8)


def rebuilds(bench: Bench) -> None:
    for count, target in ((20, 40), (100, 45), (1000, None)):
        recipe = bench.recipe(f"n{count}", _echoes(count))
        bench.call([*ENVBUILD, "build", recipe])
        peers = {}
        for name in BUILDERS if count <= 100 else ():
            if peer := bench.peers.get(name):
                words = peer.build(_runs(count), bench.folder / name, name=f"n{count}")
                peers[name] = bench.time(words, peer=peer, runs=3)
        bench.report(f"rebuild with nothing to do, {count} steps", bench.envbuild("build", recipe), peers, target)


def thousand(bench: Bench) -> None:
    recipe = bench.recipe("long", [f"run echo long {number} > /f{number}" for number in range(1000)])
    script = (
        "import resource, subprocess, sys\n"
        f"done = subprocess.run({[*ENVBUILD, 'build', recipe, '--progress', 'json']!r}, stdout=subprocess.PIPE)\n"
        "sys.stdout.buffer.write(done.stdout)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)\n"
        "sys.exit(done.returncode)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=bench.folder,
        env=bench.environment,
        stdout=subprocess.PIPE,
        check=True,
    )
    *lines, memory = done.stdout.splitlines()
    ends = [event["time"] for event in map(json.loads, lines) if event["event"] == "step-finished"]
    bench.report("a recipe of 1,000 steps: each of the first 100", (ends[100] - ends[0]) / 100)
    bench.report("each of the last 100", (ends[-1] - ends[-101]) / 100, target=12)
    bench.report("memory of that build", float(memory), unit="MB", target=80)
    bench.report("run the image of 1,000 steps", bench.envbuild("run", "long", "--", "true"))
    for name in BUILDERS:
        if peer := bench.peers.get(name):
            try:
                bench.call(peer.build(_runs(140), bench.folder / name, name="deep"), peer)
                print(f"{name} builds 140 steps")
            except Missing as reason:
                print(f"{name} fails with 140 steps: {str(reason).splitlines()[-1][:150]}")


def copies(bench: Bench) -> None:
    folder = bench.folder / "files"
    _fill(folder, 10_000, 10_240)
    recipe = bench.recipe("copy", ["copy files/ -> /files/"])
    first = {}
    for name in BUILDERS:
        if peer := bench.peers.get(name):
            (peer.folder / "files").symlink_to(folder)
            first[name] = bench.call(peer.build(["COPY files /files"], bench.folder, name="copy"), peer)
    bench.report("`copy` of 10,000 files (100 MB), first", bench.call([*ENVBUILD, "build", recipe]), first)

    def of_peers(before: object = None, runs: int = 3) -> dict[str, list[float]]:
        taken = {}
        for name in BUILDERS:
            if peer := bench.peers.get(name):
                words = peer.build(["COPY files /files"], bench.folder, name="copy")
                taken[name] = bench.time(words, before or (lambda: None), peer, runs)  # type: ignore[arg-type]
        return taken

    bench.report("the same, unchanged", bench.envbuild("build", recipe), of_peers(), target=150)
    edited = folder / "d7" / "f7"

    def edit() -> None:
        edited.write_bytes(os.urandom(16))
        time.sleep(0.2)

    objects = _objects(bench)
    taken = bench.envbuild("build", recipe, before=edit)
    added = (_objects(bench) - objects) / (bench.runs + 1)
    bench.report("the same, one file edited", taken, of_peers(edit, 2), target=300)
    bench.report("files that such an edit adds to the store", added, unit="files", target=1)
    _fill(bench.folder / "more", 50_000, 1024)
    recipe = bench.recipe("copy50", ["copy more/ -> /files/"])
    bench.call([*ENVBUILD, "build", recipe])
    peers = {}
    if peer := bench.peers.get("BuildKit"):
        words = peer.build(["COPY more /files"], bench.folder, name="copy50")
        peers["BuildKit"] = bench.time(words, peer=peer, runs=3)
    bench.report("`copy` of 50,000 files, unchanged", bench.envbuild("build", recipe), peers, target=450)


def starts(bench: Bench) -> None:
    recipe = bench.recipe("start", _echoes(3))
    bench.call([*ENVBUILD, "build", recipe])
    python = min(bench.time([sys.executable, "-c", "pass"]))
    whole = bench.envbuild("run", "start", "--", "true", runs=3 * bench.runs)
    peers = {}
    for name, peer in bench.peers.items():
        if words := peer.run("start"):
            try:
                if name != "bwrap":
                    bench.call(peer.build(_runs(3), bench.folder / name, name="start"), peer)
                peers[name] = bench.time(words, peer=peer)
            except Missing as reason:
                print(f"{name} can't run here: {str(reason).splitlines()[-1][:150]}")
    bench.report("`envbuild run IMAGE -- true`, all of it", whole, peers)
    bench.report("the same, beside the interpreter's start", [taken - python for taken in whole], target=30)


def _echoes(count: int) -> list[str]:
    return [f"run echo {number} > /f{number}" for number in range(count)]


def _runs(count: int) -> list[str]:
    return [f"RUN echo {number} > /f{number}" for number in range(count)]


def _fill(folder: Path, count: int, size: int) -> None:
    for number in range(count):
        path = folder / f"d{number % 100}" / f"f{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(16) * (size // 16))
    time.sleep(0.3)


def _objects(bench: Bench) -> int:
    return sum(len(names) for _, _, names in os.walk(bench.folder / "store/objects"))


if __name__ == "__main__":
    main()

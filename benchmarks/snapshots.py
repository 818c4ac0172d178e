"""The snapshot of a layer as apt leaves one: 133 MB in 4,166 files, beside the sha256 of each as the floor.

Into an empty store, into one that holds other layers of this kind but none of these files, and once more into the same,
where nothing is left to be stored.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.peers import Missing

FILES, BYTES = 4_166, 133_000_000
# Runs a build and writes how long each snapshot took.
DRIVER = """
import sys, time
import envbuild.store.snapshot as snapshot
real = snapshot.take
def take(*arguments, **named):
    started = time.perf_counter()
    try:
        return real(*arguments, **named)
    finally:
        print("snapshot", time.perf_counter() - started, file=sys.stderr)
snapshot.take = take
from envbuild.cli.main import run
sys.exit(run(sys.argv[1:]))
"""


def measure(bench: Bench) -> None:
    """Report the three snapshots, each of several files' sets."""
    folder = bench.folder / "packages"
    # Read from a mount and written by the step, as a package manager does; the copy is not timed.
    recipe = bench.recipe("packages", ["run(mount=packages:/packages) cp -a /packages /installed"])
    empty, new, known, hashes = [], [], [], []
    used = str(bench.folder / "used")
    for number in range(4):
        _fill(folder, seed=number)
        hashes.append(_hash(folder))
        store = str(bench.folder / f"empty{number}")
        empty.append(_snapshot(bench, recipe, store))
        subprocess.run(["rm", "-rf", store], check=True)
        new.append(_snapshot(bench, recipe, used))
        known.append(_snapshot(bench, recipe, used, "--no-cache"))
    what = f"snapshot of {BYTES // 1_000_000} MB in {FILES:,} files"
    bench.report("sha256 of each of these files", hashes)
    bench.report(what, empty, target=300)
    # The first one found the store empty.
    bench.report("the same, of content that a used store has never seen", new[1:])
    bench.report("the same, of content that the store has", known)


def _hash(folder: Path) -> float:
    paths = [os.path.join(where, name) for where, _, names in os.walk(folder) for name in names]
    for path in paths:
        Path(path).read_bytes()
    started = time.perf_counter()
    for path in paths:
        sha256(Path(path).read_bytes()).hexdigest()
    return time.perf_counter() - started


def _snapshot(bench: Bench, recipe: str, store: str, *options: str) -> float:
    """Return the seconds of the snapshot in a build of one step."""
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, "build", recipe, *options],
        cwd=bench.folder,
        env={**bench.environment, "ENVBUILD_STORE": store},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Missing(f"build {recipe}: {done.stderr.strip()[-300:]}")
    (seconds,) = [float(line.split()[1]) for line in done.stderr.splitlines() if line.startswith("snapshot ")]
    return seconds


def _fill(folder: Path, seed: int) -> None:
    """Write files of sizes as packages have them: most small, some large. Another seed has the same sizes."""
    randomness = random.Random(1)
    sizes = [randomness.lognormvariate(8.6, 1.8) for _ in range(FILES)]
    scale = BYTES / sum(sizes)
    randomness.seed(f"content {seed}")
    for number, size in enumerate(sizes):
        path = folder / f"d{number % 300}" / f"f{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(randomness.randbytes(int(size * scale)))

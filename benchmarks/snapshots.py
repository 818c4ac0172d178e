"""The snapshot of a layer as apt leaves one: 133 MB in 4,166 files, beside the sha256 of each as the floor."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

from benchmarks.bench import Bench

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
    folder = bench.folder / "packages"
    _fill(folder)
    paths = [os.path.join(where, name) for where, _, names in os.walk(folder) for name in names]
    for path in paths:
        Path(path).read_bytes()
    started = time.perf_counter()
    for path in paths:
        sha256(Path(path).read_bytes()).hexdigest()
    print(f"sha256 of each file: {1000 * (time.perf_counter() - started):.0f} ms")
    # Read from a mount and written by the step, as a package manager does; the copy is not timed.
    recipe = bench.recipe("packages", ["run(mount=packages:/packages) cp -a /packages /installed"])
    taken = []
    for number in range(3):
        environment = {**bench.environment, "ENVBUILD_STORE": str(bench.folder / f"fresh{number}")}
        done = subprocess.run(
            [sys.executable, "-c", DRIVER, "build", recipe],
            cwd=bench.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
        )
        taken += [float(line.split()[1]) for line in done.stderr.splitlines() if line.startswith("snapshot ")]
        subprocess.run(["rm", "-rf", environment["ENVBUILD_STORE"]], check=True)
    bench.report(f"snapshot of {BYTES // 1_000_000} MB in {FILES:,} files", taken, target=300)


def _fill(folder: Path) -> None:
    """Sizes as packages have them: most small, some large."""
    randomness = random.Random(1)
    sizes = [randomness.lognormvariate(8.6, 1.8) for _ in range(FILES)]
    scale = BYTES / sum(sizes)
    for number, size in enumerate(sizes):
        path = folder / f"d{number % 300}" / f"f{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(randomness.randbytes(int(size * scale)))

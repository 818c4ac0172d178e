"""How the cost grows: over the steps of a recipe, the files of a copy, and what the store holds already."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from benchmarks.bench import Bench

# Puts a number of made-up steps with a tree each into the store, as builds would have.
FILLER = """
import os, sys
from envbuild.store.step_cache import Source, StepRecord
from envbuild.store.store import Store
from envbuild.tree.entry import DIRECTORY, FILE, Entry
count = int(sys.argv[2])
with Store.open(sys.argv[1]) as store, store.database.transaction():
    have = store.database.row("SELECT count(*) FROM steps")[0]
    for number in range(have, count):
        key = os.urandom(32).hex()
        digest = os.urandom(32).hex()
        inner = store.trees.save([Entry(b"f%d" % n, FILE, 0o644, 0, 0, 0, 9, digest) for n in range(5)])
        tree = store.trees.save([Entry(b"d%d" % number, DIRECTORY, 0o755, 0, 0, 0, 0, inner)])
        source = Source(f"/project/r{number % 97}.env", "1", number % 50, "[" + "x" * 400 + "]")
        store.steps.put(key, StepRecord(tree, digest, 0.1), f"run made up {number}", source)
"""


def measure(bench: Bench) -> None:
    for count in (10, 100, 300, 1000):
        recipe = bench.recipe(f"curve{count}", [f"run echo c{n} > /f{n}" for n in range(count)])
        bench.envbuild("build", recipe, runs=1)
        bench.report(f"rebuild of {count} steps", bench.envbuild("build", recipe, runs=5))
    for count in (1000, 10_000, 30_000):
        folder = bench.folder / f"curve-files{count}"
        for number in range(count):
            path = folder / f"d{number % 100}" / f"f{number}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(os.urandom(16))
        time.sleep(0.3)
        recipe = bench.recipe(f"files{count}", [f"copy {folder.name}/ -> /files/"])
        bench.envbuild("build", recipe, runs=1)
        bench.report(f"`copy` of {count:,} files, unchanged", bench.envbuild("build", recipe, runs=5))
        edited = folder / "d1/f1"

        def edit(path: os.PathLike[str] = edited) -> None:
            with open(path, "wb") as file:
                file.write(os.urandom(16))
            time.sleep(0.15)

        taken = bench.envbuild("build", recipe, before=edit, runs=5)
        bench.report(f"`copy` of {count:,} files, one edited", taken)
    few = bench.recipe("in-full-store", [f"run echo s{n} > /f{n}" for n in range(20)])
    for count in (10, 1000, 100_000):
        store = bench.folder / "curve-store"
        environment = {**bench.environment, "ENVBUILD_STORE": str(store)}
        own = bench.environment
        bench.environment = environment
        try:
            bench.envbuild("build", few, runs=1)
            subprocess.run([sys.executable, "-c", FILLER, store, str(count)], env=environment, check=True)
            bench.report(f"rebuild of 20 steps, {count:,} steps in the store", bench.envbuild("build", few, runs=5))
            number = [0]

            def change(number: list[int] = number) -> None:
                number[0] += 1
                lines = [f"run echo s{n} > /f{n}" for n in range(20)]
                bench.recipe("in-full-store", [*lines, f"run echo {number[0]} {time.time_ns()} > /new"])

            taken = bench.envbuild("build", few, before=change, runs=5)
            bench.report(f"one more step, {count:,} steps in the store", taken)
            bench.recipe("in-full-store", [f"run echo s{n} > /f{n}" for n in range(20)])
        finally:
            bench.environment = own

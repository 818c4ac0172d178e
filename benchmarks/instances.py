"""What instances cost: their start, their memory and disk, a second one of the same files, a command beside one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.bench import ENVBUILD, Bench

COUNT = 100


def measure(bench: Bench) -> None:
    """All rows of this file, on the busybox image."""
    bench.call([*ENVBUILD, "build", bench.recipe("web", ["run echo hello > /file"])])
    _starts(bench)
    _many(bench)
    _clones(bench)


def _starts(bench: Bench) -> None:
    words = [*ENVBUILD, "run", "web", "--", "echo", "x"]
    own = [_first_byte(bench, words) for _ in range(3 * bench.runs + 1)][1:]
    python = min(_first_byte(bench, [sys.executable, "-c", "print(1, flush=True)"]) for _ in range(bench.runs + 1))
    beside = [taken - python for taken in own]
    bench.report("`run`, to the first word of its command, beside the interpreter's to its first", beside, target=30)
    bench.report("`run -d`, until its command was started", bench.envbuild("run", "-d", "--rm", "web", "--", "true"))
    bench.call([*ENVBUILD, "run", "-d", "--name", "one", "web", "--", "sleep", "1000"])
    bench.report("`exec INSTANCE -- true`", bench.envbuild("exec", "one", "--", "true"))
    bench.call([*ENVBUILD, "rm", "-f", "one"])


def _first_byte(bench: Bench, words: Sequence[str]) -> float:
    """Seconds until a command prints something."""
    began = time.perf_counter()
    with subprocess.Popen(words, cwd=bench.folder, env=bench.environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.read(1)
        taken = time.perf_counter() - began
        process.communicate()
    return taken


def _many(bench: Bench) -> None:
    store = bench.folder / "store"
    before = _disk(store)
    names = [f"many-{number}" for number in range(COUNT)]
    for name in names:
        bench.call([*ENVBUILD, "run", "-d", "--name", name, "web", "--", "sleep", "1000"])
    try:
        memory = sum(_memory(state["pid"]) for state in _states(store))
        bench.report(
            f"memory of each of {COUNT} instances, beside its command", memory / COUNT / 1e6, unit="MB", target=12
        )
        bench.report(f"disk of each of {COUNT} instances", (_disk(store) - before) / COUNT / 1e6, unit="MB", target=1)
        bench.report(f"`ps` of {COUNT} instances", bench.envbuild("ps"))
        bench.report(f"`run IMAGE -- true` beside {COUNT} instances", bench.envbuild("run", "web", "--", "true"))
    finally:
        bench.call([*ENVBUILD, "rm", "-f", *names])


def _clones(bench: Bench) -> None:
    """A clone of an instance that wrote 10 MB in 1,000 files, against the same files made again."""
    bench.call([*ENVBUILD, "run", "-d", "--name", "first", "web", "--", "sleep", "1000"])
    script = "mkdir /d; for i in $(seq 1000); do head -c 10000 /dev/urandom > /d/$i; done"
    bench.call([*ENVBUILD, "exec", "first", "--", "sh", "-c", script])
    made = [f"clone-{number}" for number in range(bench.runs + 1)]
    taken = [bench.call([*ENVBUILD, "clone", "first", "--name", name]) for name in made]
    bench.report("`clone` of an instance that wrote 10 MB in 1,000 files, the first time", taken[0])
    bench.report("the same, once more", taken[1:])
    bench.call([*ENVBUILD, "rm", "-f", "first", *made])


def _states(store: Path) -> list[dict[str, int]]:
    found = [json.loads(path.read_text()) for path in store.glob("instances/*/state.json")]
    return [one for one in found if one["status"] == "running"]


def _memory(first: int) -> int:
    """Bytes that belong to process 1 of an instance and the supervisor above it, each page by its share (Pss)."""
    total, pid = 0, first
    for _ in range(2):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
        status = dict(
            line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line
        )
        pid = int(status["PPid"])
    return total


def _disk(folder: Path) -> int:
    seen = set()
    total = 0
    for path, folders, files in os.walk(folder):
        for name in (*folders, *files):
            status = os.lstat(os.path.join(path, name))
            if status.st_ino not in seen:
                seen.add(status.st_ino)
                total += status.st_blocks * 512
    return total

"""A bisect over 200 packages that moved in a tree of 30,000 files: what a candidate costs before the test runs in it,
and a whole search beside the time that the test itself takes.

As few as ten files of each package differ, and then all hundred of them.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.peers import Missing

PACKAGES, MOVED, FILES = 300, 200, 100
GUILTY = 137
TEST = f"! grep -q 2.0 /usr/lib/part{GUILTY:03}/file000"
RUN_LIMIT = 0.040
"""Seconds that a run may take beside its test."""
# Runs a bisect and writes how long each candidate took to be put together, and each run of the test.
DRIVER = """
import sys, time
import envbuild.bisect.bisect as search
from envbuild.bisect.probe import Prober
def timed(owner, name, word):
    real = getattr(owner, name)
    def call(*arguments, **named):
        started = time.perf_counter()
        try:
            return real(*arguments, **named)
        finally:
            print(word, time.perf_counter() - started, file=sys.stderr)
    setattr(owner, name, call)
timed(search._Bisection, "_candidate", "candidate")
timed(Prober, "request", "request")
timed(Prober, "run", "run")
from envbuild.cli.main import run
sys.exit(run(sys.argv[1:]))
"""


def measure(bench: Bench) -> None:
    """Report candidates and whole searches."""
    for changed in (10, FILES):
        name = f"moved{changed}"
        _build(bench, name, changed)
        what = f"{MOVED} packages of {FILES} files moved, {changed} of each differ"
        candidates, runs, whole, taken = [], [], [], []
        for number in range(max(2, bench.runs)):
            began = time.perf_counter()
            figures = _bisect(bench, name, f"true {number}; {TEST}")
            whole.append(time.perf_counter() - began)
            count = len(figures["run"])
            candidates.append((sum(figures["candidate"]) + sum(figures["request"])) / count)
            runs += figures["run"]
            taken.append(whole[-1] / count)
        bench.report(f"{what}: a candidate put together, mean of a search", candidates[1:], target=15)
        bench.report("a run of the test in it, mount included", runs)
        bench.report("a whole search", whole[1:], unit="s")
        bench.report(f"a whole search for each of its {count} runs", taken[1:], target=RUN_LIMIT * 1000)


def _bisect(bench: Bench, name: str, test: str) -> dict[str, list[float]]:
    words = [sys.executable, "-c", DRIVER, "bisect", f"{name}:good", f"{name}:bad", "-j", "1", "--", "sh", "-c", test]
    done = subprocess.run(
        words, cwd=bench.folder, env=bench.environment, capture_output=True, text=True, check=False, timeout=600
    )
    if done.returncode != 0 or f"part{GUILTY:03}" not in done.stdout:
        raise Missing(f"bisect: {done.stdout}{done.stderr}"[-500:])
    figures: dict[str, list[float]] = {"candidate": [], "request": [], "run": []}
    for line in done.stderr.splitlines():
        word, _, seconds = line.partition(" ")
        if word in figures:
            figures[word].append(float(seconds))
    return figures


def _build(bench: Bench, name: str, changed: int) -> None:
    """Build the two environments."""
    for tag in ("good", "bad"):
        folder = bench.folder / "root"
        shutil.rmtree(folder, ignore_errors=True)
        _fill(folder, changed if tag == "bad" else 0)
        recipe = bench.recipe(name, ["copy root/ -> /"])
        bench.call([sys.executable, "-m", "envbuild", "build", recipe, "--tag", f"{name}:{tag}"])


def _fill(folder: Path, changed: int) -> None:
    """Write the files and the records of the packages; of those that moved, so many files are of the new version."""
    info = folder / "var/lib/dpkg/info"
    info.mkdir(parents=True)
    stanzas = []
    for number in range(PACKAGES):
        package = f"part{number:03}"
        moved = bool(changed) and number < MOVED
        inner = folder / "usr/lib" / package
        inner.mkdir(parents=True)
        sums, listed = [], ["/."]
        for file in range(FILES):
            path = inner / f"file{file:03}"
            content = f"{package} {file} {'2.0' if moved and file < changed else '1.0'}\n"
            path.write_text(content)
            shown = path.relative_to(folder)
            sums.append(f"{hashlib.md5(content.encode()).hexdigest()}  {shown}")
            listed.append(f"/{shown}")
        (info / f"{package}.list").write_text("\n".join(listed) + "\n")
        (info / f"{package}.md5sums").write_text("\n".join(sums) + "\n")
        version = "2.0-1" if moved else "1.0-1"
        stanzas.append(
            f"Package: {package}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {version}\n"
            f"Description: part\n"
        )
    (folder / "var/lib/dpkg/status").write_text("\n".join(stanzas))

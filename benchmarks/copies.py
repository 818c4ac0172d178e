"""`copy` of many files: the first time, unchanged, one of them edited, all of them new."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.bench import ENVBUILD, Bench
from benchmarks.peers import BUILDERS

FILES, SIZE = 10_000, 10_240


def measure(bench: Bench) -> None:
    """Report copies of 10,000 files (100 MB) and of 50,000 small ones."""
    folder = bench.folder / "files"
    fill(folder, FILES, SIZE)
    recipe = bench.recipe("copy", ["copy files/ -> /files/"])
    for name in BUILDERS:
        if peer := bench.peers.get(name):
            (peer.folder / "files").symlink_to(folder)

    def report(what: str, before: Callable[[], None], runs: int, target: float | None = None) -> None:
        """Report builds in turn, each after `before`; the first time counts where there is no other."""
        builds: dict[str, Callable[[], float]] = {"own": lambda: bench.call([*ENVBUILD, "build", recipe])}
        for name in BUILDERS:
            if peer := bench.peers.get(name):
                words = peer.build(["COPY files /files"], bench.folder, name="copy")
                builds[name] = lambda words=words, peer=peer: bench.call(words, peer)  # type: ignore[misc]
        taken = bench.in_turn(builds, runs, before)
        bench.report(what, taken.pop("own"), dict(taken), target)

    edited = folder / "d7" / "f7"

    def edit() -> None:
        edited.write_bytes(os.urandom(16))
        time.sleep(0.2)

    report(f"`copy` of {FILES:,} files (100 MB), first", lambda: None, 0)
    report("the same, unchanged", lambda: None, 3, target=150)
    objects = _objects(bench)
    report("the same, one file edited", edit, 3, target=300)
    bench.report("files that such an edit adds to the store", (_objects(bench) - objects) / 4, unit="files", target=1)
    report("the same, all files new to the store", lambda: fill(folder, FILES, SIZE), 2)
    fill(bench.folder / "more", 50_000, 1024)
    recipe = bench.recipe("copy50", ["copy more/ -> /files/"])
    bench.call([*ENVBUILD, "build", recipe])
    builds: dict[str, Callable[[], float]] = {"own": lambda: bench.call([*ENVBUILD, "build", recipe])}
    if peer := bench.peers.get("BuildKit"):
        words = peer.build(["COPY more /files"], bench.folder, name="copy50")
        builds["BuildKit"] = lambda: bench.call(words, peer)
    taken = bench.in_turn(builds, 3)
    bench.report("`copy` of 50,000 files, unchanged", taken.pop("own"), dict(taken), target=450)


def fill(folder: Path, count: int, size: int) -> None:
    """Write files of random content, in 100 directories."""
    for number in range(count):
        path = folder / f"d{number % 100}" / f"f{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(16) * (size // 16))
    time.sleep(0.3)


def _objects(bench: Bench) -> int:
    return sum(len(names) for _, _, names in os.walk(bench.folder / "store/objects"))

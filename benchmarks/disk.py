"""The same packages unpacked in ten orders in ten recipes: what each tool takes on disk."""

from __future__ import annotations

import os
import random
import tarfile
from pathlib import Path

from benchmarks.bench import ENVBUILD, Bench
from benchmarks.peers import BUILDERS, disk_of

PACKAGES, EACH, FILES = 10, 13_700_000, 400


def measure(bench: Bench) -> None:
    folder = bench.folder / "debs"
    _make(folder)
    # The peers have their base already: ours is not part of what the packages take either.
    bench.call([*ENVBUILD, "build", bench.recipe("order-base", ["run true"])])
    before = disk_of(bench.folder / "store")
    randomness = random.Random(2)
    orders = [randomness.sample(range(PACKAGES), PACKAGES) for _ in range(10)]
    for number, order in enumerate(orders):
        lines = [f"run(mount=debs:/debs) tar -xf /debs/p{package}.tar -C /" for package in order]
        bench.call([*ENVBUILD, "build", bench.recipe(f"order{number}", lines)])
    own = (disk_of(bench.folder / "store") - before) / 1e6
    peers = {}
    for name in BUILDERS:
        if peer := bench.peers.get(name):
            start = peer.disk()
            for number, order in enumerate(orders):
                lines = [f"ADD p{package}.tar /" for package in order]
                bench.call(peer.build(lines, folder, name=f"order{number}"), peer)
            peers[name] = (peer.disk() - start) / 1e6
    bench.report(f"{PACKAGES * EACH / 1e6:.0f} MB of packages in ten orders, disk", own, peers, target=150, unit="MB")


def _make(folder: Path) -> None:
    folder.mkdir()
    randomness = random.Random(3)
    for package in range(PACKAGES):
        root = folder / "root"
        with tarfile.open(folder / f"p{package}.tar", "w") as archive:
            for number in range(FILES):
                root.write_bytes(randomness.randbytes(EACH // FILES))
                os.utime(root, (1_600_000_000, 1_600_000_000))
                archive.add(root, f"usr/lib/p{package}/f{number}")
        root.unlink()

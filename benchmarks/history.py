"""Comparing images, going back, reading histories: against docker's way, which is to export both and compare."""

from __future__ import annotations

import hashlib
import io
import random
import subprocess
import sys
import tarfile
import time
from pathlib import Path

from benchmarks.bench import ENVBUILD, Bench
from benchmarks.peers import Missing

# Puts two images into the store whose trees have so many files and differ in so many.
FILLER = """
import sys
from envbuild.plan.image_config import Facts, dump, image_digest
from envbuild.store.images import Image
from envbuild.store.store import Store
from envbuild.tree.diff import Change
from envbuild.tree.entry import FILE, Entry
import hashlib, time
count, different, name, seed = int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5]
def content(number, side):
    differs = different < 0 or (number % max(1, count // max(1, different)) == 0 and different)
    return f"{seed if different < 0 else ''}{number}{side if differs else ''}".encode()
with Store.open(sys.argv[1]) as store:
    for side in ("a", "b"):
        builder = store.builder()
        with store.database.transaction():
            for number in range(count):
                text = content(number, side)
                entry = Entry(b"", FILE, 0o644, 0, 0, 0, len(text), hashlib.sha256(text).hexdigest())
                # Without contents: a comparison of trees reads none.
                builder._entries[b"usr/share/d%d/d%d/f%d" % (number // 3000, number // 60, number)] = entry
            tree = builder.finish()
        facts = Facts("amd64", 0)
        image = Image(image_digest(tree, facts), tree, dump(facts), "{}", time.time())
        store.images.put(image)
        store.tags.move([(name, side)], image.digest, "tag")
"""

ENTRIES = """
import sys
from envbuild.store.store import Store
with Store.open(sys.argv[1]) as store:
    images = [store.tags.image_of("n30000", side) for side in "ab"]
    with store.database.transaction():
        for number in range(int(sys.argv[2])):
            store.tags._record("long", "latest", images[number % 2], 1e9 + number, "build", '{"recipe": "web.env"}')
        store.database.write("INSERT INTO tags VALUES ('long', 'latest', ?, 1e9, 0)", (images[1],))
"""


def measure(bench: Bench) -> None:
    store = str(bench.folder / "store")
    bench.call([*ENVBUILD, "build", bench.recipe("first", ["run true"])])
    for count in (10_000, 30_000, 100_000, 500_000):
        _fill(bench, count, 10, f"n{count}")
        own = bench.time_ending(1, [*ENVBUILD, "diff", f"n{count}:a", f"n{count}:b"])
        peers = {}
        if count == 10_000 and "BuildKit" in bench.peers:
            peers["docker export, compare"] = _docker(bench, count)
        bench.report(f"`diff`, 10 of {count:,} files differ", own, peers, target=100)
    _fill(bench, 30_000, 3_000, "tenth")
    own = bench.time_ending(1, [*ENVBUILD, "diff", "tenth:a", "tenth:b"])
    bench.report("`diff`, 3,000 of 30,000 files differ", own)
    _fill(bench, 30_000, -1, "other", seed="x")
    own = bench.time_ending(1, [*ENVBUILD, "diff", "n30000:a", "other:b"])
    bench.report("`diff` of two unrelated images of 30,000 files", own)
    own = bench.envbuild("tag", "n30000:a", "moving:here", before=lambda: _move(bench, "n30000:b"))
    bench.report("`tag`", own, target=80)
    own = bench.envbuild("rollback", "moving:here", before=lambda: _move(bench, "n30000:a", "n30000:b"))
    bench.report("`rollback`", own, target=80)
    subprocess.run([sys.executable, "-c", ENTRIES, store, "10000"], env=bench.environment, check=True)
    first = bench.time(["sh", "-c", f"{' '.join(ENVBUILD)} log long | head -n 50"])
    bench.report("`log` of 10,000 entries, the first screen", first)
    bench.report("`log` of 10,000 entries, whole", bench.envbuild("log", "long", runs=3))


def _fill(bench: Bench, count: int, different: int, name: str, seed: str = "") -> None:
    words = [sys.executable, "-c", FILLER, str(bench.folder / "store"), str(count), str(different), name, seed]
    subprocess.run(words, env=bench.environment, check=True)


def _move(bench: Bench, *images: str) -> None:
    for image in images:
        bench.call([*ENVBUILD, "tag", image, "moving:here"])


def _docker(bench: Bench, count: int) -> list[float]:
    """Seconds to export two images of so many small files, and to compare the archives by path and content."""
    peer = bench.peers["BuildKit"]
    randomness = random.Random(5)
    texts = [randomness.randbytes(2000) for _ in range(count)]
    for side in "ab":
        with tarfile.open(bench.folder / f"side-{side}.tar", "w") as archive:
            for number, text in enumerate(texts):
                changed = text[:-1] + side.encode() if number % (count // 10) == 0 else text
                info = tarfile.TarInfo(f"usr/share/d{number // 60}/f{number}")
                info.size = len(changed)
                archive.addfile(info, io.BytesIO(changed))
        peer.import_archive(bench.folder / f"side-{side}.tar", f"side-{side}")
    taken = []
    for _ in range(3):
        started = time.perf_counter()
        contents = [_exported(peer, bench.folder, side) for side in "ab"]
        differing = set(contents[0].items()) ^ set(contents[1].items())
        taken.append(time.perf_counter() - started)
        if len(differing) != 20:
            raise Missing(f"docker's images differ in {len(differing) / 2} files")
    return taken


def _exported(peer: object, folder: Path, side: str) -> dict[str, str]:
    call = peer.call  # type: ignore[attr-defined]
    container = call(["/usr/bin/docker", "create", f"side-{side}", "true"]).strip()
    path = folder / f"export-{side}.tar"
    call(["/usr/bin/docker", "export", "-o", str(path), container])
    call(["/usr/bin/docker", "rm", container])
    found = {}
    with tarfile.open(path) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() else None
            found[member.name] = hashlib.sha256(file.read()).hexdigest() if file else ""
    return {name: digest for name, digest in found.items() if name.startswith("usr/share/")}

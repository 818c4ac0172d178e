"""Work inside an instance against the same work outside: one Debian image, one program, its own Python in both.

Outside is a plain copy of the image's files on the same disk, entered with chroot (so this needs root). All are run in
turn, round after round, and each round's figures are divided by that round's figures of outside.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.bench import ENVBUILD, Bench
from benchmarks.peers import Missing

RECIPE = ("from debian:bookworm", "apt python3 git")
STEPS = 40
"""`run` steps of the image that is deep."""
FILES, CALLS = 105, 101
TARGETS = {
    **dict.fromkeys(("stat", "walk", "read", "open", "git"), FILES),
    **dict.fromkeys(("calls", "pipe", "cpu"), CALLS),
}
NAMES = {
    "stat": "stat of all files",
    "walk": "os.walk and lstat",
    "read": "open, read and close of all files",
    "open": "open and close of all files",
    "git": "git hashes 2,000 files",
    "calls": "getppid, the cheapest call",
    "pipe": "write and read of a pipe",
    "cpu": "arithmetic in Python",
}
LOAD = r"""
import json, os, subprocess, sys, time
ROOTS = ("/usr", "/etc", "/var/lib")
files = [f"{where}/{name}" for root in ROOTS for where, _, names in os.walk(root) for name in names]
files = [path for path in files if os.path.isfile(path) and not os.path.islink(path)]

def stat():
    for path in files: os.stat(path)
def walk():
    for root in ROOTS:
        for where, _, names in os.walk(root):
            for name in names: os.lstat(f"{where}/{name}")
def read():
    for path in files:
        opened = os.open(path, os.O_RDONLY)
        while os.read(opened, 131072): pass
        os.close(opened)
def open_():
    for path in files: os.close(os.open(path, os.O_RDONLY))
def git():
    names = "\n".join(files[:2000]).encode()
    subprocess.run(["git", "hash-object", "--no-filters", "--stdin-paths"], input=names, stdout=subprocess.DEVNULL,
                   check=True)
def calls():
    for _ in range(200000): os.getppid()
def pipe():
    reading, writing = os.pipe()
    for _ in range(20000): os.write(writing, b"x"); os.read(reading, 1)
    os.close(reading); os.close(writing)
def cpu():
    at = 0
    for number in range(400000): at = (at * 31 + number) & 0xFFFFFF

found = {"files": len(files)}
for work in (stat, walk, read, open_, git, calls, pipe, cpu):
    work()
    taken = []
    for _ in range(5):
        began = time.perf_counter(); work(); taken.append(time.perf_counter() - began)
    found[work.__name__.strip("_")] = min(taken)
print(json.dumps(found))
"""
_FOLD = """
import sys
from envbuild.build.named_image import find_image
from envbuild.sandbox.user_namespace import enter_user_namespace
from envbuild.store.store import Store
enter_user_namespace()
with Store.open(sys.argv[1]) as store:
    tree = find_image(store, sys.argv[2]).tree
    store.layers(tree); store.stacks.fold(tree)
    print(store.layers(tree)[0])
"""


def measure(bench: Bench) -> None:
    if os.geteuid() != 0:
        bench.leave_out("work inside", "outside is a chroot, which takes root")
        return
    try:
        ways = _prepare(bench)
    except Missing as reason:
        bench.leave_out("work inside", reason)
        return
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
    for number in range(bench.runs + 1):
        for name in list(ways)[:: -1 if number % 2 else 1]:
            figures = _load(bench, ways[name])
            if number:
                rounds[name].append(figures)
    outside = rounds.pop("outside")
    print(f"{outside[0]['files']:.0f} files")
    ratios = {
        name: {
            work: [100 * mine[work] / plain[work] for mine, plain in zip(found, outside, strict=True)] for work in NAMES
        }
        for name, found in rounds.items()
    }
    peers = [name for name in ("docker", "bwrap") if name in ratios]
    for work, what in NAMES.items():
        for name in [one for one in ratios if one not in peers]:
            label = f"{what}, {name}"
            others = {peer: ratios[peer][work] for peer in peers} if name == "read-only" else None
            bench.report(label, ratios[name][work], others, TARGETS[work], unit="% of outside")
    _disk(bench)


def _prepare(bench: Bench) -> dict[str, Sequence[str]]:
    """The words before the command, for each way to run it."""
    for name, more in (("inside", []), ("deep", [f"run echo {n} > /srv/f{n}" for n in range(STEPS)])):
        (bench.folder / f"{name}.env").write_text("\n".join([f"recipe {name}", *RECIPE, *more, ""]))
        bench.call([*ENVBUILD, "build", f"{name}.env"])
    plain = bench.folder / "plain"
    root = str(Path(__file__).parents[1])
    words = [sys.executable, "-c", _FOLD, str(bench.folder / "store"), "inside"]
    done = subprocess.run(words, env={**bench.environment, "PYTHONPATH": root}, capture_output=True, text=True)
    if done.returncode:
        raise Missing(done.stderr[-300:])
    checkout = done.stdout.strip()
    subprocess.run(["cp", "-a", checkout, plain], check=True)
    for name, minor in (("null", 3), ("zero", 5)):
        os.mknod(plain / "dev" / name, 0o20666, os.makedev(1, minor))
    ways: dict[str, Sequence[str]] = {
        "outside": ["chroot", str(plain)],
        "outside, in the store's own checkout": [
            *("unshare", "--mount", "sh", "-c"),
            f'mount --bind /dev {checkout}/dev && exec chroot {checkout} "$@"',
            "sh",
        ],
        "read-only": [*ENVBUILD, "run", "--read-only", "inside", "--"],
        "read-only, unfiltered": [*ENVBUILD, "run", "--read-only", "--unfiltered", "inside", "--"],
        "writable with /usr and /var/lib fixed": [
            *(*ENVBUILD, "run", "--fixed", "/usr", "--fixed", "/var/lib", "inside", "--")
        ],
        "writable": [*ENVBUILD, "run", "inside", "--"],
        f"writable, {STEPS + 2} layers": [*ENVBUILD, "run", "deep", "--"],
    }
    if "bwrap" in bench.peers:
        ways["bwrap"] = ["bwrap", "--unshare-all", "--bind", str(plain), "/", "--proc", "/proc", "--dev", "/dev"]
    peer = bench.peers.get("BuildKit")
    if peer is not None:
        with tempfile.NamedTemporaryFile(suffix=".tar", dir=bench.folder) as archive:
            subprocess.run(["tar", "-C", plain, "-cf", archive.name, "."], check=True)
            try:
                peer.import_archive(Path(archive.name), "inside")
                ways["docker"] = [*(peer.run("inside") or [])[:-1]]
                _load(bench, ways["docker"])
            except Missing as reason:
                ways.pop("docker", None)
                print(f"docker can't run here: {str(reason).splitlines()[-1][:150]}")
    return ways


def _load(bench: Bench, words: Sequence[str]) -> dict[str, float]:
    peer = bench.peers.get("BuildKit")
    environment = {**bench.environment, **(peer.environment() if peer else {})}
    done = subprocess.run(
        [*words, "/usr/bin/python3", "-c", LOAD],
        cwd=bench.folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Missing(f"{' '.join(words[:4])}: {done.stderr.strip()[-300:]}")
    return dict(json.loads(done.stdout))


def _disk(bench: Bench, count: int = 20) -> None:
    """What each of many instances takes, beside the image."""
    folder = bench.folder / "store/instances"
    before = _size(folder)
    names = [f"many{number}" for number in range(count)]
    for name in names:
        bench.call([*ENVBUILD, "run", "-d", "--name", name, "inside", "--", "sleep", "600"])
    time.sleep(0.5)
    each = (_size(folder) - before) / count / 1e6
    for name in names:
        bench.call([*ENVBUILD, "rm", "--force", name])
    bench.report(f"disk of each of {count} instances of it", each, target=1, unit="MB")


def _size(folder: Path) -> int:
    if not folder.exists():
        return 0
    return sum(os.lstat(os.path.join(where, name)).st_blocks * 512 for where, a, b in os.walk(folder) for name in a + b)

"""Captures of a root of 100,000 files and 3 GB, copied from this machine's own /usr, beside `borg create`, `restic
backup`, and the least that can be done: tar into a sum of everything.

    python benchmarks/spine.py --only capture

Each first capture, of whichever program, goes to a storage of its own that is empty. The files are in the page cache
for all of them. borg and restic are told not to encrypt (restic can't), and borg not to compress is not told: both
compress, which is theirs to win or lose.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from benchmarks.bench import ENVBUILD, Bench, Seconds
from benchmarks.peers import Missing

FILES, BYTES = 100_000, 3 << 30
CHANGED = 50
DIFF_LIMIT, MEMORY_LIMIT = 100, 150
PASSWORD = {"RESTIC_PASSWORD": "benchmark", "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes"}


def measure(bench: Bench) -> None:
    """Report first captures, those after none and after some changes, a comparison, and the memory."""
    root = bench.folder / "root"
    files, size = _make_root(root)
    what = f"{files:,} files, {size / 1e9:.1f} GB"
    backups = _programs(bench, root)
    bench.environment |= PASSWORD
    first = bench.in_turn({name: program.first for name, program in backups.items()}, runs=bench.runs - 1)
    bench.report(f"first capture of {what}", first.pop("envbuild"), first, unit="s")
    again = bench.in_turn({name: program.again for name, program in backups.items() if program.again})
    _report_next(bench, f"next capture of {what}, nothing changed", again)
    changes = iter(range(1000))
    names = _some_files(root)
    changed = bench.in_turn(
        {name: program.again for name, program in backups.items() if program.again},
        before=lambda: _change(names, next(changes)),
    )
    _report_next(bench, f"next capture, {CHANGED} files changed", changed)
    words = [*ENVBUILD, "diff", "bench@{1}", "bench", "--no-pager"]
    bench.report(f"diff of two captures of {what}, {CHANGED} differ", bench.time_ending(1, words), target=DIFF_LIMIT)
    bench.report("memory of a first capture, all processes", _memory(bench, root), target=MEMORY_LIMIT, unit="MB")


def _report_next(bench: Bench, what: str, taken: dict[str, list[float]]) -> None:
    own = taken.pop("envbuild")
    fastest = min((sorted(values)[len(values) // 2] for values in taken.values()), default=0.0)
    bench.report(what, own, taken, target=round(fastest * 500) or None)


class _Program:
    """One program: its first capture into an empty storage, and one more into the same; None if it keeps nothing."""

    def __init__(self, first: Callable[[], Seconds], again: Callable[[], Seconds] | None = None) -> None:
        self.first = first
        self.again = again


def _programs(bench: Bench, root: Path) -> dict[str, _Program]:
    store = bench.folder / "store"
    capture = [*ENVBUILD, "capture", "bench", "--root", str(root)]

    def first() -> Seconds:
        shutil.rmtree(store, ignore_errors=True)
        return bench.call(capture)

    programs = {"envbuild": _Program(first, lambda: bench.call(capture))}
    tar = ["sh", "-c", f"tar -C {root} -cf - . | sha256sum"]
    programs["tar | sha256sum"] = _Program(lambda: bench.call(tar))
    for name, new, backup in (
        ("borg", ["init", "-e", "none"], lambda place: ["create", f"{place}::{os.urandom(4).hex()}", "."]),
        ("restic", ["init", "-q"], lambda place: ["backup", "-q", "."]),
    ):
        if shutil.which(name) is None:
            bench.leave_out(name, "it is not installed (apt install borgbackup restic)")
            continue
        programs[name] = _peer(bench, root, name, new, backup)
    return programs


def _peer(bench: Bench, root: Path, name: str, new: list[str], backup: Callable[[Path], list[str]]) -> _Program:
    place = bench.folder / f"{name}-storage"
    option = ["-r", str(place)] if name == "restic" else []

    def again() -> Seconds:
        words = " ".join([name, *option, *backup(place)])
        return bench.call(["sh", "-c", f"cd {root} && exec {words}"])

    def first() -> Seconds:
        shutil.rmtree(place, ignore_errors=True)
        for cache in (".cache", ".config"):
            shutil.rmtree(bench.folder / cache, ignore_errors=True)
        bench.call([name, *option, *new, *([] if option else [str(place)])])
        return again()

    return _Program(first, again)


def _make_root(root: Path) -> tuple[int, int]:
    """Copy files of /usr until there are enough of them; what is left to the size goes into a few large ones."""
    files = size = 0
    for folder, _, names in os.walk("/usr"):
        inner = root / folder.lstrip("/")
        inner.mkdir(parents=True, exist_ok=True)
        for name in sorted(names):
            path = Path(folder, name)
            status = path.lstat()
            if path.is_symlink():
                (inner / name).symlink_to(os.readlink(path))
            elif path.is_file() and files < FILES and size + status.st_size < BYTES:
                shutil.copy2(path, inner / name)
                files += 1
                size += status.st_size
    for number in range((BYTES - size) // (16 << 20)):
        (root / f"large{number}").write_bytes(os.urandom(16 << 20))
        size += 16 << 20
        files += 1
    if files < FILES // 2:
        raise Missing(f"/usr of this machine has {files:,} files")
    return files, size


def _some_files(root: Path) -> list[Path]:
    files = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
    return sorted(files)[:: len(files) // CHANGED][:CHANGED]


def _change(files: list[Path], number: int) -> None:
    for file in files:
        with file.open("ab") as opened:
            opened.write(b"%d\n" % number)


def _memory(bench: Bench, root: Path) -> float:
    """Return the most that a first capture takes, its readers included, in MB."""
    shutil.rmtree(bench.folder / "store", ignore_errors=True)
    words = [*ENVBUILD, "capture", "bench", "--root", str(root), "--format", "json"]
    process = subprocess.Popen(
        words, cwd=bench.folder, env=bench.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    most = 0
    while process.poll() is None:
        most = max(most, sum(_proportional(pid) for pid in _tree_of(process.pid)))
        try:
            process.wait(0.1)
        except subprocess.TimeoutExpired:
            continue
    if process.returncode != 0:
        raise Missing(f"capture ended with {process.returncode}")
    return most / 1e3


def _tree_of(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(inner for child in children for inner in _tree_of(int(child)))]


def _proportional(pid: int) -> int:
    """Return the kilobytes of a process, with its share of what others have too (smaps_rollup, proc(5))."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)

"""Which lines and branches of envbuild the tests reach, in all processes that come from pytest's and the fork server's.

With $ENVBUILD_TESTS_COVERAGE, a folder, each such process adds what it alone reached to a file there when it ends: a
few bytes, where coverage's own way of a database for each would cost 150 ms of every command. What can't be seen: a
process behind the root of a sandbox, one that is killed, and those that tests start as a user starts them.

    ENVBUILD_TESTS_COVERAGE=/tmp/reached pytest -n auto; python -m tests.measured /tmp/reached
"""

from __future__ import annotations

import atexit
import marshal
import os
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

from coverage import Coverage

Arcs = dict[str, set]
MARK = bytes.fromhex("9d1ce5b3f04a62d7e88b41a6c2577f3e")
"""Begins a record. Random, so that the next one is found after a record that a kill, or a file's largest size that a
test has set, cut short."""
SETTINGS = Path(__file__).parents[1] / "pyproject.toml"
_coverage: Coverage | None = None
_told: Arcs = {}
"""What this process, or the one that it was forked from, has written down already."""


def start() -> None:
    """Measures from here on, if that is asked for."""
    global _coverage
    if _coverage or not os.environ.get("ENVBUILD_TESTS_COVERAGE"):
        return
    _coverage = Coverage(config_file=str(SETTINGS), data_file=None)
    _coverage.start()
    # What was reached before a fork is not the child's to tell, too.
    os.register_at_fork(before=tell)
    atexit.register(tell)
    exit_now, execute = os._exit, os.execve

    def tell_and_exit(status: int) -> None:
        tell()
        exit_now(status)

    def tell_and_execute(path: object, words: object, variables: object) -> None:
        tell()
        execute(path, words, variables)  # type: ignore[arg-type]

    os._exit, os.execve = tell_and_exit, tell_and_execute  # type: ignore[assignment]


def tell() -> None:
    """Writes down what was reached since the last time. Never fails: a sandbox has no such folder."""
    if _coverage is None:
        return
    new = {}
    for file, arcs in list(_reached().items()):
        told = _told.get(file)
        # They only grow, and in a command most have not.
        if told is None or len(arcs) != len(told):
            new[file] = arcs - (told or set())
            _told[file] = arcs.copy()
    folder = os.environ.get("ENVBUILD_TESTS_COVERAGE")
    if not new or not folder:
        return
    try:
        content = marshal.dumps(new)
        file = os.open(f"{folder}/reached", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            sizes = len(content).to_bytes(8, "big") + zlib.crc32(content).to_bytes(4, "big")
            os.write(file, MARK + sizes + content)
        finally:
            os.close(file)
    except OSError:
        pass


def _reached() -> Arcs:
    collector = _coverage._collector if _coverage else None
    return collector.data if collector else {}  # type: ignore[return-value]


def records(path: Path) -> Iterator[Arcs]:
    """Reads what each process wrote down, in order, without what is cut short."""
    content = path.read_bytes()
    start, cut_short = content.find(MARK), 0
    while start >= 0:
        begin = start + len(MARK) + 12
        size, checksum = content[begin - 12 : begin - 4], content[begin - 4 : begin]
        end = begin + int.from_bytes(size, "big")
        record = content[begin:end]
        if whole := end <= len(content) and zlib.crc32(record) == int.from_bytes(checksum, "big"):
            yield marshal.loads(record)
        cut_short += not whole
        start = content.find(MARK, end if whole else start + len(MARK))
    if cut_short:
        print(f"{cut_short} records are cut short and left out")


def _arc(packed: int | tuple[int, int]) -> tuple[int, int]:
    """Two line numbers as coverage's tracer packs them into one number."""
    if isinstance(packed, tuple):
        return packed
    first, second = packed & 0xFFFFFFF, packed >> 28 & 0xFFFFFFF
    return (-first if packed >> 56 & 1 else first, -second if packed >> 57 & 1 else second)


def report(folder: Path) -> None:
    """Prints lines, branches and their share for each folder of envbuild, and leaves the data for `coverage report`."""
    found: Arcs = {}
    for record in records(folder / "reached"):
        for file, arcs in record.items():
            found.setdefault(file, set()).update(arcs)
    coverage = Coverage(config_file=str(SETTINGS), data_file=str(folder / ".coverage"))
    coverage.erase()
    coverage.get_data().add_arcs({file: [_arc(arc) for arc in arcs] for file, arcs in found.items()})
    coverage.save()
    totals: dict[str, list[int]] = {}
    package = SETTINGS.parent / "envbuild"
    for path in sorted(package.rglob("*.py")):
        inner = path.relative_to(package)
        if inner.parts[:2] == ("packages", "inside"):
            continue
        numbers = coverage._analyze(str(path)).numbers
        for name in (str(inner.parent) if inner.parent.parts else "(top)", "total"):
            row = totals.setdefault(name, [0, 0, 0, 0])
            counted = (numbers.n_statements, numbers.n_missing, numbers.n_branches, numbers.n_missing_branches)
            row[:] = [a + b for a, b in zip(row, counted, strict=True)]
    print(f"{'folder of envbuild':<24} {'lines':>7} {'reached':>8} {'branches':>9} {'reached':>8}")
    for name, (lines, missing, branches, untaken) in totals.items():
        if name != "total":
            print(_row(name, lines, missing, branches, untaken))
    print(_row("total", *totals["total"]))


def _row(name: str, lines: int, missing: int, branches: int, untaken: int) -> str:
    def share(of: int, without: int) -> str:
        return f"{100 * (of - without) / of:.1f} %" if of else ""

    return f"{name:<24} {lines:>7} {share(lines, missing):>8} {branches:>9} {share(branches, untaken):>8}"


if __name__ == "__main__":
    report(Path(sys.argv[1]))

"""Timing whole commands, envbuild's and those of its peers, and reporting them as a table."""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.base import write_busybox_tar
from benchmarks.peers import ALL, Missing, Peer

_INSTALLED = Path(sys.executable).with_name("envbuild")
# What a user starts: `python -m` loads modules of its own first.
ENVBUILD = [str(_INSTALLED)] if _INSTALLED.exists() else [sys.executable, "-m", "envbuild"]


def bare_python() -> list[str]:
    """Return the command that starts the same interpreter, and does nothing."""
    return [sys.executable, "-c", "pass"]


class Seconds(float):
    """The seconds of one command, with the processor time that it and its children took."""

    cpu: float

    def __new__(cls, seconds: float, cpu: float) -> Seconds:
        taken = super().__new__(cls, seconds)
        taken.cpu = cpu
        return taken


class Bench:
    """One run of all benchmarks: a folder with a store and the peers' storages, and the rows so far."""

    def __init__(self, folder: Path, runs: int) -> None:
        self.folder = folder
        self.runs = runs
        self.environment = {**os.environ, "ENVBUILD_STORE": str(folder / "store"), "HOME": str(folder)}
        # Bytecode is what every installation has.
        self.environment.pop("PYTHONDONTWRITEBYTECODE", None)
        self.rows: list[dict[str, object]] = []
        self.left_out: list[str] = []
        self.failed = False
        self.peers: dict[str, Peer] = {}
        write_busybox_tar(folder / "busybox.tar")
        for kind in ALL:
            place = folder / kind.name
            place.mkdir()
            try:
                self.peers[kind.name] = kind(place)
                print(f"with {kind.name}: {self.peers[kind.name].note}", flush=True)
            except Missing as reason:
                self.leave_out(kind.name, reason)

    def measure(self, name: str, rows: Callable[[Bench], None]) -> None:
        """Measure some rows. Whatever goes wrong with them, the rows of before and after are kept."""
        try:
            rows(self)
        except (Missing, FileNotFoundError) as reason:
            self.leave_out(name, reason)
        except Exception as fault:  # a benchmark's own fault: said, and shown by the exit code
            self.failed = True
            self.leave_out(name, f"{type(fault).__name__}: {fault}")

    def leave_out(self, what: str, reason: object) -> None:
        """Say what is not measured, now and under the table."""
        self.left_out.append(f"{what}: {reason}")
        print(f"without {what}: {reason}", flush=True)

    def close(self) -> None:
        for peer in self.peers.values():
            peer.close()

    # Timing

    def call(self, words: Sequence[str], peer: Peer | None = None, code: int = 0) -> Seconds:
        """Return the seconds that a command takes. Raises Missing if it ends with another code."""
        daemon = peer.processors() if peer else 0.0
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        started = time.perf_counter()
        done = subprocess.run(
            words,
            cwd=self.folder,
            env={**self.environment, **(peer.environment() if peer else {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        elapsed = time.perf_counter() - started
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken = Seconds(elapsed, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        taken.cpu += peer.processors() - daemon if peer else 0.0
        if done.returncode != code:
            raise Missing(f"{' '.join(map(str, words[:5]))}: {done.stderr.decode(errors='replace').strip()[-300:]}")
        return taken

    def time(
        self, words: Sequence[str], before: Callable[[], None] = lambda: None, peer: Peer | None = None, runs: int = 0
    ) -> list[float]:
        """Seconds of each of several runs, the first of which does not count; `before` is not timed."""
        taken = []
        for _ in range((runs or self.runs) + 1):
            before()
            taken.append(self.call(words, peer))
        return taken[1:]

    def in_turn(
        self,
        commands: dict[str, Callable[[], float]],
        runs: int | None = None,
        before: Callable[[], None] = lambda: None,
    ) -> dict[str, list[float]]:
        """Return the seconds of each command, called in turn: a slow minute is so for all of them.

        The first round does not count, unless it is the only one (`runs` is 0). `before` is not timed.
        """
        taken: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range((self.runs if runs is None else runs) + 1):
            for name, command in commands.items():
                before()
                taken[name].append(command())
        return {name: values[1:] or values for name, values in taken.items()}

    def time_ending(self, code: int, words: Sequence[str]) -> list[float]:
        """Seconds of each of several runs of a command that ends with this exit code, as a comparison does."""
        return [self.call(words, code=code) for _ in range(self.runs + 1)][1:]

    def envbuild(self, *words: str, before: Callable[[], None] = lambda: None, runs: int = 0) -> list[float]:
        return self.time([*ENVBUILD, *words], before, runs=runs)

    def recipe(self, name: str, lines: Sequence[str]) -> str:
        (self.folder / f"{name}.env").write_text("\n".join(["from tar:busybox.tar", *lines, ""]))
        return f"{name}.env"

    # Reporting

    def report(
        self,
        what: str,
        own: Sequence[float] | float,
        peers: dict[str, Sequence[float] | float] | None = None,
        target: float | None = None,
        unit: str = "ms",
    ) -> None:
        """One row: medians of seconds (shown in ms), or other figures with their `unit`. `target` is in `unit`."""
        scale = 1000 if unit == "ms" else 1
        figure = _median(own) * scale
        digits = 2 if unit == "times" else 1
        row: dict[str, object] = {"what": what, "unit": unit, "envbuild": figure, "target": target, "peers": {}}
        text = f"{what}: {figure:.{digits}f} {unit}"
        if isinstance(own, Sequence):
            text += f" (min {min(own) * scale:.1f})"
            text += _processors(own, scale)
        for name, values in (peers or {}).items():
            other = _median(values) * scale
            row["peers"][name] = other  # type: ignore[index]
            text += f"; {name} {other:.1f} {unit}, envbuild is {figure / other:.2f} of it"
            text += _processors(values, scale)
        if target is not None:
            text += f"; to reach: {target:g} {unit}{'' if figure <= target else ' - MISSED'}"
        self.rows.append(row)
        print(f"[load {os.getloadavg()[0]:.1f}] {text}", flush=True)

    def table(self) -> str:
        """All rows in Markdown."""
        lines = ["| work | envbuild | to reach | peers in the same run (ratio) |", "| --- | --- | --- | --- |"]
        for row in self.rows:
            own, unit, target = row["envbuild"], row["unit"], row["target"]
            peers = ", ".join(f"{n} {v:.0f} {unit} ({own / v:.2f})" for n, v in row["peers"].items())  # type: ignore
            wanted = f"{target:g} {unit}" if target is not None else ""
            digits = 2 if unit == "times" else 1
            lines.append(f"| {row['what']} | {own:.{digits}f} {unit} | {wanted} | {peers} |")
        return "\n".join(
            [*lines, *(["", "Not measured:"] if self.left_out else []), *(f"- {it}" for it in self.left_out)]
        )

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(self.rows, indent=1))


def _processors(values: Sequence[float] | float, scale: int) -> str:
    """Say the processor time of commands, that of a peer's daemon included."""
    if not isinstance(values, Sequence) or not all(isinstance(value, Seconds) for value in values):
        return ""
    return f", {statistics.median(value.cpu for value in values) * scale:.1f} of processors"  # type: ignore


def _median(values: Sequence[float] | float) -> float:
    return statistics.median(values) if isinstance(values, Sequence) else values

"""What a `run` step costs, with content that the store knows and with content that it has never seen.

A step of new content is written by every build that is worth waiting for: `--no-cache` runs the same steps again, and
what they leave is in the store already. So both are measured, each beside a bare Python's start of the same minute.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from benchmarks.bench import ENVBUILD, Bench, bare_python
from benchmarks.peers import STEP_BUILDERS, Missing

STEPS = 40
PEER_STEPS = 10
LONG = 1000


def measure(bench: Bench) -> None:
    """Report a step as what more steps cost: 40 against none, and against one for the peers."""
    known, none = bench.recipe("steps", _echoes("known", STEPS)), bench.recipe("none", [])
    fresh, alone = bench.recipe("fresh", _salted(STEPS)), bench.recipe("alone", _salted(0))
    builds: dict[str, Callable[[], float]] = {
        "python": lambda: bench.call(bare_python()),
        "none": lambda: bench.call([*ENVBUILD, "build", none]),
        "known": lambda: bench.call([*ENVBUILD, "build", known, "--no-cache"]),
        "alone": lambda: _with_new_salt(bench, alone),
        "fresh": lambda: _with_new_salt(bench, fresh),
    }
    peers = [name for name in STEP_BUILDERS if name in bench.peers]
    for name in peers:
        builds[f"{name} 1"] = lambda name=name: _peer_build(bench, name, 1)  # type: ignore[misc]
        builds[f"{name} {PEER_STEPS}"] = lambda name=name: _peer_build(bench, name, PEER_STEPS)  # type: ignore[misc]
    taken = bench.in_turn(builds)
    of_peers: dict[str, Sequence[float] | float] = {
        name: _each(taken[f"{name} {PEER_STEPS}"], taken[f"{name} 1"], PEER_STEPS - 1) for name in peers
    }
    own = _each(taken["fresh"], taken["alone"], STEPS)
    bench.report(
        "a `run echo` step, uncached (its content is in the store)", _each(taken["known"], taken["none"], STEPS)
    )
    bench.report("a `run echo` step of new content", own, of_peers)
    _report_share("a step of new content", own, statistics.median(taken["python"]), bench)


def measure_rebuilds(bench: Bench) -> None:
    """Report a build with nothing to do, the process's start included."""
    for count, target in ((20, 40), (100, 45), (1000, None)):
        recipe = bench.recipe(f"n{count}", _echoes("rebuild", count))
        bench.call([*ENVBUILD, "build", recipe])
        builds: dict[str, Callable[[], float]] = {"own": lambda recipe=recipe: bench.call([*ENVBUILD, "build", recipe])}  # type: ignore[misc]
        for name in STEP_BUILDERS if count <= 100 else ():
            if peer := bench.peers.get(name):
                words = peer.build(_peer_lines("rebuild", count), bench.folder / name, name=f"n{count}")
                builds[name] = lambda words=words, peer=peer: bench.call(words, peer)  # type: ignore[misc]
        taken = bench.in_turn(builds)
        bench.report(f"rebuild with nothing to do, {count} steps", taken.pop("own"), dict(taken), target)


def measure_edits(bench: Bench) -> None:
    """Report the build after one line of a recipe of 100 steps was edited: its last step, which runs again.

    Beside it the time of that step, so that what reading the edited recipe costs stands alone.
    """
    lines = _echoes("edited", 100)
    recipe = bench.recipe("edited", lines)
    bench.call([*ENVBUILD, "build", recipe])
    whole, beside = [], []
    for _ in range(bench.runs + 1):
        bench.recipe("edited", [*lines[:-1], f"run echo {time.time_ns()} > /f99"])
        taken, step = _with_one_step(bench, recipe)
        whole.append(taken)
        beside.append(taken - step)
    bench.report("one line of a recipe of 100 steps edited, whole process", whole[1:])
    bench.report("the same, beside the step that runs", beside[1:], target=45)


def measure_long(bench: Bench) -> None:
    """Report the first and the last hundred of 1,000 steps of content that the store has never seen."""
    first, last, whole, memories, shares = [], [], [], [], []
    for _ in range(max(1, min(3, bench.runs))):
        recipe = bench.recipe("long", _echoes(str(time.time_ns()), LONG))
        python = statistics.median(bench.call(bare_python()) for _ in range(5))
        began = time.perf_counter()
        ends, memory = _watched_build(bench, recipe)
        whole.append(time.perf_counter() - began)
        first.append((ends[100] - ends[0]) / 100)
        last.append((ends[-1] - ends[-101]) / 100)
        shares.append((first[-1] / python, last[-1] / python))
        memories.append(memory)
    bench.report("a recipe of 1,000 new steps: each of the first 100", first)
    bench.report("each of the last 100", last, target=12)
    for number, what in enumerate(("first", "last")):
        share = statistics.median(pair[number] for pair in shares)
        bench.report(f"each of the {what} 100, beside a bare Python's start", share, unit="times", target=0.9)
    bench.report("all 1,000", whole, unit="s")
    bench.report("memory of that build", memories, unit="MB", target=80)
    bench.report("run the image of 1,000 steps", bench.envbuild("run", "long", "--", "true"))
    for name in STEP_BUILDERS:
        if peer := bench.peers.get(name):
            try:
                bench.call(peer.build(_peer_lines("deep", 140), bench.folder / name, name="deep"), peer)
                print(f"{name} builds 140 steps")
            except Missing as reason:
                print(f"{name} fails with 140 steps: {str(reason).splitlines()[-1][:150]}")


def _report_share(what: str, steps: Sequence[float], python: float, bench: Bench) -> None:
    bench.report(f"{what}, beside a bare Python's start", statistics.median(steps) / python, unit="times", target=0.9)


def _each(many: Sequence[float], few: Sequence[float], steps: int) -> list[float]:
    """Return the seconds of a step: each repetition's long build against the same repetition's short one."""
    return [(long - short) / steps for long, short in zip(many, few, strict=True)]


def _echoes(salt: str, count: int) -> list[str]:
    return [f"run echo {salt} {number} > /f{number}" for number in range(count)]


def _salted(count: int) -> list[str]:
    """Return steps whose text stays and whose content is that of a file: only the steps are new, not the recipe."""
    return ["copy salt -> /salt", *(f"run read s < /salt; echo $s {number} > /f{number}" for number in range(count))]


def _with_new_salt(bench: Bench, recipe: str) -> float:
    (bench.folder / "salt").write_text(f"{time.time_ns()}\n")
    return bench.call([*ENVBUILD, "build", recipe])


def _peer_lines(salt: str, count: int) -> list[str]:
    return [f"RUN echo {salt} {number} > /f{number}" for number in range(count)]


def _peer_build(bench: Bench, name: str, count: int) -> float:
    peer = bench.peers[name]
    lines = _peer_lines(str(time.time_ns()), count)
    return bench.call(peer.build(lines, bench.folder / name, cache=False, name=f"new{count}"), peer)


def _with_one_step(bench: Bench, recipe: str) -> tuple[float, float]:
    """Return the seconds of a build's process, and those of the one step that it runs."""
    words = [*ENVBUILD, "build", recipe, "--progress", "json"]
    began = time.perf_counter()
    done = subprocess.run(words, cwd=bench.folder, env=bench.environment, stdout=subprocess.PIPE, check=True)
    taken = time.perf_counter() - began
    times = {event["event"]: event["time"] for event in map(json.loads, done.stdout.splitlines())}
    return taken, times["step-finished"] - times["step-started"]


def _watched_build(bench: Bench, recipe: str) -> tuple[list[float], float]:
    """Return when each step of a build ended, and the most memory that the build had, in MB."""
    script = (
        "import resource, subprocess, sys\n"
        f"done = subprocess.run({[*ENVBUILD, 'build', recipe, '--progress', 'json']!r}, stdout=subprocess.PIPE)\n"
        "sys.stdout.buffer.write(done.stdout)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)\n"
        "sys.exit(done.returncode)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=bench.folder,
        env=bench.environment,
        stdout=subprocess.PIPE,
        check=True,
    )
    *lines, memory = done.stdout.splitlines()
    events = map(json.loads, lines)
    return [event["time"] for event in events if event["event"] == "step-finished"], float(memory)

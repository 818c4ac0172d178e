"""`run IMAGE -- true`: the start and the end of a sandbox, and of nothing else."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.bench import ENVBUILD, Bench, bare_python
from benchmarks.peers import Missing


def measure(bench: Bench) -> None:
    """Report the whole process, and what of it stands beside the interpreter's start."""
    recipe = bench.recipe("start", [f"run echo {number} > /f{number}" for number in range(3)])
    bench.call([*ENVBUILD, "build", recipe])
    starts: dict[str, Callable[[], float]] = {
        "python": lambda: bench.call(bare_python()),
        "own": lambda: bench.call([*ENVBUILD, "run", "start", "--", "true"]),
    }
    for name, peer in bench.peers.items():
        if words := peer.run("start"):
            try:
                if name != "bwrap":
                    lines = [f"RUN echo {number} > /f{number}" for number in range(3)]
                    bench.call(peer.build(lines, bench.folder / name, name="start"), peer)
                bench.call(words, peer)
            except Missing as reason:
                print(f"{name} can't run here: {str(reason).splitlines()[-1][:150]}")
                continue
            starts[name] = lambda words=words, peer=peer: bench.call(words, peer)  # type: ignore[misc]
    taken = bench.in_turn(starts, 2 * bench.runs)
    python, own = taken.pop("python"), taken.pop("own")
    bench.report("`envbuild run IMAGE -- true`, all of it", own, dict(taken), target=28)
    least = min(python)
    bench.report("the same, beside the interpreter's start", [seconds - least for seconds in own], target=30)

"""A first build whose results somebody shares in a registry, against BuildKit's `--cache-from type=registry`.

Twenty steps, each of which brings a program of 2 MB that no other has. The store and the builder's storage are empty
before each run, but for BuildKit's base image; what is shared was put there before, by BuildKit with its inline cache,
which is the only one that its docker driver writes.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable

from benchmarks.bench import ENVBUILD, Bench
from benchmarks.registry import Registry

STEPS = 20
_LAST = "echo done > /last"


def measure(bench: Bench) -> None:
    """Report a first build that runs nothing, and one that runs its last step."""
    registry = Registry(bench.folder / "registry-cache")
    try:
        _measure(bench, registry.host)
    finally:
        registry.close()


def _measure(bench: Bench, host: str) -> None:
    commands = [f"mkdir -p /opt/{n} && (cat /bin/busybox; echo {n}) > /opt/{n}/tool" for n in range(STEPS)]
    place = f"{host}/team/cache"
    recipes = {
        what: bench.recipe(name, [f"run {command}" for command in lines])
        for what, name, lines in (("all", "shared", commands), ("last", "edited", [*commands[:-1], _LAST]))
    }
    bench.call([*ENVBUILD, "build", recipes["all"], "--cache-to", place])
    store = bench.folder / "first-store"
    docker = bench.peers.get("BuildKit")
    context = bench.folder / "empty-context"
    context.mkdir()
    reference = f"{host}/docker:1"
    if docker is not None:
        words = docker.build([f"RUN {command}" for command in commands], context, name="shared")
        bench.call([*words, "--build-arg", "BUILDKIT_INLINE_CACHE=1"], docker)
        bench.call(docker.push("shared", reference) or [], docker)
    for what, lines in (("all", commands), ("last", [*commands[:-1], _LAST])):

        def own(what: str = what) -> float:
            shutil.rmtree(store, ignore_errors=True)
            words = ["env", f"ENVBUILD_STORE={store}", *ENVBUILD, "build", recipes[what], "--cache-from", place]
            return bench.call(words)

        turns: dict[str, Callable[[], float]] = {"own": own}
        if docker is not None:
            cached = [*docker.build([f"RUN {command}" for command in lines], context, name=f"shared-{what}")]
            cached += ["--cache-from", f"type=registry,ref={reference}"]

            def other(words: list[str] = cached, name: str = f"shared-{what}") -> float:
                docker.forget("shared", name, reference)
                return bench.call(words, docker)

            turns["BuildKit"] = other
        taken = bench.in_turn(turns, min(bench.runs, 7))
        mine = taken.pop("own")
        target = 0.3 * sorted(taken["BuildKit"])[len(taken["BuildKit"]) // 2] * 1000 if taken else None
        texts = {"all": "first build of 20 steps from a shared cache", "last": "the same, the last step edited"}
        bench.report(texts[what], mine, dict(taken), target)

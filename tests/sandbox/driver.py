"""Runs one request in a sandbox of its own process, as entering a namespace changes the process for good.

Reads JSON: {"requests": [...], "single": bool, "steps": bool, "together": bool, "count_files": bool, "kill_server":
bool}; writes JSON with an answer for each request. With `kill_server` the step server is killed when the first request
has printed something. With `count_files` it says how many files the step server has open after the request.
With `steps` they run as a build's steps do, where they can. A request may have a `mark`: the answer then says how many
processes with it in their command lines are left.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from envbuild.errors import EnvbuildError
from envbuild.sandbox.helper_client import Helper
from envbuild.sandbox.spec import Bind, Request, Secret
from envbuild.sandbox.step_client import StepRunner
from envbuild.sandbox.step_tracer import mounts_of
from envbuild.sandbox.user_namespace import enter_user_namespace
from envbuild.trace.observed import Observed
from envbuild.trace.resolver import resolve
from envbuild.tree.entry import DIRECTORY, FILE, LINK, Entry
from envbuild.tree.lookup import MemoryTrees
from tests.processes import alive_with


def main() -> int:
    asked = json.load(sys.stdin)
    ids = enter_user_namespace(force_single=asked["single"])
    steps = bool(asked.get("steps"))
    with Helper.start(ids, steps=steps) as helper:
        runner = StepRunner(helper) if steps else None
        answers: list[dict] = [{} for _ in asked["requests"]]

        def run(number: int, plain: dict) -> None:
            printed = _kill_server if asked.get("kill_server") and number == 0 else lambda: None
            answers[number] = _run(helper, runner, plain, printed)
            if asked.get("count_files"):
                answers[number]["files"] = _files_of_server()

        threads = [threading.Thread(target=run, args=pair) for pair in enumerate(asked["requests"])]
        for thread in threads:
            thread.start()
            if not asked.get("together"):
                thread.join()
        for thread in threads:
            thread.join()
    print(json.dumps({"kind": ids.kind, "answers": answers}))
    return 0


def _kill_server() -> None:
    (helper,) = _children(os.getpid())
    (server,) = _children(helper)
    os.kill(server, signal.SIGKILL)


def _files_of_server() -> int:
    # What ends meanwhile, such as the thread that read a step's output, is listed and gone, or hides another one.
    for _ in range(1000):
        with suppress(FileNotFoundError, ProcessLookupError, ValueError):
            (helper,) = _children(os.getpid())
            (server,) = _children(helper)
            return len(os.listdir(f"/proc/{server}/fd"))
        time.sleep(0.01)
    raise AssertionError("there is no step server, or more than one")


def _children(pid: int) -> list[int]:
    return [int(child) for path in Path(f"/proc/{pid}/task").glob("*/children") for child in path.read_text().split()]


def _run(helper: Helper, runner: StepRunner | None, plain: dict, printed: Callable[[], None]) -> dict:
    mark = plain.pop("mark", "")
    plain["layers"] = tuple(plain["layers"])
    plain["argv"] = tuple(plain["argv"])
    plain["fixed"] = tuple(plain.get("fixed", []))
    plain["environment"] = tuple(tuple(pair) for pair in plain.get("environment", [["PATH", "/bin"]]))
    plain["binds"] = tuple(Bind(*bind) for bind in plain.get("binds", []))
    plain["secrets"] = tuple(Secret(name, text.encode()) for name, text in plain.get("secrets", []))
    reading, writing = os.pipe()
    chunks: list[bytes] = []

    def drain() -> None:
        while data := os.read(reading, 65536):
            chunks.append(data)

    reader = threading.Thread(target=drain)
    reader.start()
    nothing = os.open(os.devnull, os.O_RDONLY)
    try:
        request = Request(**plain)
        if runner is not None and runner.takes(request):

            def take(data: bytes) -> None:
                chunks.append(data)
                if len(chunks) == 1:
                    printed()

            outcome = runner.run(request, take)
        else:
            outcome = helper.run(request, stdin=nothing, output=writing)
        left = len(alive_with(mark)) if mark else 0
        answer = {"left": left} | {name: getattr(outcome, name) for name in outcome.__match_args__}
        observed = answer.pop("observed")
        if observed is not None:
            answer |= _reads(observed, request)
    except EnvbuildError as error:
        answer = {"error": error.message, "hint": error.hint}
    os.close(writing)
    os.close(nothing)
    reader.join()
    os.close(reading)
    upper = plain.get("upper")
    answer["out"] = b"".join(chunks).decode(errors="replace")
    answer["upper"] = sorted(os.listdir(upper)) if upper else []
    return answer


def _reads(observed: Observed, request: Request) -> dict:
    """What the step read of its only layer, as text."""
    trees = MemoryTrees()
    reads = resolve(observed, trees, _tree_of(trees, request.layers[0]), mounts_of(request))
    paths = {os.fsdecode(path): access for path, access in reads.paths.items()}
    return {"reads": paths, "untraceable": reads.untraceable}


def _tree_of(trees: MemoryTrees, folder: str) -> str:
    """The tree of a directory, with kinds, links and contents by size: as much as following paths takes."""
    entries = []
    for entry in os.scandir(folder):
        status = entry.stat(follow_symlinks=False)
        kind, digest, target = FILE, f"{status.st_size:064x}", b""
        if entry.is_symlink():
            kind, digest, target = LINK, "", os.fsencode(os.readlink(entry.path))
        elif entry.is_dir():
            kind, digest = DIRECTORY, _tree_of(trees, entry.path)
        entries.append(Entry(os.fsencode(entry.name), kind, 0o755, 0, 0, 0, 0, digest, target))
    return trees.save(entries)


if __name__ == "__main__":
    sys.exit(main())

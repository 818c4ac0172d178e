"""What tracing costs: the same step on the same tree, traced and not, in turns.

    python -m benchmarks.trace --tree DIR [--packages DIR] [--runs N] [--core N]

DIR is a root file system with gcc and make, such as `mmdebstrap --include=gcc,libc6-dev,make SUITE DIR` makes; with
`--packages` a directory of .deb files that dpkg can install there. What counts is the processor time of all processes
of the step and of its tracer; beside other work `--core` keeps all of them on one processor, as its caches count, too.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from envbuild.sandbox.helper_client import Helper
from envbuild.sandbox.spec import Bind, Request
from envbuild.sandbox.step_client import StepRunner
from envbuild.sandbox.user_namespace import enter_user_namespace

ENVIRONMENT = (("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), ("DEBIAN_FRONTEND", "noninteractive"))
HEADERS = "".join(f"#include <{name}.h>\n" for name in ("stdio", "stdlib", "string"))
WORK = {
    "compile 100 files": "cd /project && for file in *.c; do gcc -O2 -c -o $file.o $file || exit 1; done",
    "link them": "cd /project && gcc -c -o a.o file0.c && for i in 1 2 3 4 5 6 7 8 9; do gcc -shared -o a.so a.o; done",
    "dpkg": "dpkg --force-depends -i /packages/*.deb > /dev/null 2>&1",
    "2000 programs": "for i in $(seq 2000); do /bin/true; done",
    "read all of /usr": "find /usr -type f -exec cat {} + > /dev/null",
}
TICKS = os.sysconf("SC_CLK_TCK")


def main() -> int:
    parser = argparse.ArgumentParser(description="what tracing costs")
    parser.add_argument("--tree", required=True, type=Path)
    parser.add_argument("--packages", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--core", type=int)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--traced", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.core is not None:
        os.sched_setaffinity(0, {asked.core})
    if asked.one:
        print(json.dumps(_run(asked.tree, asked.packages, WORK[asked.one], asked.traced)))
        return 0
    for name in WORK:
        if name == "dpkg" and asked.packages is None:
            continue
        seconds: dict[bool, list[float]] = {False: [], True: []}
        for number in range(asked.runs):
            for traced in (False, True) if number % 2 else (True, False):
                words = [sys.executable, "-m", "benchmarks.trace", *sys.argv[1:], "--one", name]
                done = subprocess.run([*words, *(["--traced"] if traced else [])], stdout=subprocess.PIPE, check=True)
                seconds[traced].append(json.loads(done.stdout))
        plain, traced_seconds = statistics.median(seconds[False]), statistics.median(seconds[True])
        ratio = statistics.median(b / a for a, b in zip(seconds[False], seconds[True], strict=True))
        print(f"{name}: {plain:.2f} s, traced {traced_seconds:.2f} s; median of the pairs {ratio:.3f}", flush=True)
    return 0


def _run(tree: Path, packages: Path | None, script: str, traced: bool) -> float:
    """The processor time of a step, in seconds."""
    with tempfile.TemporaryDirectory() as folder, Helper.start(enter_user_namespace(), steps=True) as helper:
        project = Path(folder, "project")
        project.mkdir()
        for number in range(100):
            body = "".join(f"int f{number}_{k}(char *s) {{ return atoi(s) + {k} * strlen(s); }}\n" for k in range(30))
            (project / f"file{number}.c").write_text(HEADERS + body)
        binds = [Bind(os.path.realpath(project), "/project", read_only=False)]
        if packages is not None:
            binds.append(Bind(os.path.realpath(packages), "/packages"))
        runner = StepRunner(helper)
        for number, (command, follow) in enumerate(((script, traced), ("true", False))):
            upper, work = Path(folder, f"upper{number}"), Path(folder, f"work{number}")
            upper.mkdir()
            work.mkdir()
            request = Request(
                layers=(os.path.realpath(tree),),
                argv=("/bin/sh", "-c", command),
                environment=ENVIRONMENT,
                upper=str(upper),
                work=str(work),
                binds=tuple(binds),
                traced=follow,
            )
            outcome = runner.run(request, lambda _: None)
            assert outcome.status == 0, script
            assert not follow or (outcome.observed is not None and not outcome.observed.untraceable)
        # The second step made its server reap all of the first.
        time.sleep(0.1)
        (server,) = (child for parent in _children(os.getpid()) for child in _children(parent))
        fields = Path(f"/proc/{server}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / TICKS


def _children(pid: int) -> list[int]:
    return [int(child) for path in Path(f"/proc/{pid}/task").glob("*/children") for child in path.read_text().split()]


if __name__ == "__main__":
    sys.exit(main())

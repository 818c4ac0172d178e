"""Builds recipes one after the other in this process's world: python -m tests.determinism.build_all JOBS NAME ..."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.forked import ForkServer, can_be_forked, started

WITH_SMALL_HOST = "tests.poor_machines:with_little_essential"


def main() -> int:
    jobs, *names = sys.argv[1:]
    server = ForkServer() if can_be_forked(os.environ) else None
    for name in names:
        words = ["build", "--jobs", jobs, "--progress", "plain", f"{name}.env"]
        if server is not None:
            done = server.run(words, Path.cwd(), os.environ, entry=WITH_SMALL_HOST)
        else:
            done = subprocess.run(
                [*started(WITH_SMALL_HOST), *words], stdin=subprocess.DEVNULL, capture_output=True, check=False
            )
        if done.returncode:
            print(f"{name} failed:\n{done.stderr.decode(errors='replace')}", file=sys.stderr)
            return done.returncode
        lock = Path(f"{name}.env.lock").read_text()
        print(name, next(line.split()[3] for line in lock.splitlines() if " image " in line and line[2] == "-"))
    if server is not None:
        server.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())

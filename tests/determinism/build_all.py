"""Builds recipes one after the other in this process's world: python -m tests.determinism.build_all JOBS NAME ..."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def main() -> int:
    jobs, *names = sys.argv[1:]
    for name in names:
        done = subprocess.run(
            [sys.executable, "-m", "envbuild", "build", "--jobs", jobs, "--progress", "plain", f"{name}.env"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            print(f"{name} failed:\n{done.stderr}", file=sys.stderr)
            return done.returncode
        lock = Path(f"{name}.env.lock").read_text()
        print(name, next(line.split()[3] for line in lock.splitlines() if " image " in line and line[2] == "-"))
    return 0


if __name__ == "__main__":
    sys.exit(main())

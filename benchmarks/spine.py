"""Times the spine against real peers on this machine, in one run, and prints medians and ratios.

    python benchmarks/spine.py [--runs N] [--only ROW ...] [--json FILE]

Needs busybox-static; uses what is installed of docker.io, buildah, podman, nix-bin, bubblewrap, iperf3 and mmdebstrap,
and leaves out the rows of what is not. What the figures mean, and what durability stands beside them, is in
docs/performance.md.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks import (
    bisects,
    capture,
    copies,
    curves,
    disk,
    history,
    inside,
    instances,
    merge,
    packages,
    ports,
    shared_cache,
    sharing,
    snapshots,
    starts,
    steps,
)
from benchmarks.base import NoBusybox
from benchmarks.bench import Bench, bare_python

ROWS = {
    "steps": steps.measure,
    "rebuilds": steps.measure_rebuilds,
    "edits": steps.measure_edits,
    "thousand": steps.measure_long,
    "copies": copies.measure,
    "starts": starts.measure,
    "snapshots": snapshots.measure,
    "disk": disk.measure,
    "curves": curves.measure,
    "packages": packages.measure,
    "history": history.measure,
    "merge": merge.measure,
    "inside": inside.measure,
    "instances": instances.measure,
    "ports": ports.measure,
    "bisect": bisects.measure,
    "capture": capture.measure,
    "export": sharing.measure_export,
    "import": sharing.measure_import,
    "push": sharing.measure_push,
    "pull": sharing.measure_pull,
    "shared-cache": shared_cache.measure,
}


def main() -> int:
    """Measure the rows that are asked for. Returns 1 if one of them failed for another reason than a missing tool."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=7, help="timed runs of each command")
    parser.add_argument("--only", nargs="+", choices=ROWS, default=list(ROWS), help="measure only these")
    parser.add_argument("--json", type=Path, help="write the figures to a file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="envbuild-bench-", ignore_cleanup_errors=True) as folder:
        try:
            bench = Bench(Path(folder), arguments.runs)
        except NoBusybox as missing:
            print(missing, file=sys.stderr)
            return 2
        print(f"Python {platform.python_version()}, Linux {platform.release()}", flush=True)
        try:
            bench.report("a bare Python start", bench.time(bare_python()))
            for name in arguments.only:
                bench.measure(name, ROWS[name])
        finally:
            bench.close()
            print("\n" + bench.table())
            if arguments.json:
                bench.save(arguments.json)
        return 1 if bench.failed else 0


if __name__ == "__main__":
    sys.exit(main())

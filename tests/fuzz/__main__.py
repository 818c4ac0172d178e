"""Fuzzes readers for as long as it is told: `python -m tests.fuzz NAME ... --minutes 10`.

What it finds goes to tests/fuzz/findings/NAME, made as short as it gets; once it is mended it becomes a seed.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
import warnings
from functools import partial
from hashlib import sha256
from pathlib import Path
from random import Random

from tests.fuzz.mutations import Mutations
from tests.fuzz.reached import Reached
from tests.fuzz.target import MAX_BYTES, Finding, Target, attempt
from tests.fuzz.targets import TARGETS

FINDINGS = Path(__file__).parent / "findings"
SMALL = 8192
MEMORY = 2 << 30
"""Bytes of address space: a reader that wants more gets a MemoryError, which is a finding."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="which readers (default: list them)")
    parser.add_argument("--all", action="store_true", help="fuzz all readers, one after the other")
    parser.add_argument("--minutes", type=float, default=10, help="how long each is fuzzed (default: 10)")
    parser.add_argument("--seed", type=int, help="repeat a run with the same random numbers")
    arguments = parser.parse_args()
    names = list(TARGETS) if arguments.all else arguments.names
    unknown = [name for name in names if name not in TARGETS]
    if unknown or not names:
        print("readers:", " ".join(TARGETS))
        return 2 if unknown else 0
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    sys.setrecursionlimit(20_000)  # as the command line does
    warnings.simplefilter("error")
    return max([_fuzz(TARGETS[name], arguments.minutes * 60, arguments.seed) for name in names])


def _fuzz(target: Target, seconds: float, seed: int | None) -> int:
    """Fuzzes one reader; returns 1 if it found something."""
    seed = Random().randrange(1 << 32) if seed is None else seed
    random = Random(seed)
    # Most inputs are small, as those are quick; some are as large as they may be.
    mutations = [Mutations(random, target.tokens, most) for most in (*[SMALL] * 15, MAX_BYTES)]
    reached, corpus = Reached(), list(target.seeds())
    findings: dict[str, bytes] = {}
    count, began = 0, time.monotonic()
    pending = list(corpus)
    while time.monotonic() - began < seconds:
        data = pending.pop() if pending else random.choice(mutations).of(corpus)
        count += 1
        finding, new = reached.by(partial(attempt, target, data))
        if finding is not None and finding.where not in findings:
            finding = attempt(target, data)  # following lines takes its time: is it too slow without, too?
        if finding is not None and finding.where not in findings:
            findings[finding.where] = data = _shortened(target, data, finding)
            _keep(target, data, finding)
        elif new and finding is None:
            corpus.append(data)
    took = time.monotonic() - began
    result = f"{len(findings)} findings: {', '.join(findings)}" if findings else "no finding"
    print(
        f"{target.name}: {took:.0f} s, {count:,} inputs, {len(reached.known):,} pairs of lines, "
        f"{len(corpus)} inputs kept, seed {seed}: {result}",
        flush=True,
    )
    return bool(findings)


def _shortened(target: Target, data: bytes, finding: Finding) -> bytes:
    """The input with all taken out that the fault does not need, as far as some seconds reach."""
    end = time.monotonic() + 10
    size = max(1, len(data) // 2)
    while size and time.monotonic() < end:
        at = 0
        while at < len(data) and time.monotonic() < end:
            shorter = data[:at] + data[at + size :]
            again = attempt(target, shorter)
            if again is not None and again.where == finding.where:
                data = shorter
            else:
                at += size
        size //= 2
    return data


def _keep(target: Target, data: bytes, finding: Finding) -> None:
    folder = FINDINGS / target.name
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / sha256(data).hexdigest()[:12]
    path.write_bytes(data)
    print(f"{target.name}: {finding.where}: {path}\n{finding.text[-3000:]}", flush=True)


if __name__ == "__main__":
    sys.exit(main())

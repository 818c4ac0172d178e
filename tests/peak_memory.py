"""Runs a command and prints the peak memory of its processes in kilobytes: `python -m tests.peak_memory WORD...`.

A process of its own, as a child's peak begins with that of the process which starts it, and pytest's is large.
"""

from __future__ import annotations

import resource
import subprocess
import sys

if __name__ == "__main__":
    subprocess.run(sys.argv[1:], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)

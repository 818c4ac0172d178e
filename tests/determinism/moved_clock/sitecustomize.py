"""Moves the clock of a Python process by $MOVED_CLOCK seconds: its start imports this where it is on the path."""

import os
import time

_SECONDS = int(os.environ["MOVED_CLOCK"])
_time, _time_ns = time.time, time.time_ns
time.time = lambda: _time() + _SECONDS
time.time_ns = lambda: _time_ns() + _SECONDS * 1_000_000_000

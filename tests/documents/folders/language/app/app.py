"""The service: warms up, checks itself, or waits."""

import sys
import time

if len(sys.argv) == 1:
    print("serving", flush=True)
    time.sleep(1000)

"""A service that waits."""

import time

if __name__ == "__main__":
    time.sleep(1000)

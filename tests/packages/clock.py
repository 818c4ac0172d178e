"""`envbuild` with the clock of its sandboxes moved: python clock.py SECONDS WORDS ... (libfaketime, on the host)."""

import glob
import sys

from envbuild.__main__ import main
from envbuild.build.sandbox_worker import Worker
from envbuild.sandbox.spec import Bind

LIBRARY = next(iter(glob.glob("/usr/lib/*/faketime/libfaketime.so.1")), None)


def move_clock(seconds: str, preload: str) -> None:
    run = Worker.run

    def moved(self, request, sink):
        inside = "/run/envbuild-test/libfaketime.so.1"
        binds = (*request.binds, Bind(LIBRARY, inside), Bind(preload, "/etc/ld.so.preload"))
        variables = (("FAKETIME", f"+{seconds}"), ("FAKETIME_DONT_FAKE_MONOTONIC", "1"), ("NO_FAKE_STAT", "1"))
        return run(self, request.replace(binds=binds, environment=(*request.environment, *variables)), sink)

    Worker.run = moved


if __name__ == "__main__":
    _, seconds, preload, *words = sys.argv
    with open(preload, "w") as file:
        file.write("/run/envbuild-test/libfaketime.so.1\n")
    move_clock(seconds, preload)
    sys.argv = ["envbuild", *words]
    sys.exit(main())

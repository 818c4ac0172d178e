"""The folder in memory that tests keep their stores in, where the machine has room for that.

Thousands of stores are made and removed in a run. On a disk that costs a fifth of the processor time, and waiting: ext4
without a journal looks at each inode that was removed in the last minute before it gives one to a new file.

The folder of $TMPDIR is taken as it is, if that is set, and so is pytest's --basetemp. Tests of what stores have from
their file system take `on_disk`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.in_namespace import own

SHARED_MEMORY = Path("/dev/shm")
OTHERWISE = "ENVBUILD_TESTS_DISK"
"""The variable that has the folder for those who want a disk."""
ROOM = 6 << 30
"""Bytes that must be free, in the file system and in memory: the tests take up to 3 GB."""
FORBIDDEN = os.ST_NODEV | os.ST_NOSUID | os.ST_NOEXEC | os.ST_RDONLY
"""What stores can't be mounted with for all that tests do in them."""


def choose() -> None:
    """Has this process, and what it starts, keep temporary files in memory if that can hold the tests' stores."""
    if "TMPDIR" not in os.environ and _is_fit(SHARED_MEMORY):
        os.environ[OTHERWISE] = tempfile.gettempdir()
        os.environ["TMPDIR"] = str(SHARED_MEMORY)
        tempfile.tempdir = None


def _is_fit(folder: Path) -> bool:
    try:
        system = os.statvfs(folder)
        if system.f_flag & FORBIDDEN or min(system.f_bavail * system.f_frsize, _free_memory()) < ROOM:
            return False
        with tempfile.NamedTemporaryFile(dir=folder) as file:
            os.setxattr(file.name, "user.overlay.opaque", b"y")  # not before Linux 6.6
    except OSError:
        return False
    return True


def _free_memory() -> int:
    """Returns the bytes of memory that are not in use."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            return int(rest.split()[0]) << 10
    return 0


@contextmanager
def on_disk() -> Iterator[Path]:
    """A temporary folder where users have their stores."""
    with tempfile.TemporaryDirectory(prefix="envbuild-", dir=os.environ.get(OTHERWISE)) as name:
        yield Path(name)
        own(Path(name))

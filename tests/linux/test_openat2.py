"""Opening a path within a directory while others rename what has nothing to do with it."""

import os
import subprocess
import sys

from envbuild.linux.syscalls import openat2

RESOLVE_IN_ROOT = 0x10
RENAMES = """
import os, sys
os.mkdir("x")
print(flush=True)
while True:
    os.rename("x", "y")
    os.rename("y", "x")
"""


def test_what_others_rename_meanwhile_is_no_failure(tmp_path):
    (tmp_path / "folder" / "within").mkdir(parents=True)
    (tmp_path / "folder" / "file").write_text("")
    root = os.open(tmp_path / "folder", os.O_PATH)
    renaming = subprocess.Popen([sys.executable, "-c", RENAMES], cwd=tmp_path, stdout=subprocess.PIPE)
    try:
        assert renaming.stdout.readline()
        for _ in range(20_000):
            os.close(openat2(root, "within/../file", os.O_RDONLY, RESOLVE_IN_ROOT))
    finally:
        renaming.kill()
        renaming.communicate()
        os.close(root)

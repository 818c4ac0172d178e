"""The way of older kernels to mount layers, on this one."""

import os
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.namespaces, pytest.mark.user]

SCRIPT = """
import os, sys
from envbuild.linux import syscalls
from envbuild.sandbox import overlay
from envbuild.sandbox.user_namespace import enter_user_namespace
enter_user_namespace()
syscalls.unshare(syscalls.CLONE_NEWNS)
os.chdir(sys.argv[1])
here = os.getcwd()
for name in ("a:b", "c,d", "upper", "work", "root"):
    os.makedirs(name)
open("a:b/x", "w").close()
open("c,d/y", "w").close()
def missing(kind):
    raise OSError(38, os.strerror(38), kind)
syscalls.fsopen = missing
overlay.mount_overlay((f"{here}/a:b", f"{here}/c,d"), f"{here}/upper", f"{here}/work", f"{here}/root")
os.unlink("root/x")
print(sorted(os.listdir("root")), os.lstat("upper/x").st_rdev)
try:
    overlay.mount_overlay([f"{here}/{n:0200d}" for n in range(60)], None, None, f"{here}/root")
except overlay.CannotMountOverlay as error:
    print(error.message)
"""


def test_layers_mount_through_mount_2_where_fsopen_is_missing(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True, check=False, env=dict(os.environ)
    )
    assert done.returncode == 0, done.stderr
    listed, refused = done.stdout.splitlines()
    assert listed == "['y'] 0"
    assert "too many layers" in refused

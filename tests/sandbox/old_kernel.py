"""Mounts layers as kernels without fsopen(2) do, in namespaces of this process: FOLDER."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import NoReturn

from envbuild.linux import syscalls
from envbuild.sandbox import overlay
from envbuild.sandbox.user_namespace import enter_user_namespace


def main() -> int:
    enter_user_namespace()
    syscalls.unshare(syscalls.CLONE_NEWNS)
    os.chdir(sys.argv[1])
    here = os.getcwd()
    for name in ("a:b", "c,d", "upper", "work", "root"):
        os.makedirs(name)
    Path("a:b/x").touch()
    Path("c,d/y").touch()

    def missing(kind: str) -> NoReturn:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), kind)

    syscalls.fsopen = missing
    overlay.mount_overlay((f"{here}/a:b", f"{here}/c,d"), f"{here}/upper", f"{here}/work", f"{here}/root")
    os.unlink("root/x")
    print(sorted(os.listdir("root")), os.lstat("upper/x").st_rdev)
    try:
        overlay.mount_overlay([f"{here}/{n:0200d}" for n in range(60)], None, None, f"{here}/root")
    except overlay.CannotMountOverlay as error:
        print(error.message)
    return 0

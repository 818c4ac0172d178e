"""The base of every build here: a root file system with busybox and nothing else."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

BUSYBOX = Path("/bin/busybox")
APPLETS = ("cat", "cp", "echo", "env", "head", "ls", "mkdir", "rm", "seq", "sh", "sleep", "tar", "test", "true", "wc")


class NoBusybox(Exception):
    """busybox-static is not installed, and nothing can be measured without it."""


def write_busybox_tar(path: Path) -> None:
    """Write the base's archive. Raises NoBusybox."""
    if not BUSYBOX.exists():
        raise NoBusybox(f"{BUSYBOX} is missing: apt-get install busybox-static")
    with tarfile.open(path, "w") as archive:

        def add(name: str, kind: bytes, mode: int, content: bytes = b"", target: str = "") -> None:
            info = tarfile.TarInfo(name)
            info.type, info.mode, info.linkname, info.size, info.mtime = kind, mode, target, len(content), 1_700_000_000
            archive.addfile(info, io.BytesIO(content))

        for name in (".", "bin", "etc", "root", "var", "var/tmp"):
            add(name, tarfile.DIRTYPE, 0o755)
        add("bin/busybox", tarfile.REGTYPE, 0o755, BUSYBOX.read_bytes())
        for applet in APPLETS:
            add(f"bin/{applet}", tarfile.SYMTYPE, 0o777, target="busybox")
        add("etc/passwd", tarfile.REGTYPE, 0o644, b"root:x:0:0:root:/root:/bin/sh\n")
        add("etc/group", tarfile.REGTYPE, 0o644, b"root:x:0:\n")

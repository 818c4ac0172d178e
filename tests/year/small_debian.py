"""A Debian of few packages, made in seconds: dpkg and what it needs are real, the rest is busybox."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.conftest import BUSYBOX
from tests.year.real_packages import Deb, RealPackages, read

REAL = ("dpkg", "libc-bin", "dash")
OF_BUSYBOX = (
    "awk",
    "basename",
    "cat",
    "chmod",
    "chown",
    "cp",
    "cut",
    "diff",
    "dirname",
    "echo",
    "expr",
    "find",
    "grep",
)
OF_BUSYBOX += ("head", "id", "ln", "ls", "mkdir", "mktemp", "mv", "readlink", "rm", "rmdir", "sed", "sleep", "sort")
OF_BUSYBOX += ("stat", "tail", "test", "touch", "tr", "true", "uname", "uniq", "wc", "xargs")
ENV = """\
#!/bin/dash
while :; do
    case "$1" in
        --unset=*) unset "${1#--unset=}"; shift ;;
        *=*) export "$1"; shift ;;
        *) exec "$@" ;;
    esac
done
"""
"""busybox's env would start its own dpkg."""
FOLDERS = ("bin", "dev", "proc", "sys", "run", "root", "tmp", "var/tmp", "usr/sbin")


def versions(folder: Path) -> dict[str, list[Deb]]:
    """The packages of it: of `tiny` in two versions."""
    real = RealPackages(folder, "bookworm", REAL, minimal=(), newest=True)
    made = {name: [_made(folder, name, "9", {})] for name in ("apt", "debianutils")}
    made["tiny"] = [_made(folder, "tiny", version, {"etc/state": version}, essential=True) for version in ("1", "2")]
    return real.versions | made


def _made(folder: Path, name: str, version: str, files: dict[str, str], essential: bool = False) -> Deb:
    root = folder / f"{name}-{version}"
    (root / "DEBIAN").mkdir(parents=True)
    if essential:
        for path in FOLDERS:
            (root / path).mkdir(parents=True)
        (root / "bin/busybox").write_bytes(BUSYBOX.read_bytes())
        for applet in OF_BUSYBOX:
            (root / "bin" / applet).symlink_to("busybox")
        files |= {"usr/bin/env": ENV, "etc/passwd": "root:x:0:0:root:/root:/bin/sh\n", "etc/group": "root:x:0:\n"}
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content)
    control = f"Package: {name}\nVersion: {version}\nArchitecture: amd64\nMaintainer: A <a@b.test>\n"
    control += ("Essential: yes\n" if essential else "") + f"Priority: required\nDescription: {name}\n"
    (root / "DEBIAN/control").write_text(control)
    for path in (root, *root.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.name in ("busybox", "env") else 0o644)
    file = folder / f"{name}_{version}_amd64.deb"
    variables = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}
    words = ["dpkg-deb", "--root-owner-group", "-b", root, file]
    subprocess.run(words, check=True, capture_output=True, env=variables)
    return read(file)

"""A Debian of few packages, made in seconds: dpkg and what it needs are real, the rest is busybox."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

from tests.conftest import BUSYBOX
from tests.year.real_packages import Deb, RealPackages

REAL = ("dpkg", "libc-bin", "dash", "coreutils", "debianutils")
"""A busybox would take its own programs for these, whatever the PATH says."""
OF_BUSYBOX = ("awk", "diff", "find", "grep", "sed", "xargs")
FOLDERS = ("bin", "dev", "proc", "sys", "run", "root", "tmp", "var/tmp", "usr/sbin")


def versions(folder: Path) -> dict[str, list[Deb]]:
    """The packages of it: of what is real all versions that the machine's mirror has, of `tiny` two."""
    real = RealPackages(folder, "bookworm", REAL, minimal=())
    made = {"apt": [_made(folder, "apt", "1", {})]}
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
        files = {**files, "etc/passwd": "root:x:0:0:root:/root:/bin/sh\n", "etc/group": "root:x:0:\n"}
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content)
    control = f"Package: {name}\nVersion: {version}\nArchitecture: amd64\nMaintainer: A <a@b.test>\n"
    control += ("Essential: yes\n" if essential else "") + f"Priority: required\nDescription: {name}\n"
    (root / "DEBIAN/control").write_text(control)
    for path in (root, *root.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.name == "busybox" else 0o644)
    file = folder / f"{name}_{version}_amd64.deb"
    variables = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}
    words = ["dpkg-deb", "--root-owner-group", "-b", root, file]
    subprocess.run(words, check=True, capture_output=True, env=variables)
    digest, pool = hashlib.sha256(file.read_bytes()).hexdigest(), f"pool/main/{name[0]}/{name}/{file.name}"
    stanza = f"{control}Filename: {pool}\nSize: {file.stat().st_size}\nSHA256: {digest}"
    return Deb(name, version, name, stanza, pool, digest, file)

"""Sets every mark of overlayfs that a step might, and prints whether some were refused."""

import os
import stat
from pathlib import Path

os.makedirs("/t/kept")
Path("/t/kept/file").write_text("kept\n")
refused = 0


def attempt(what, *arguments):
    global refused
    try:
        what(*arguments)
    except OSError:
        refused += 1


for path in ("/etc", "/t", "/t/kept", "/bin"):
    for name, value in (
        ("opaque", b"y"),
        ("opaque", b"x"),
        ("redirect", b"/root"),
        ("metacopy", b""),
        ("origin", b"\0\xfb" + bytes(30)),
        ("impure", b"y"),
        ("nlink", b"U+1"),
        ("upper", b"z"),
        ("whiteouts", b"y"),
        ("overlay.opaque", b"y"),
        ("overlay.whiteout", b""),
    ):
        for space in ("user", "trusted"):
            attempt(os.setxattr, path, f"{space}.overlay.{name}", value)
for path in ("/etc/passwd", "/t/kept/file"):
    for name, value in (("whiteout", b""), ("metacopy", b""), ("redirect", b"/etc/shadow"), ("origin", b"x")):
        attempt(os.setxattr, path, f"user.overlay.{name}", value)
Path("/t/empty").touch()
attempt(os.setxattr, "/t/empty", "user.overlay.whiteout", b"")
for path in ("/etc/passwd.x", "/t/hidden", "/etc/.wh.passwd"):
    attempt(os.mknod, path, stat.S_IFCHR | 0o666, os.makedev(0, 0))
attempt(os.mknod, "/t/.wh..wh..opq", stat.S_IFREG | 0o644)
print("refused", refused > 0)

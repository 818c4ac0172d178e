"""The names of a sandbox in its /etc/hosts (hosts(5)): localhost, the host name that it has, and the servers outside
that are reached at an address of its own.

A tree without the file gets one from the bottom layer of the sandbox, where no snapshot sees it. A tree that has its
own is shown it with a line more for each name that it lacks. What a step itself writes into the file is kept; what was
only put there for it is taken out again.
"""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Names = tuple[tuple[str, str], ...]

HOSTS = "/etc/hosts"
MAX_BYTES = 1 << 20
_LOCAL = b"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
_OPEN = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def default_hosts(names: Names) -> bytes:
    """Return what the file says where the tree has none. `names` are pairs of an address and a name."""
    return _LOCAL + b"".join(_lines_for(b"", names))


def _lines_for(text: bytes, names: Names) -> list[bytes]:
    """Return the lines for the names that a text has not."""
    known = text.split()
    return [f"{address}\t{name}\n".encode() for address, name in names if name.encode() not in known]


def put_hosts(skeleton: str, names: Names) -> None:
    """Write the file into the bottom layer of a sandbox."""
    os.makedirs(f"{skeleton}/etc", 0o755, exist_ok=True)
    _create(f"{skeleton}{HOSTS}", names)


def ensure_hosts(names: Names) -> None:
    """Have the file in this process's root say these names, as far as that can be written: no command fails for it."""
    try:
        descriptor = os.open(HOSTS, os.O_RDONLY | _OPEN)
    except FileNotFoundError:
        _create_in_tree(names)
        return
    except OSError:
        return  # a link, or something else that is the tree's own
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_BYTES:
            return
        text = os.read(descriptor, MAX_BYTES)
    finally:
        os.close(descriptor)
    lines = _lines_for(text, names)
    if lines:
        _append(text, lines, status)


def _create_in_tree(names: Names) -> None:
    """Make the file where a layer of the tree hides that of the bottom layer."""
    try:
        before = os.stat("/etc")
        _create(HOSTS, names)
        os.utime("/etc", ns=(before.st_atime_ns, before.st_mtime_ns))
    except OSError:
        pass


def _create(path: str, names: Names) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        os.write(descriptor, default_hosts(names))
        os.utime(descriptor, ns=(0, 0))  # always the same, should a step look at it
    finally:
        os.close(descriptor)


def _append(text: bytes, lines: list[bytes], status: os.stat_result) -> None:
    try:
        descriptor = os.open(HOSTS, os.O_WRONLY | os.O_APPEND | _OPEN)
    except OSError:
        return
    try:
        os.write(descriptor, (b"" if text.endswith(b"\n") or not text else b"\n") + b"".join(lines))
        os.utime(descriptor, ns=(status.st_atime_ns, status.st_mtime_ns))
    except OSError:
        pass
    finally:
        os.close(descriptor)


def restore_hosts(upper: str, read_own: Callable[[], bytes | None], names: Names) -> None:
    """Take out of what a step left in `upper` what was put there for it. `read_own` returns the content that the tree
    has, None if it has no such file."""
    try:
        folder = os.open(f"{upper}/etc", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return
    try:
        descriptor = os.open("hosts", os.O_RDWR | _OPEN, dir_fd=folder)
        try:
            _restore(folder, descriptor, read_own, names)
        finally:
            os.close(descriptor)
    except OSError:
        pass  # the step did not touch it, or it is no file any more
    finally:
        os.close(folder)


def _restore(folder: int, descriptor: int, read_own: Callable[[], bytes | None], names: Names) -> None:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_BYTES:
        return
    text, own = os.read(descriptor, MAX_BYTES), read_own()
    if own is None and text == default_hosts(names):
        before = os.fstat(folder)
        os.unlink("hosts", dir_fd=folder)
        os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))
        return
    kept = text
    for line in _lines_for(own or b"", names):
        kept = kept.replace(line, b"", 1)
    if own is not None and kept == own + b"\n":
        kept = own  # its last line had no end
    if kept != text:
        os.pwrite(descriptor, kept, 0)
        os.ftruncate(descriptor, len(kept))
        os.utime(descriptor, ns=(status.st_atime_ns, status.st_mtime_ns))

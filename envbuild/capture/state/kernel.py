"""The kernel that runs: release and command line, settings, modules and mounts, by its own files (proc(5))."""

from __future__ import annotations

import re
from collections.abc import Iterator

from envbuild.capture.machine_root import MachineRoot

_FOLDERS = ("/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d")
"""The first that has a file of a name wins (sysctl.d(5))."""
_LAST_FILE = "/etc/sysctl.conf"
_SETTINGS = "/proc/sys"
_MAX_BYTES = 1 << 20
_MAX_VALUE = 1 << 12
_MAX_SETTINGS = 20_000
_BY_ITSELF = re.compile(
    r"kernel/(?:random/.*|ns_last_pid|pty/nr|perf_event_max_sample_rate|tainted|core_uses_pid_.*)"
    r"|fs/(?:dentry-state|file-nr|inode-nr|inode-state|aio-nr|dquot/.*|quota/.*|binfmt_misc/.*)"
    r"|net/netfilter/nf_conntrack_(?:count|.*_stat)|net/ipv[46]/route/flush|net/ipv[46]/(?:conf|neigh)/(?!all/|default/).*"
    r"|dev/cdrom/info|sunrpc/.*|vm/(?:stat_refresh|compact_memory|drop_caches)|kernel/sched_domain/.*|user/.*"
)
"""What changes by itself, is an order and no value, or belongs to a network interface."""
_KERNEL_TYPES = frozenset(
    (
        *("proc", "sysfs", "devtmpfs", "devpts", "cgroup", "cgroup2", "pstore", "bpf", "tracefs", "debugfs", "ramfs"),
        *("securityfs", "configfs", "fusectl", "mqueue", "hugetlbfs", "binfmt_misc", "efivarfs", "autofs", "nsfs"),
        *("rpc_pipefs", "selinuxfs"),
    )
)
_PASSING_PLACES = re.compile(
    r"/(?:proc|sys|dev|run|media|snap|tmp|var/tmp|var/run|var/lib/(?:docker|containerd|containers|kubelet|lxc|lxd|incus"
    r"|machines|snapd))(?:/.*)?"
)
"""Below these, mounts come and go by themselves: of containers, of users that log in, of sticks that are put in."""


def release(root: MachineRoot) -> Iterator[tuple[str, ...]]:
    """Yield the kernel's release, version and command line."""
    for name, path in (("release", "kernel/osrelease"), ("version", "kernel/version"), ("type", "kernel/ostype")):
        if value := _value(root, path):
            yield name, value
    if words := (root.read_text("/proc/cmdline", _MAX_BYTES) or "").strip():
        yield "command line", words


def changed_settings(root: MachineRoot) -> Iterator[tuple[str, ...]]:
    """Yield name, value now, value in the file, and file, of each setting that is not as the last file says."""
    for path, (wanted, file) in _configured(root).items():
        value = _value(root, path)
        if value is not None and value.split() != wanted.split():
            yield path.replace("/", "."), value, wanted, file


def settings(root: MachineRoot) -> Iterator[tuple[str, ...]]:
    """Yield name and value of all settings that only change if somebody changes them."""
    pending, number = [""], 0
    while pending and number < _MAX_SETTINGS:
        folder = pending.pop()
        for name in root.names(f"{_SETTINGS}/{folder}"):
            path = f"{folder}/{name}" if folder else name
            number += 1
            if _BY_ITSELF.fullmatch(path) or _BY_ITSELF.fullmatch(f"{path}/x"):
                continue
            value = _value(root, path)
            if value is None:
                pending.append(path)
            else:
                yield path.replace("/", "."), value


def modules(root: MachineRoot) -> Iterator[tuple[str, ...]]:
    """Yield the modules that are loaded."""
    for line in (root.read_text("/proc/modules", _MAX_BYTES) or "").split("\n"):
        if line:
            yield (line.partition(" ")[0],)


def mounts(root: MachineRoot) -> Iterator[tuple[str, ...]]:
    """Yield place, type, source and options of each mount that somebody set up."""
    for line in (root.read_text("/proc/self/mountinfo", 64 << 20) or "").split("\n"):
        words = line.split(" ")
        if "-" not in words or len(words) < 10:
            continue
        place = _unescaped(words[4])
        kind, source = (_unescaped(word) for word in words[words.index("-") + 1 :][:2])
        if kind in _KERNEL_TYPES or _PASSING_PLACES.fullmatch(place):
            continue
        # Of a bind, the directory of the file system that is bound.
        bound = _unescaped(words[3])
        yield place, kind, source if bound == "/" else f"{source}[{bound}]", words[5]


def _configured(root: MachineRoot) -> dict[str, tuple[str, str]]:
    """Return by the path of each setting what the last of the files says, and which file that is."""
    files = {name: f"{folder}/{name}" for folder in reversed(_FOLDERS) for name in root.names(folder)}
    paths = [files[name] for name in sorted(files) if name.endswith(".conf")]
    configured: dict[str, tuple[str, str]] = {}
    for path in (*paths, _LAST_FILE):
        for line in (root.read_text(path, _MAX_BYTES) or "").split("\n"):
            name, equals, value = map(str.strip, line.partition("="))
            if equals and name and name[0] not in "#;" and "*" not in name:
                configured[_setting_path(name.removeprefix("-").strip())] = (value, path)
    return {path: row for path, row in configured.items() if ".." not in path.split("/")}


def _setting_path(name: str) -> str:
    """Return the path of a setting: the first of `.` and `/` in a name is what separates its parts (sysctl.d(5))."""
    separator = next((letter for letter in name if letter in "./"), ".")
    return name.strip("/") if separator == "/" else name.translate(str.maketrans("./", "/."))


def _value(root: MachineRoot, path: str) -> str | None:
    text = root.read_text(f"{_SETTINGS}/{path}", _MAX_VALUE)
    return None if text is None else " ".join(text.split())


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)

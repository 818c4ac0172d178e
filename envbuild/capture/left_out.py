"""What a capture leaves out: documented defaults, each with its reason, and patterns of the machine and of the user."""

from __future__ import annotations

import os
from collections.abc import Iterable

from envbuild.capture.machine_root import MachineRoot
from envbuild.debian.left_behind import LEFTOVERS, noise_patterns
from envbuild.errors import UsageError, fields
from envbuild.images.capture_record import FOLDER
from envbuild.linux.nofollow import read_plain
from envbuild.record import Record
from envbuild.tree.patterns import Matcher, compile_patterns

MACHINE_FILE = "/etc/envbuild/capture.ignore"
USER_FILE = "capture.ignore"
"""In the user's folder of settings."""
MAX_IGNORED = 1 << 20
"""Bytes of a file of patterns."""
STORE = "a store of envbuild"
STORE_NAMES = frozenset(("store.db", "objects", "layers", "lock"))
"""What lies in every store: others than the one in use are known by it."""
SWAP = "swap space"
OTHER_FILES = "another file system (--include PATH takes it)"


class Rule(Record):
    """What is left out for a reason, as patterns of directories whose contents are left out, of such whose files are
    left out to any depth, and of whatever is left out itself."""

    reason: str
    contents: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()


RULES = (
    Rule("of the kernel", contents=("/proc", "/sys", "/dev")),
    Rule(
        "temporary", contents=("/tmp", "/var/tmp", "/run", "/var/run", "/var/lock"), patterns=(".envbuild-restore-*",)
    ),
    Rule(
        "a cache",
        contents=(
            *("/var/cache", "/var/lib/apt/lists", "/var/lib/snapd/cache", "/var/lib/PackageKit"),
            *("/root/.cache", "/home/*/.cache", "/root/.npm/_cacache", "/home/*/.npm/_cacache"),
        ),
        patterns=(
            "/var/lib/command-not-found/commands.db*",
            "/var/lib/mlocate/mlocate.db",
            "/var/lib/plocate/plocate.db",
        ),
    ),
    Rule("a log", files=("/var/log", "/var/crash", "/var/lib/systemd/coredump")),
    Rule("mail", files=("/var/mail", "/var/spool/mail")),
    Rule(SWAP, patterns=("/swapfile", "/swap.img", "/swap/swapfile", "/hibfile")),
    Rule(
        "of containers and virtual machines",
        contents=(
            *("/var/lib/docker", "/var/lib/containerd", "/var/lib/containers", "/var/lib/buildkit", "/var/lib/rancher"),
            *(
                "/var/lib/kubelet",
                "/var/lib/lxc",
                "/var/lib/lxd",
                "/var/lib/incus",
                "/var/lib/machines",
                "/var/snap/lxd",
            ),
            *("/var/lib/libvirt/images", "/root/.local/share/containers", "/home/*/.local/share/containers"),
            *("/root/.local/share/docker", "/home/*/.local/share/docker", "/home/*/.local/share/gnome-boxes"),
            *("/home/*/VirtualBox VMs",),
        ),
    ),
    Rule(
        "an earlier version, or a lock",
        contents=("/var/backups",),
        patterns=(*noise_patterns(LEFTOVERS), "/var/lib/dpkg/available"),
    ),
    Rule(
        "rewritten by itself",
        contents=("/var/lib/systemd/timers", "/var/spool/anacron", "/var/lib/systemd/timesync"),
        patterns=(
            *(
                "/var/lib/systemd/random-seed",
                "/var/lib/urandom/random-seed",
                "/var/lib/logrotate/status",
                "/etc/adjtime",
            ),
            *("/var/lib/logrotate.status", "/var/lib/man-db/auto-update", "/var/lib/NetworkManager/timestamps"),
            *("/var/lib/NetworkManager/seen-bssids", "/var/lib/NetworkManager/*.lease", "/var/lib/dhcp/*.leases"),
            *(
                "/var/lib/dhcpcd/*.lease",
                "/var/lib/chrony/drift",
                "/var/lib/ntp/ntp.drift",
                "/var/lib/ntpsec/ntp.drift",
            ),
        ),
    ),
    Rule("lost and found", contents=("lost+found",)),
)
"""docs/capture.md has this list, too."""
HOMES = Rule("a home (--home takes it)", contents=("/home", "/root"))
RECORD = Rule("what envbuild says of a capture", patterns=(f"/{FOLDER.decode()}",))


@fields
class BadIgnoreFile(UsageError):
    """A file of patterns that can't be read."""

    path: str
    reason: str

    def text(self) -> tuple[str, str]:
        return f"{self.path}: {self.reason}", "make it a plain file of UTF-8 text, or remove it"


class Inside(Record):
    """Why what lies in a directory is left out, "" where it is not; whether that is only said of what is no directory;
    and whether something in it may be taken all the same, so that it has to be looked at."""

    reason: str = ""
    files_only: bool = False
    some_taken: bool = False

    @property
    def is_looked_at(self) -> bool:
        """Whether anything in it may be taken."""
        return not self.reason or self.some_taken or self.files_only


_TAKEN = Inside()


class LeftOut:
    """Decides of each path of a machine whether it is left out, and why. `own` are patterns of a file each, with the
    file's name; the last that matches decides, over the rules too. `included` are paths that the rules don't hold
    for."""

    def __init__(
        self,
        rules: Iterable[Rule],
        own: Iterable[tuple[str, Matcher]] = (),
        included: Iterable[bytes] = (),
        stores: Iterable[bytes] = (),
    ) -> None:
        rules = tuple(rules)
        self._contents = _Reasons((rule.reason, rule.contents) for rule in rules)
        self._files = _Reasons((rule.reason, rule.files) for rule in rules)
        self._patterns = _Reasons((rule.reason, rule.patterns) for rule in rules)
        self._own = tuple(own)[::-1]
        self._takes_back = any(matcher.takes_back for _, matcher in self._own)
        self._included = frozenset(included)
        self._above = frozenset(above for path in self._included for above in _above(path))
        self._stores = frozenset(stores)
        named = [f"{source}: {matcher.source}" for source, matcher in self._own]
        self.profile = repr((rules, named, sorted(self._included), sorted(self._stores)))
        """All that the decisions depend on, as text."""

    def inside(self, path: bytes, above: Inside = _TAKEN) -> Inside:
        """Return what holds of all that lies in a directory; `above` is what holds in the directory that has it."""
        if path in self._stores:
            return Inside(STORE)
        if self.is_included(path):
            return _TAKEN
        looked_at = self._takes_back or path in self._above
        if reason := self._contents.of(path, True):
            return Inside(reason, False, looked_at)
        if reason := self._files.of(path, True):
            return Inside(reason, True, looked_at)
        # Of a directory that only leads to a path that was asked for, no more than that is taken.
        return above if above.files_only or path in self._above else _TAKEN

    def reason(self, path: bytes, is_directory: bool, inside: Inside = _TAKEN) -> str:
        """Return why a path is left out, "" if it is taken; `inside` is what holds in the directory that has it."""
        for source, matcher in self._own:
            verdict = matcher.verdict(path, is_directory)
            if verdict is not None:
                return f"a pattern of {source}" if verdict else ""
        reason = self._patterns.of(path, is_directory)
        if not reason and inside.reason and not (inside.files_only and is_directory):
            reason = inside.reason
        return "" if reason and (path in self._above or self.is_included(path)) else reason

    def is_store(self, path: bytes, items: Iterable[os.DirEntry[str]]) -> bool:
        """Tell whether a directory with these entries is a store, which nobody asked for."""
        return bool(path) and {item.name for item in items} >= STORE_NAMES and not self.is_included(path)

    def is_included(self, path: bytes) -> bool:
        """Tell whether a path was asked for, or lies in one that was."""
        return bool(self._included) and (path in self._included or any(a in self._included for a in _above(path)))


def left_out(root: MachineRoot, store: str, user_file: str, *, home: bool, included: Iterable[str] = ()) -> LeftOut:
    """Return what a capture of a root leaves out. `store` is the path of the store in use, `user_file` that of the
    user's own patterns, `included` are absolute paths on the machine that are taken all the same. Raises BadIgnoreFile
    and BadPattern."""
    rules = (*RULES, RECORD) if home else (*RULES, HOMES, RECORD)
    if swapped := root.swap_files():
        rules = (*rules, Rule(SWAP, patterns=tuple(f"/{_escaped(path)}" for path in swapped)))
    own = [read for path in (MACHINE_FILE, user_file) if (read := _read(path)) is not None]
    paths = [os.fsencode(os.path.normpath(path).strip("/")) for path in included]
    return LeftOut(rules, own, paths, _stores(root, store))


class _Reasons:
    """Patterns with reasons: first whether any fits, which is quick, then which."""

    def __init__(self, rows: Iterable[tuple[str, tuple[str, ...]]]) -> None:
        self._rows = [(reason, compile_patterns(patterns)) for reason, patterns in rows if patterns]
        self._any = compile_patterns(line for _, matcher in self._rows for line in matcher.source)

    def of(self, path: bytes, is_directory: bool) -> str:
        if not self._any.matches(path, is_directory):
            return ""
        return next(reason for reason, matcher in self._rows if matcher.matches(path, is_directory))


def _escaped(path: str) -> str:
    return "".join(f"\\{letter}" if letter in "*?[\\" else letter for letter in path)


def _above(path: bytes) -> Iterable[bytes]:
    while path:
        path = path.rpartition(b"/")[0]
        yield path


def _stores(root: MachineRoot, store: str) -> Iterable[bytes]:
    path = os.path.realpath(store)
    above = "" if root.path == "/" else root.path
    return (os.fsencode(path[len(above) + 1 :]),) if path.startswith(f"{above}/") else ()


def _read(path: str) -> tuple[str, Matcher] | None:
    try:
        content = read_plain(os.path.realpath(path), MAX_IGNORED)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise BadIgnoreFile(path, str(error.strerror)) from error
    try:
        return path, compile_patterns(content.decode("utf-8-sig").splitlines())
    except UnicodeDecodeError as error:
        raise BadIgnoreFile(path, str(error)) from error

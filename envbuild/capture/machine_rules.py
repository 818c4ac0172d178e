"""The rules for what a recipe says of a captured machine: which differences between the lines' tree and the capture are
expressed by files, and why all others are not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from envbuild.debian.left_behind import is_state
from envbuild.drift.ignore_rules import IgnoreRules, is_directory
from envbuild.drift.unexpressed import ACCOUNTS, RECORD, SECRET, ExpressionRules, Unexpressed
from envbuild.history.explained_changes import ExplainedChanges, PackageDifference, explained_changes
from envbuild.packages.inventory.component import DPKG
from envbuild.store.store import Store
from envbuild.text.sizes import format_size
from envbuild.tree.diff import Change, aspects
from envbuild.tree.entry import DIRECTORY, FILE, Digest, Entry
from envbuild.tree.patterns import compile_patterns

PACKAGE, MACHINE, LARGE, OWNER = "package", "machine", "large", "owner"
"""Kinds of what is not expressed, beside those of every recipe (drift/unexpressed.py)."""
_MACHINE = compile_patterns(
    [
        # The kernel's file systems are mounted there: a step can't change them.
        *("/proc", "/sys", "/dev"),
        *("/boot/**", "/initrd.img*", "/vmlinuz*", "/swapfile", "/lost+found"),
        *("/etc/hostname", "/etc/hosts", "/etc/fstab", "/etc/crypttab", "/etc/mtab", "/etc/adjtime", "/etc/mailname"),
        *("/etc/resolv.conf", "/etc/machine-info", "/etc/hostid", "/etc/initramfs-tools/conf.d/resume"),
        *("/etc/lvm/archive/**", "/etc/lvm/backup/**", "/etc/lvm/devices/**", "/etc/mdadm/mdadm.conf"),
        *(
            "/etc/iscsi/initiatorname.iscsi",
            "/etc/nvme/host*",
            "/etc/ssh/ssh_host_*",
            "/etc/udev/rules.d/70-persistent-*",
        ),
        *("/etc/network/interfaces", "/var/lib/systemd/**", "/var/lib/dbus/**", "/var/lib/dhcp/**", "/var/lib/misc/**"),
        *("/var/lib/NetworkManager/**", "/var/lib/logrotate/**", "/var/lib/grub/**", "/lib/modules/*/modules.*"),
        "/usr/lib/modules/*/modules.*",
    ]
)
"""What names or describes this machine, its disks and its network: an image of it elsewhere has its own."""
_ACCOUNT_FILES = {
    b"etc/passwd": "lines add users and groups by name; system users may have other numbers",
    b"etc/group": "lines add users and groups by name; system users may have other numbers",
    b"etc/shadow": "has passwords, which no line sets",
    b"etc/gshadow": "has passwords, which no line sets",
}
RECORD_FOLDER = b"var/lib/envbuild"
"""The capture's own record, and what envbuild itself keeps on the machine."""


class MachineRules(ExpressionRules):
    """The rules for one capture.

    `is_unknown` says of a path whether the capture does not say what is there, as it was left out or could not be read;
    `is_redacted` of a file of the capture whether a secret was taken out of it. What is new and has more than `most`
    bytes together, in one new directory or as a file, is not copied.
    """

    def __init__(
        self,
        store: Store,
        noise: IgnoreRules,
        *,
        most: int,
        is_unknown: Callable[[bytes], bool],
        is_redacted: Callable[[bytes, Entry], bool],
    ) -> None:
        super().__init__(store, noise, secrets=False)
        self._most = most
        self._is_unknown = is_unknown
        self._is_redacted = is_redacted
        self.packages: tuple[PackageDifference, ...] = ()
        """The packages in which the last two trees that were compared differ."""

    def between(self, lines: Digest, instance: Digest) -> Iterator[tuple[Change, Unexpressed | None]]:
        """Yield the changes from the tree of the lines to the capture's, as of an instance; without those of which the
        capture says nothing."""
        explained = explained_changes(self._store, lines, instance)
        self.packages = explained.packages
        folded = self._folded(explained)
        records = {change.path for change in explained.records}
        judged: list[tuple[Change, Unexpressed | None]] = []
        for change in explained.changes:
            if aspects(change) == ("time",) or self._is_nothing(change):
                continue
            reason = folded.get(change.path)
            if reason is not None:
                judged.append((change, Unexpressed(change, PACKAGE, detail=reason)))
            elif change.path in records or is_state(change.path.decode("utf-8", "surrogateescape")):
                judged.append((change, Unexpressed(change, RECORD)))
            elif change.path in _ACCOUNT_FILES:
                judged.append((change, Unexpressed(change, ACCOUNTS, detail=_ACCOUNT_FILES[change.path])))
            elif self._is_same_owner(explained, change):
                judged.append((change, Unexpressed(change, OWNER, detail="the same owner, with another number")))
            else:
                judged.append((change, self._of_machine(change)))
        yield from self._without_large(judged)

    def _of_machine(self, change: Change) -> Unexpressed | None:
        path, after = change.path, change.after
        if _MACHINE.matches(path, is_directory(change)):
            return Unexpressed(change, MACHINE, detail="belongs to this machine, and not to what is installed on it")
        if after is not None and after.kind == FILE and self._is_redacted(path, after):
            return Unexpressed(change, SECRET, detail="has a secret, which the capture does not have")
        return self.unexpressed(change)

    def _is_nothing(self, change: Change) -> bool:
        """Return whether the capture does not say what is at a path."""
        path, after = change.path, change.after
        if path == RECORD_FOLDER or path.startswith(RECORD_FOLDER + b"/"):
            return True
        # Of directories whose content was left out, the capture has the directory itself.
        return (after is None or after.kind == DIRECTORY) and self._is_unknown(path)

    @staticmethod
    def _is_same_owner(explained: ExplainedChanges, change: Change) -> bool:
        before, after = change.before, change.after
        if before is None or after is None or not set(aspects(change)) <= {"owner", "time"}:
            return False
        return explained.accounts.same_owner(before, after)

    def _folded(self, explained: ExplainedChanges) -> Mapping[bytes, str]:
        """Return the paths that Debian packages explain which no line could bring to what the capture has, each with
        the reason. The few files of a package that no source has at all are expressed."""
        reasons: dict[bytes, str] = {}
        for difference in explained.packages:
            change = difference.change
            if change.package.kind != DPKG:
                continue
            sizes = (path.after.size for path in difference.changes if path.after is not None)
            if change.old is None and sum(sizes) <= self._most:
                continue
            reason = "belongs to a package that is not as on the machine"
            reasons.update((path.path, reason) for path in difference.changes)
        return reasons

    def _without_large(
        self, judged: list[tuple[Change, Unexpressed | None]]
    ) -> Iterator[tuple[Change, Unexpressed | None]]:
        """Yield the changes, those that are large together with this as the reason."""
        tops = _new_tops(change for change, reason in judged if reason is None)
        sizes: dict[bytes, list[int]] = {}
        for change, reason in judged:
            after = change.after
            if reason is None and after is not None and after.kind == FILE and "content" in _new_parts(change):
                sizes.setdefault(tops.get(change.path, change.path), []).append(after.size)
        for change, reason in judged:
            top = tops.get(change.path, change.path)
            size = sum(sizes.get(top, ()))
            if reason is None and change.after is not None and size > self._most:
                detail = f"{format_size(size)}, more than is copied beside a recipe (--max-size)"
                yield change, Unexpressed(change, LARGE, detail=detail)
            else:
                yield change, reason


def _new_parts(change: Change) -> set[str]:
    return {"content"} if change.before is None or change.before.kind != FILE else set(aspects(change))


def _new_tops(changes: Iterable[Change]) -> Mapping[bytes, bytes]:
    """Return the topmost new directory of each path in one, but for those right below the root: too much for one
    decision."""
    tops: dict[bytes, bytes] = {}
    top = b""
    for change in sorted(changes, key=lambda change: change.path.split(b"/")):
        if top and change.path.startswith(top + b"/"):
            tops[change.path] = top
        elif b"/" in change.path and change.before is None and change.after and change.after.kind == DIRECTORY:
            top = tops[change.path] = change.path
        else:
            top = b""
    return tops

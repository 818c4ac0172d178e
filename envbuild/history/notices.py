"""The changed paths that a reader has to see one by one, however many others there are.

They are ordered by what somebody could do with them: a program that runs with another user's rights comes before a
program that is run by its name, that before a file of a package, that before configuration, and so on. Which kind a
path is of follows from its entries, its place and the records of packages, never from how many others there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from envbuild.record import Record
from envbuild.tree.diff import Change
from envbuild.tree.entry import BLOCK_DEVICE, CHARACTER_DEVICE, DIRECTORY, FILE, LINK, Entry

PRIVILEGE, PROGRAM, PACKAGE, CONFIGURATION, TARGET, RIGHTS = KINDS = (
    "privilege",
    "program",
    "package file",
    "configuration",
    "target",
    "rights",
)
"""From what matters most."""
PATH = ("usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin", "sbin", "bin")
"""The directories of programs, whatever an image's PATH is."""
MAX_FOLDERS = 64
"""Directories of a PATH that are looked at."""
_CONFIGURATION = (
    *(b"etc/", b"var/spool/cron/"),
    *(b"lib/systemd/system/", b"lib/systemd/user/", b"usr/lib/systemd/system/", b"usr/lib/systemd/user/"),
)
_OF_HOMES = (b".ssh/", b".bash", b".profile", b".zsh", b".config/systemd/")
_SENSITIVE = (
    *(b"etc/ld.so", b"etc/sudoers", b"etc/passwd", b"etc/group", b"etc/shadow", b"etc/gshadow", b"etc/pam"),
    *(b"etc/security/", b"etc/ssh/", b"etc/ssl/certs", b"etc/cron", b"etc/profile", b"etc/bash", b"etc/environment"),
    *(b"etc/apt/", b"etc/systemd/", b"etc/init", b"etc/rc", b"etc/hosts", b"etc/nsswitch", b"etc/resolv"),
    *(b"etc/sysctl", b"var/spool/cron/", b"root/.ssh/"),
)
"""Configuration of who may do what, and of what is run: it is shown before the rest."""
_SET_USER, _SET_GROUP, _WRITABLE = 0o4000, 0o2000, 0o022
_CAPABILITY = b"security.capability"


class Notice(Record):
    """A path to see. `reason` says in words what is the matter with it beyond what differs ("" if nothing is), and
    `package` names the package that it belongs to ("" for none). `explained` are files that a package brought so."""

    change: Change
    kind: str
    reason: str = ""
    package: str = ""
    explained: bool = False


class Origins(Record):
    """What is known of the packages of changed paths: `moved` and `same` have the name of the package of a path, which
    is another version now, or the same; `edited` are the paths of moved ones that do not have their content. `known`
    says whether the tree has records of packages at all, `same_owner` whether two entries have one owner."""

    moved: Mapping[bytes, str]
    same: Mapping[bytes, str]
    edited: frozenset[bytes]
    known: bool
    same_owner: Callable[[Entry, Entry], bool]


def notices_of(
    rest: Iterable[Change], explained: Iterable[tuple[Change, str]], origins: Origins, folders: frozenset[bytes]
) -> tuple[Notice, ...]:
    """Return the notices, by what matters. `rest` is what no package explains, `explained` has all other changes, with
    the name of their package ("" for a package manager's own file). `folders` are the directories of programs."""
    notices = [notice for change in rest if (notice := _notice(change, origins, folders)) is not None]
    for change, package in explained:
        reason = _privilege(change, origins, explained=True)
        if reason:
            notices.append(Notice(change, PRIVILEGE, reason, package, explained=bool(package)))
    return tuple(sorted(notices, key=_order))


def _notice(change: Change, origins: Origins, folders: frozenset[bytes]) -> Notice | None:
    path, before, after = change
    moved, same = origins.moved.get(path, ""), origins.same.get(path, "")
    package = moved or same
    content = _is_other_content(before, after)
    edited = path in origins.edited or (bool(same) and content)
    word = "edited in" if after is not None else "removed from"
    reason = f"not as {moved} brought it" if path in origins.edited else f"{word} {same}" if edited else ""
    privilege = _privilege(change, origins, explained=False)
    if privilege:
        return Notice(change, PRIVILEGE, privilege, package)
    if path in folders and content:
        return Notice(change, PROGRAM, "a directory of programs", package)
    if path.rpartition(b"/")[0] in folders and (_is_program(before) or _is_program(after)):
        if not package and origins.known and after is not None and content:
            reason = "of no package"
        return Notice(change, PROGRAM, reason, package)
    if edited:
        return Notice(change, PACKAGE, reason, package)
    rights = before is not None and after is not None and _has_other_rights(before, after, origins)
    folder = all(entry is None or entry.kind == DIRECTORY for entry in (before, after))
    if _is_configuration(path) and (rights or content) and (rights or not folder):
        return Notice(change, CONFIGURATION, "", package)
    if before is not None and after is not None and content and LINK in (before.kind, after.kind):
        return Notice(change, TARGET, "", package)
    return Notice(change, RIGHTS, "", package) if rights else None


def _privilege(change: Change, origins: Origins, *, explained: bool) -> str:
    """Return what gives a program the rights of others, or reaches the kernel; "" if nothing does that did not before.
    An explained change is one whose content is the package's."""
    before, after = change.before, change.after
    if after is None:
        return ""
    if after.kind in (CHARACTER_DEVICE, BLOCK_DEVICE):
        return "a device" if before is None or (before.kind, before.target) != (after.kind, after.target) else ""
    if after.kind != FILE:
        return ""
    past = before if before is not None and before.kind == FILE else None
    bits = after.mode & (_SET_USER | _SET_GROUP)
    capability = dict(after.xattrs).get(_CAPABILITY)
    gained = bits & ~(past.mode if past is not None else 0)
    if gained:
        word = "set-user-id" if gained & _SET_USER else "set-group-id"
        return f"{word} gained" if past is not None else word
    if capability is not None and capability != (dict(past.xattrs).get(_CAPABILITY) if past is not None else None):
        return "capabilities changed" if past is not None else "capabilities"
    if past is None or not (bits or capability):
        return ""
    if not origins.same_owner(past, after):
        return "runs as another user"
    return "runs with its owner's rights" if past.digest != after.digest and not explained else ""


def _is_other_content(before: Entry | None, after: Entry | None) -> bool:
    """Return whether what a path is or holds differs, not only its attributes. Of a directory that is what is in it."""
    if before is None or after is None or before.kind != after.kind:
        return True
    return before.kind != DIRECTORY and (before.digest, before.target) != (after.digest, after.target)


def _is_configuration(path: bytes) -> bool:
    if path.startswith((b"root/", b"home/")):
        path = path.split(b"/", 1 if path.startswith(b"root/") else 2)[-1]
        return path.startswith(_OF_HOMES)
    return path.startswith(_CONFIGURATION)


def _is_program(entry: Entry | None) -> bool:
    return entry is not None and (entry.kind == LINK or (entry.kind == FILE and bool(entry.mode & 0o111)))


def _has_other_rights(before: Entry, after: Entry, origins: Origins) -> bool:
    # A link has no mode of its own.
    mode = LINK in (before.kind, after.kind) or before.mode == after.mode
    return not (mode and before.xattrs == after.xattrs and origins.same_owner(before, after))


def _order(notice: Notice) -> tuple[object, ...]:
    before, after = notice.change.before, notice.change.after
    both = before is not None and after is not None
    return (
        KINDS.index(notice.kind),
        notice.explained,
        notice.kind == CONFIGURATION and not notice.change.path.startswith(_SENSITIVE),
        not notice.package,
        not (both and _opens(before, after)),
        0 if both else 1 if before is None else 2,
        LINK in [entry.kind for entry in (before, after) if entry is not None],
        notice.change.path,
    )


def _opens(before: Entry | None, after: Entry | None) -> bool:
    """Return whether somebody else than before may write to a path now."""
    if before is None or after is None or after.kind == LINK:
        return False
    return bool(after.mode & ~before.mode & _WRITABLE) or (before.uid == 0 != after.uid)


def program_folders(paths: Iterable[str]) -> Iterator[bytes]:
    """Yield the directories of PATH and of values of that variable, without slashes around them."""
    folders = [*PATH, *(folder for path in paths for folder in path.split(":"))]
    for folder in list(dict.fromkeys(folders))[:MAX_FOLDERS]:
        name = folder.strip("/").encode("utf-8", "surrogateescape")
        if name:
            yield name

"""The script that does to files what no `copy` can: it removes paths, makes links and empty directories, and sets
owners and modes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from envbuild.drift.account_lines import Names
from envbuild.drift.statement_text import Line, as_root, block, shell_word
from envbuild.record import Record
from envbuild.tree.diff import Change
from envbuild.tree.entry import DIRECTORY, FILE, LINK, ROOT_NAME, Entry

TOOLS = ("rm", "ln", "mkdir", "chmod", "chown")
"""The programs that the script uses."""
SCRIPT = ("script",)
"""What the line of a script is about."""
_MAX_PATHS = 6


class Removals(Record):
    """The commands that remove paths. With `swaps`, something else takes the place of one of them."""

    commands: tuple[str, ...]
    swaps: bool


def script_lines(commands: list[str], user: str) -> list[Line]:
    """Return the statement that runs these commands as root, none if there are none. The image runs commands as
    `user`."""
    if not commands:
        return []
    head = f"run{as_root(user)}"
    return [Line(f"{head} {commands[0]}" if len(commands) == 1 else block(head, commands), SCRIPT)]


def removals(changes: Iterable[Change]) -> Removals:
    """Return the commands for all paths that are gone, or that turned from or into a directory."""
    removed: list[bytes] = []
    swaps = False
    for change in sorted(changes, key=lambda change: change.path):
        before, after = change.before, change.after
        swapped = before is not None and after is not None and before.kind != after.kind
        swapped = swapped and DIRECTORY in (before.kind if before else "", after.kind if after else "")
        if before is None or (after is not None and not swapped):
            continue
        if any(change.path.startswith(path + b"/") for path in removed):
            continue
        removed.append(change.path)
        swaps = swaps or swapped
    return Removals(tuple(_commands("rm -rf --", removed)), swaps)


def mkdir_commands(paths: Iterable[bytes]) -> list[str]:
    """Return the commands that make directories."""
    return _commands("mkdir -p --", sorted(paths))


def link_commands(links: list[tuple[bytes, Entry]], names: Names) -> Iterator[str]:
    """Yield the commands that make symbolic links, then those that give them their owners."""
    for path, entry in links:
        # -n: a link to a directory that exists is replaced, not entered.
        yield f"ln -sfn -- {shell_word(entry.target)} {shell_word(b'/' + path)}"
    owners: dict[str, list[bytes]] = {}
    for path, entry in links:
        if (entry.uid, entry.gid) != (0, 0):
            owners.setdefault(names.pair(entry.uid, entry.gid), []).append(path)
    for owner, paths in owners.items():
        yield from _commands(f"chown -h {owner} --", paths)


def attribute_commands(changed: Iterable[tuple[Entry | None, bytes, Entry]], names: Names) -> Iterator[str]:
    """Yield the commands that set owners and modes. `changed` has (the entry before, its path, the entry wanted).

    Owners come first: a change of owner removes a set-user-id bit.
    """
    owners: dict[str, list[bytes]] = {}
    modes: dict[int, list[bytes]] = {}
    for before, path, entry in changed:
        is_new = before is None or before.kind != entry.kind
        old = Entry(b"", entry.kind, 0o755, 0, 0, 0) if is_new or before is None else before
        if (old.uid, old.gid) != (entry.uid, entry.gid):
            owners.setdefault(names.pair(entry.uid, entry.gid), []).append(path)
        if entry.kind != LINK and (old.mode != entry.mode or (entry.kind == FILE and is_new)):
            modes.setdefault(entry.mode, []).append(path)
    for owner, paths in owners.items():
        yield from _commands(f"chown -h {owner} --", paths)
    for mode, paths in sorted(modes.items()):
        yield from _commands(f"chmod {mode:04o} --", paths)


def _commands(command: str, paths: Iterable[bytes]) -> list[str]:
    """Return the command for these paths, a few at a time. Paths that no shell word can name are left out."""
    absolute = [b"/" if path == ROOT_NAME else b"/" + path for path in paths]
    words = [word for path in absolute if (word := shell_word(path)) is not None]
    starts = range(0, len(words), _MAX_PATHS)
    return [" ".join([command, *words[start : start + _MAX_PATHS]]) for start in starts]

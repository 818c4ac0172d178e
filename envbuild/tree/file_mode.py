"""Modes of copied files, as a recipe gives them: a number, or a change such as `u+x,go-w`."""

from __future__ import annotations

from envbuild.tree.entry import DIRECTORY, FILE, Entry

Mode = int | str
"""Permission bits, or the text of a change that `is_change` takes."""

MAX_CHANGE = 100
"""Characters of a change: nobody needs more clauses."""
_SHIFTS = {"u": 6, "g": 3, "o": 0}
_BITS = {"r": 4, "w": 2, "x": 1}
_SPECIAL = {"u": 0o4000, "g": 0o2000, "o": 0}
_STICKY = 0o1000
_WHO, _OPERATORS, _PERMISSIONS = "ugoa", "+-=", "rwxXst"


def is_change(text: str) -> bool:
    """Return whether a text is a change of modes, as chmod(1) has it: clauses such as `u+x`, with commas between
    them."""
    return len(text) <= MAX_CHANGE and all(_clause(clause) is not None for clause in text.split(","))


def change(mode: int, text: str, *, is_directory: bool) -> int:
    """Return what a change makes of permission bits. A clause without letters for whom is for all; there is no umask.
    `X` is `x` for directories and for files that somebody may execute."""
    for clause in text.split(","):
        parsed = _clause(clause)
        assert parsed is not None
        who, operator, permissions = parsed
        bits = covered = 0
        for letter in who:
            covered |= 0o7 << _SHIFTS[letter] | _SPECIAL[letter]
            for permission in permissions:
                if permission == "s":
                    bits |= _SPECIAL[letter]
                elif permission != "t" and (permission != "X" or is_directory or mode & 0o111):
                    bits |= _BITS[permission.lower()] << _SHIFTS[letter]
        if "t" in permissions:
            bits |= _STICKY
        if operator == "=":
            mode &= ~(covered | (_STICKY if who == "ugo" else 0))
        mode = mode & ~bits if operator == "-" else mode | bits
    return mode


def changed_mode(mode: int, asked: Mode | None) -> int:
    """Return the mode of a file that would have `mode` if none were asked for."""
    if asked is None:
        return mode
    return asked if isinstance(asked, int) else change(mode, asked, is_directory=False)


def with_mode(entry: Entry, mode: Mode | None) -> Entry:
    """Return a copied file or directory with a mode; None leaves it as it is, and links have none. A directory may be
    entered wherever the mode gives the right to read."""
    if mode is None or entry.kind not in (FILE, DIRECTORY):
        return entry
    if entry.kind == FILE:
        return entry._replace(mode=changed_mode(entry.mode, mode))
    new = mode if isinstance(mode, int) else change(entry.mode, mode, is_directory=True)
    return entry._replace(mode=new | (new & 0o444) >> 2)


def _clause(text: str) -> tuple[str, str, str] | None:
    """Return for whom, the operator and the permissions of a clause; None if it is none."""
    cut = next((place for place, letter in enumerate(text) if letter in _OPERATORS), -1)
    if cut < 0:
        return None
    who, operator, permissions = text[:cut], text[cut], text[cut + 1 :]
    if not permissions or not set(who) <= set(_WHO) or not set(permissions) <= set(_PERMISSIONS):
        return None
    return "ugo" if not who or "a" in who else "".join(dict.fromkeys(who)), operator, permissions

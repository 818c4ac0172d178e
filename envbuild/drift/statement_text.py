"""Statements as text, and paths of a tree as words of recipes and of shell commands."""

from __future__ import annotations

import shlex

from envbuild.language.quoting import format_word
from envbuild.language.syntax import NOWHERE, Word
from envbuild.packages.inventory.bad_record import MAX_STATUS
from envbuild.record import Record
from envbuild.store.objects import TooLargeToRead
from envbuild.store.store import Store
from envbuild.tree.entry import Digest
from envbuild.tree.lookup import lookup


class Line(Record):
    """A statement with its block. `about` names the packages, accounts or paths that it is for."""

    text: str
    about: tuple[str, ...] = ()


def is_plain(name: bytes) -> bool:
    """Return whether a recipe can contain a name: UTF-8 without control characters."""
    try:
        return name.decode().isprintable()
    except UnicodeDecodeError:
        return False


def word(text: str) -> str:
    """Return `text` as one word of a statement."""
    return format_word(Word((text,) if text else (), NOWHERE))


def shell_word(path: bytes) -> str | None:
    """Return a path as one word for /bin/sh; None for a name that ends with a newline, which printf(1) can't produce
    here."""
    if is_plain(path):
        return shlex.quote(path.decode())
    if path.endswith(b"\n"):
        return None
    # % and the backslash are special in the format.
    safe = b"".join(
        bytes([byte]) if 0x20 < byte < 0x7F and byte not in b"%\\'\"" else b"\\%03o" % byte for byte in path
    )
    return f"\"$(printf '{safe.decode()}')\""


def text_of(store: Store, tree: Digest, path: str) -> str | None:
    """Return the text of a file of a tree; None if there is none, or one too large to be a record of packages."""
    try:
        return store.read_text(tree, path, MAX_STATUS)
    except TooLargeToRead:
        return None


def has(store: Store, tree: Digest, path: str) -> bool:
    """Return whether a tree has anything at a path, following links."""
    return lookup(store.trees, tree, path.encode("utf-8", "surrogateescape"), follow=True) is not None


def programs(store: Store, tree: Digest, *names: str) -> bool:
    """Return whether the tree has a shell and these programs in its search path."""
    return all(any(has(store, tree, f"{folder}/{name}") for folder in ("bin", "usr/bin")) for name in ("sh", *names))


def as_root(user: str) -> str:
    """Return the option that runs a command as root if the image runs commands as another user."""
    return "" if user.partition(":")[0] in ("", "0", "root") else "(user=root)"


def block(keyword: str, lines: list[str]) -> str:
    """Return a statement with a block."""
    return "\n".join([keyword, *(f"    {line}" for line in lines)])


def shown(path: bytes) -> str:
    """Return a path of a tree as one line of text, with bytes that are not UTF-8 or not printable escaped."""
    text = "/" + path.decode("utf-8", "backslashreplace") if path != b"." else "/"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)

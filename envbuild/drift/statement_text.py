"""How names of a tree are written in a recipe and in its commands."""

from __future__ import annotations

import shlex

from envbuild.language.quoting import format_word
from envbuild.language.syntax import NOWHERE, Word
from envbuild.packages.inventory.bad_record import MOST_STATUS
from envbuild.record import Record
from envbuild.store.objects import TooLargeToRead
from envbuild.store.store import Store
from envbuild.tree.entry import Digest
from envbuild.tree.lookup import lookup


class Line(Record):
    """One statement with its block, and what it is for: `about` are packages, accounts or paths, to be told of."""

    text: str
    about: tuple[str, ...] = ()


def is_plain(name: bytes) -> bool:
    """Whether a name can stand in a recipe: UTF-8 without control characters."""
    try:
        return name.decode().isprintable()
    except UnicodeDecodeError:
        return False


def word(text: str) -> str:
    """`text` as one word of a statement."""
    return format_word(Word((text,) if text else (), NOWHERE))


def shell_word(path: bytes) -> str | None:
    """A path as one word of /bin/sh; None for what no printf(1) can give back: a name that ends in a line end."""
    if is_plain(path):
        return shlex.quote(path.decode())
    if path.endswith(b"\n"):
        return None
    # The format's own signs are % and the backslash.
    safe = b"".join(
        bytes([byte]) if 0x20 < byte < 0x7F and byte not in b"%\\'\"" else b"\\%03o" % byte for byte in path
    )
    return f"\"$(printf '{safe.decode()}')\""


def text_of(store: Store, tree: Digest, path: str) -> str | None:
    """Return the text of a file of a tree; None if there is none, or one too large to be a record of packages."""
    try:
        return store.read_text(tree, path, MOST_STATUS)
    except TooLargeToRead:
        return None


def has(store: Store, tree: Digest, path: str) -> bool:
    """Whether anything lies at a path of a tree, links followed."""
    return lookup(store.trees, tree, path.encode("utf-8", "surrogateescape"), follow=True) is not None


def programs(store: Store, tree: Digest, *names: str) -> bool:
    """Whether the tree has a shell and these programs where a shell finds them."""
    return all(any(has(store, tree, f"{folder}/{name}") for folder in ("bin", "usr/bin")) for name in ("sh", *names))


def as_root(user: str) -> str:
    """The option that has a command run as root where the image says another user."""
    return "" if user.partition(":")[0] in ("", "0", "root") else "(user=root)"


def block(keyword: str, lines: list[str]) -> str:
    """A statement with a block."""
    return "\n".join([keyword, *(f"    {line}" for line in lines)])


def shown(path: bytes) -> str:
    """A path of a tree in one line of text: what is not UTF-8 or can't be printed is escaped."""
    text = "/" + path.decode("utf-8", "backslashreplace") if path != b"." else "/"
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)

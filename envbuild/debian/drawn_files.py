"""Files that Debian's packages make anew while they are installed, so that no two builds have the same: keys, random
numbers, times.

What an installation leaves out anyway, such as the host keys of SSH, is in left_behind.py. The table is for what has to
stay unless the recipe says otherwise, since something that was set up with it needs it.
"""

from __future__ import annotations

from envbuild.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from envbuild.tree.entry import Digest, Entry
    from envbuild.tree.lookup import Trees


class Drawn(Record):
    """Files below the root that are made anew each time: a `*` in `path` stands for any part of one name. `discard` is
    how many parts of such a path name what a recipe leaves out to do without them, 0 for all."""

    path: str
    discard: int = 0


DRAWN = (
    Drawn("etc/ssl/private/ssl-cert-snakeoil.key"),  # ssl-cert
    Drawn("etc/ssl/certs/ssl-cert-snakeoil.pem"),
    Drawn("var/lib/postgresql/*/*/global/pg_control", discard=5),  # the cluster's system identifier
    Drawn("var/lib/mysql/ibdata1", discard=3),  # mariadb-server: log numbers, times, a certificate
    Drawn("etc/ssl/certs/java/cacerts"),  # ca-certificates-java: a key store with times
    Drawn("var/lib/texmf/ls-R"),  # texlive-base: dumps of memory and logs, with times and orders
    Drawn("var/lib/texmf/web2c/*/*.fmt"),
    Drawn("var/lib/texmf/web2c/*/*.log"),
    Drawn("etc/bind/rndc.key"),  # bind9
    Drawn("etc/munge/munge.key"),  # munge
    # Of a `run`: `apt` leaves these out.
    Drawn("etc/ssh/ssh_host_*_key"),
    Drawn("etc/ssh/ssh_host_*_key.pub"),
    Drawn("etc/machine-id"),
    Drawn("var/lib/dbus/machine-id"),
)


def drawn_files(trees: Trees, before: Digest, after: Digest) -> list[str]:
    """Return the paths, each with its slash, of what a step that led from one tree to another made so, as a recipe
    would discard them."""
    paths: list[str] = []
    for drawn in DRAWN:
        for parts in _changed(trees, before, after, drawn.path.encode().split(b"/")):
            kept = parts[: drawn.discard or len(parts)]
            paths.append("/" + b"/".join(kept).decode("utf-8", "backslashreplace"))
    return list(dict.fromkeys(paths))


def _changed(trees: Trees, before: Digest, after: Digest, pattern: list[bytes]) -> Iterator[list[bytes]]:
    """Yield the paths of files with a content that fit a pattern, and are not the same in the tree before."""
    if before == after:
        return
    old = {entry.name: entry for entry in trees.load(before)} if before else {}
    for entry in trees.load(after):
        if not _fits(entry.name, pattern[0]) or entry == old.get(entry.name):
            continue
        if len(pattern) == 1:
            if entry.kind == "f" and entry.size:
                yield [entry.name]
        elif entry.kind == "d":
            for inner in _changed(trees, _digest(old.get(entry.name)), entry.digest, pattern[1:]):
                yield [entry.name, *inner]


def _digest(entry: Entry | None) -> Digest:
    return entry.digest if entry is not None and entry.kind == "d" else ""


def _fits(name: bytes, pattern: bytes) -> bool:
    head, star, tail = pattern.partition(b"*")
    if not star:
        return name == pattern
    return len(name) >= len(head) + len(tail) and name.startswith(head) and name.endswith(tail)

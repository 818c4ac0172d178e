"""What registries and locks say of a Node package: where it runs, its hash, and where its archive lies."""

from __future__ import annotations

import base64

from envbuild.packages.errors import Unresolved
from envbuild.packages.node_names import NodeOrigin

_HASH_BYTES = {"sha512": 64, "sha384": 48, "sha256": 32, "sha1": 20}


def fits(allowed: object, have: str) -> bool:
    """Return whether package.json's `os` or `cpu` allows what we have: it lists names, or with a `!` names to avoid."""
    if not allowed:
        return True
    names = [allowed] if isinstance(allowed, str) else list(map(str, allowed if isinstance(allowed, list) else ()))
    wanted = [name for name in names if not name.startswith("!")]
    return f"!{have}" not in names and (not wanted or have in wanted or "any" in wanted)


def hash_of(name: str, integrity: str) -> str:
    """Return the strongest hash of a Subresource Integrity text, in hexadecimal."""
    known = dict(word.partition("?")[0].split("-", 1) for word in integrity.split() if "-" in word)
    for algorithm in ("sha512", "sha384", "sha256", "sha1"):
        if algorithm in known:
            try:
                digest = base64.b64decode(known[algorithm], validate=True)
            except ValueError:
                digest = b""
            if len(digest) != _HASH_BYTES[algorithm]:
                raise Unresolved("npm", f"{name} has an integrity that is not a {algorithm}")
            return f"{algorithm}:{digest.hex()}"
    raise Unresolved("npm", f"{name} has no integrity in the lock that npm made")


def origin_of(name: str, version: str, resolved: str) -> NodeOrigin:
    """Return where an archive lies in a registry. Raises BadName."""
    _, separator, rest = resolved.partition("?")[0].partition("#")[0].partition(f"/{name}/-/")
    usual = f"{name.rpartition('/')[2]}-{version}.tgz"
    return NodeOrigin(f"{name}/-/{rest if separator else usual}")

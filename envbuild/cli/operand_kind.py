"""What a name of an image on the command line is one of: the store's, or a registry's."""

from __future__ import annotations


def is_remote(text: str) -> bool:
    """Return whether a text names something of a registry: before its first slash is a host."""
    host, slash, _ = text.partition("/")
    # Short commands name images of the store, and need no more than this.
    if not slash or not (host == "localhost" or "." in host or ":" in host):
        return False
    from envbuild.registry.reference import is_host

    return is_host(host)

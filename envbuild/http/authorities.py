"""Whom this machine trusts to name servers.

A machine has some 140 authorities, and a server's certificate needs one of them. Reading the file with all takes 30 ms;
a directory where each has a name by its hash (c_rehash(1)) is looked into only for the one that is needed. So the
directory comes first, and the file only where that does not suffice.
"""

from __future__ import annotations

import os
import re
import ssl
import threading

_BY_HASH = re.compile(r"[0-9a-f]{8}\.[0-9]+")


class Authorities:
    """The authorities of this machine, or those of a `bundle`, and a context for connections that trust them."""

    def __init__(self, bundle: str = "") -> None:
        directory = None if bundle else _directory()
        self.context = ssl.create_default_context(cafile=bundle or None, capath=directory)
        self.are_complete = directory is None
        """Whether the context trusts all of them already."""
        self._completing = threading.Lock()

    def complete(self) -> None:
        """Have the context trust all of them."""
        with self._completing:
            if not self.are_complete:
                self.context.load_default_certs()
                self.are_complete = True


def _directory() -> str | None:
    """Return the machine's directory of authorities, None if there is none where they are named by their hashes."""
    directory = ssl.get_default_verify_paths().capath
    try:
        with os.scandir(directory or "") as items:
            return directory if any(_BY_HASH.fullmatch(item.name) for item in items) else None
    except OSError:
        return None

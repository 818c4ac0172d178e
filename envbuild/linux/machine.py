"""What this machine is."""

from __future__ import annotations

import os

_DEBIAN_WORDS = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "armhf", "ppc64le": "ppc64el"}


def architecture() -> str:
    """Return this machine's architecture in Debian's words, which recipes see as ${arch}."""
    machine = os.uname().machine
    return _DEBIAN_WORDS.get(machine, machine)

"""Starts of the machine."""

from __future__ import annotations

BOOT_ID = "/proc/sys/kernel/random/boot_id"
"""Another text after each start of the machine (random(4))."""


def boot_id() -> str:
    """Return what tells this start of the machine from others; "" where the kernel does not say."""
    global _boot_id
    if _boot_id is None:
        try:
            with open(BOOT_ID, encoding="utf-8") as file:
                _boot_id = file.read().strip()
        except OSError:
            _boot_id = ""
    return _boot_id


_boot_id: str | None = None

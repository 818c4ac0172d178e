"""How a supervisor divides its file descriptors: published ports may use all but those reserved for control.

A new descriptor gets the lowest number that is free (open(2)). So one at `ceiling` or above says that all below are
taken, and nothing has to be counted.
"""

from __future__ import annotations

import os

from envbuild.record import Record

MAX_KEPT = 256


class DescriptorLimits(Record):
    """`ceiling` is the number from which on descriptors are for control alone, `kept` how many those are."""

    ceiling: int
    kept: int


def allowance() -> DescriptorLimits:
    """Return what the limit of this process allows now (sysconf(3): SC_OPEN_MAX is RLIMIT_NOFILE, -1 if there is
    none)."""
    limit = os.sysconf("SC_OPEN_MAX")
    if limit < 0:
        limit = 1 << 20
    kept = min(MAX_KEPT, limit // 4)
    return DescriptorLimits(limit - kept, kept)


def raise_limit() -> None:
    """Let this process have as many descriptors as it may: each connection needs two.

    Whatever it starts is started by a helper that was forked before, and keeps the limit that the user has set.
    """
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

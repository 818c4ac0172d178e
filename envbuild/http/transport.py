"""How this machine reaches servers."""

from __future__ import annotations

from dataclasses import dataclass

from envbuild.record import Pairs


@dataclass(frozen=True, slots=True)
class Transport:
    """`proxies` by scheme, `bundle` a file of certificates ("" for the usual ones), `headers` by the beginning of
    addresses (such as those that name a user), `most` the bytes of one file."""

    proxies: Pairs = ()
    bundle: str = ""
    headers: tuple[tuple[str, str, str], ...] = ()
    most: int = 1 << 40

"""Addresses of the web, as recipes, locks, indexes and servers give them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import SplitResult, urlsplit

from envbuild.errors import UsageError, fields

SCHEMES = ("http", "https")
_IN_TEXT = re.compile(r"https?://[^\s#;\"'<>\\]+")


@fields
class BadAddress(UsageError):
    """An address that is not one of the web."""

    url: str

    def text(self) -> tuple[str, str]:
        return f"can't fetch {self.url[:200]!r}", "addresses begin with https:// or http://, and a host follows"


class WebAddress(str):
    """An address with the scheme http or https and a host, and nothing on which readers of addresses disagree. Raises
    BadAddress."""

    __slots__ = ()

    def __new__(cls, text: str) -> WebAddress:
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:
            raise BadAddress(text) from None
        plain = text.isprintable() and not set(text) & set(' \\"<>')
        if not plain or parts.scheme not in SCHEMES or not parts.hostname or port == 0:
            raise BadAddress(text)
        return super().__new__(cls, text)

    @property
    def parts(self) -> SplitResult:
        """The parts of the address."""
        return urlsplit(self)

    @property
    def host(self) -> str:
        """The host in lower case, without a user, brackets and a port."""
        return self.parts.hostname or ""

    @property
    def server(self) -> tuple[str, str, int]:
        """Scheme, host and port."""
        parts = self.parts
        return parts.scheme, parts.hostname or "", parts.port or {"http": 80, "https": 443}[parts.scheme]


def without_user(address: str) -> str:
    """Return an address without the user and password that may be in it."""
    scheme, separator, rest = address.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}"


def addresses_in(texts: Iterable[str]) -> list[str]:
    """Return the addresses that stand in texts, such as those of requirements."""
    return [address for text in texts for address in _IN_TEXT.findall(text)]


def names_address(texts: Iterable[str], address: str) -> bool:
    """Return whether one of the texts names this address itself (`NAME @ ADDRESS`)."""
    plain = without_user(address)
    return any(without_user(named) == plain for named in addresses_in(texts))

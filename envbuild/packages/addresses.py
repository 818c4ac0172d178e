"""Addresses of the web, as recipes, locks, indexes and servers give them."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from envbuild.errors import UsageError

SCHEMES = ("http", "https")


class BadAddress(UsageError):
    """An address of a kind that can't be fetched."""

    def __init__(self, url: str) -> None:
        super().__init__(f"can't fetch {url[:200]!r}", "addresses begin with https:// or http://, and a host follows")


class WebAddress(str):
    """An address with the scheme http or https and a host, and nothing that readers of addresses read differently.
    Raises BadAddress."""

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

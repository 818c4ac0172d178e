"""Who the user is at a registry. It is shown in no message and no traceback."""

from __future__ import annotations

import base64


class Login:
    """A user with a password, or a token that stands for both (`identity`, docker's `identitytoken`)."""

    __slots__ = ("identity", "password", "user")

    def __init__(self, user: str, password: str, identity: str = "") -> None:
        self.user = user
        self.password = password
        self.identity = identity

    def __repr__(self) -> str:
        return "Login(...)"

    @property
    def basic(self) -> str:
        """The header's value for basic authentication (RFC 7617)."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()

    @property
    def secrets(self) -> tuple[str, ...]:
        """What may stand in no message."""
        texts = (self.password, self.identity, self.basic.partition(" ")[2] if self.password else "")
        return tuple(text for text in texts if text)

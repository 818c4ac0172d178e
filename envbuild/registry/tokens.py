"""Tokens for a registry from its token server (distribution's "Token Authentication Specification" and "OAuth2 Token
Authentication")."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from urllib.parse import urlencode, urlsplit

from envbuild.http.addresses import BadAddress, WebAddress
from envbuild.record import Record
from envbuild.registry.bodies import TooMuch, document
from envbuild.registry.challenge import Challenge
from envbuild.registry.errors import BadAnswer, RegistryRefuses, Unauthorized
from envbuild.registry.login import Login
from envbuild.registry.server import Place, Server

_MAX = 1 << 20
_SHORTEST = 60
"""Seconds that a token is good for where its server does not say (the specification's default)."""
_LONGEST = 24 * 3600
_EARLY = 10
"""Seconds before its end from which on a token is not used any more."""
_TOKEN = re.compile(r"[\x21-\x7e]+")
CLIENT = "envbuild"


class Token(Record):
    """What a registry takes as authorization, and until when (time.monotonic)."""

    text: str
    end: float

    def __repr__(self) -> str:
        return "Token(...)"

    @property
    def fresh(self) -> bool:
        """Whether it can be used for a request that begins now."""
        return time.monotonic() < self.end - _EARLY


def fetch_token(
    server: Server, challenge: Challenge, scopes: Sequence[str], login: Login | None, giver: Place
) -> Token:
    """Return a token for these scopes, for a login or for anybody. `giver` is what was asked when the registry named
    its token server. Raises Unauthorized, RegistryRefuses, BadAnswer and urllib3's HTTPError."""
    place = _realm(server, challenge, giver, login)
    headers = {"Accept": "application/json"}
    fields = [("service", challenge.service)] if challenge.service else []
    if login is not None and login.identity:
        fields += [("grant_type", "refresh_token"), ("refresh_token", login.identity), ("client_id", CLIENT)]
        fields += [("scope", " ".join(scopes))] if scopes else []
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        asked, method, body = place, "POST", urlencode(fields).encode()
    else:
        fields += [("scope", scope) for scope in scopes]
        if login is not None:
            fields += [("account", login.user), ("client_id", CLIENT)]
            headers["Authorization"] = login.basic
        mark = "&" if place.address.parts.query else "?"
        address = WebAddress(f"{place.address}{mark}{urlencode(fields)}")
        asked, method, body = place.replace(address=address), "GET", None
    began = time.monotonic()
    # A token server that sends us on would have what we show sent on, too: its answer is the one that counts.
    with server.send(method, asked, headers, body) as answer:
        host = place.address.host
        if answer.status in (400, 401, 403) and login is not None:
            raise Unauthorized(server.host, "its token server does not know this user and password", login.user)
        if answer.status in (401, 403):
            raise Unauthorized(server.host, "its token server gives no token to whoever is not logged in")
        if answer.status != 200:
            raise RegistryRefuses(host, "can't get a token", answer.status, answer.reason)
        try:
            content = document(answer, _MAX, server.patience)
        except TooMuch:
            raise BadAnswer(host, "a token", f"it has more than {_MAX:,} bytes") from None
    return _parsed(content, host, began)


def _realm(server: Server, challenge: Challenge, giver: Place, login: Login | None) -> Place:
    """Return the token server. A password goes there with encryption, or to the registry's own host."""
    try:
        address = WebAddress(challenge.realm)
    except BadAddress:
        raise BadAnswer(server.host, "its token server", f"{challenge.realm[:100]!a} is not an address") from None
    if urlsplit(address).fragment or "@" in address.parts.netloc:
        raise BadAnswer(server.host, "its token server", f"{challenge.realm[:100]!a} is not an address")
    if address.startswith("http:"):
        if server.encrypted:
            raise BadAnswer(server.host, "its token server", f"{address.host} would be asked without encryption")
        if login is not None and not server.same_host(address):
            raise BadAnswer(
                server.host, "its token server", f"{address.host} would be sent the password without encryption"
            )
    return Place(address, giver.giver)


def _parsed(content: bytes, host: str, began: float) -> Token:
    try:
        plain = json.loads(content)
        text = plain.get("token") or plain.get("access_token")
        seconds = plain.get("expires_in") or _SHORTEST
    except (ValueError, AttributeError, RecursionError):
        raise BadAnswer(host, "a token", "the answer can't be read") from None
    if not isinstance(text, str) or not _TOKEN.fullmatch(text):
        raise BadAnswer(host, "a token", "there is none in the answer")
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds > 0:
        seconds = _SHORTEST
    # The specification has no token end sooner, but a server may have it so.
    return Token(text, began + min(max(float(seconds), _EARLY + 1), _LONGEST))

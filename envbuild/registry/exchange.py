"""Requests to one registry: with authorization where it asks for one, again where it was busy, on to where it sends us.

Authorization goes to the registry's own scheme, host and port, and a password to its token server; never along with a
redirect, and never to where an upload is to go on.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import IO

from urllib3.exceptions import HTTPError

from envbuild.http.connections import Answer, cause
from envbuild.registry.bodies import TooMuch, document
from envbuild.registry.challenge import BASIC, Challenge, choose, parse_challenges
from envbuild.registry.errors import BadAnswer, Denied, RegistryRefuses, Unauthorized, Unreachable
from envbuild.registry.login import Login
from envbuild.registry.server import MAX_REDIRECTS, Place, Server
from envbuild.registry.tokens import Token, fetch_token

Body = Callable[[], "bytes | IO[bytes]"]
BUSY = (408, 425, 429, 500, 502, 503, 504)
"""Answers after which the same is asked again."""
_MAX_ERROR = 64 << 10
_LEAST_SECRET = 4


class Exchange:
    """A registry as somebody, or as nobody: `login` is None then."""

    def __init__(self, server: Server, login: Login | None) -> None:
        self.server = server
        self._login = login
        self._challenge: Challenge | None = None
        self._tokens: dict[tuple[str, ...], Token] = {}
        self._lock = threading.Lock()
        self._secrets: set[str] = set(login.secrets) if login else set()

    @property
    def user(self) -> str:
        """Who we are at the registry, "" for nobody."""
        return self._login.user or "the holder of a token" if self._login else ""

    def address(self, path: str) -> Place:
        """Return the address of a path of the registry's interface. Raises Unreachable and NotEncrypted."""
        return self.server.address(path)

    def ask(
        self,
        method: str,
        place: Place,
        what: str,
        *,
        scopes: tuple[str, ...] = (),
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        attempts: int = 0,
    ) -> Answer:
        """Return the answer to a request, whatever it is but one that the registry is busy or does not let us in.

        `what` is what it is about, for messages, `scopes` what a token has to allow. `attempts` is 1 for what can't be
        asked twice. Raises Unreachable, Unauthorized, Denied, RegistryRefuses and BadAnswer.
        """
        patience = self.server.patience
        last = attempts or patience.attempts
        pause = patience.pause
        for attempt in range(1, last + 1):
            try:
                answer = self._authorized(method, place, what, scopes, headers or {}, body)
            except HTTPError as error:
                if attempt == last:
                    raise Unreachable(place.address.parts.netloc, f"{what}: {cause(error)}") from error
            else:
                if answer.status not in BUSY or attempt == last:
                    return answer
                with answer:
                    pause = self._pause(answer, pause, what)
            time.sleep(pause)
            pause *= 2
        raise AssertionError

    def expect(self, answer: Answer, statuses: tuple[int, ...], what: str) -> None:
        """Raise RegistryRefuses, with what the registry says of it, for an answer of another status."""
        if answer.status not in statuses:
            with answer:
                raise RegistryRefuses(self.server.host, what, answer.status, self._said(answer) or answer.reason)

    def _authorized(
        self,
        method: str,
        place: Place,
        what: str,
        scopes: tuple[str, ...],
        headers: Mapping[str, str],
        body: Body | None,
    ) -> Answer:
        answer = self._followed(method, place, scopes, headers, body)
        if answer.status == 401 and self.server.owns(answer.address):
            # A token that was thought fresh may have ended, and the first request has none.
            with answer:
                self._challenged(answer, what)
            with self._lock:
                self._tokens.pop(scopes, None)
            answer = self._followed(method, place, scopes, headers, body)
        if answer.status == 401:
            with answer:
                raise Unauthorized(self.server.host, what, self.user, self._said(answer))
        if answer.status == 403:
            with answer:
                said = self._said(answer)
                if self._login is None:
                    raise Unauthorized(self.server.host, what, "", said)
                raise Denied(self.server.host, what, self.user, said)
        return answer

    def _followed(
        self, method: str, place: Place, scopes: tuple[str, ...], headers: Mapping[str, str], body: Body | None
    ) -> Answer:
        reads = method in ("GET", "HEAD")
        for _ in range(MAX_REDIRECTS):
            sent = dict(headers)
            if self.server.owns(place.address):
                sent.update(self._authorization(scopes, place))
            answer = self.server.send(method, place, sent, body() if body is not None else None)
            try:
                following = self.server.redirect(place, answer) if reads else None
            except BadAnswer:
                answer.__exit__()
                raise
            if following is None:
                return answer
            answer.__exit__()
            place = following
        raise BadAnswer(self.server.host, "it sends us elsewhere", f"more than {MAX_REDIRECTS} times")

    def _authorization(self, scopes: tuple[str, ...], place: Place) -> dict[str, str]:
        challenge = self._challenge
        if challenge is None:
            return {}
        if challenge.scheme == BASIC:
            return {"Authorization": self._login.basic} if self._login else {}
        with self._lock:
            token = self._tokens.get(scopes)
            if token is None or not token.fresh:
                token = fetch_token(self.server, challenge, scopes, self._login, place)
                self._tokens[scopes] = token
                self._secrets.add(token.text)
        return {"Authorization": f"Bearer {token.text}"}

    def _challenged(self, answer: Answer, what: str) -> None:
        chosen = choose(parse_challenges(answer.header("WWW-Authenticate")))
        if chosen is None:
            raise Unauthorized(self.server.host, what, self.user, "it does not say how to log in")
        if chosen.scheme == BASIC:
            if self._login is None:
                raise Unauthorized(self.server.host, what)
            if self._login.identity and not self._login.password:
                raise Unauthorized(self.server.host, what, self.user, "it wants a password, and there is a token")
        self._challenge = chosen

    def _pause(self, answer: Answer, pause: float, what: str) -> float:
        """Return how long to wait before the next attempt. Raises RegistryRefuses where that is too long."""
        wanted = _retry_after(answer.header("Retry-After"))
        if wanted is None:
            return pause
        if wanted > self.server.patience.longest:
            reason = f"{answer.reason}, and to be asked again in {wanted:.0f} seconds"
            raise RegistryRefuses(self.server.host, what, answer.status, reason)
        return wanted

    def _said(self, answer: Answer) -> str:
        """Return what the registry says of an error, in one line, without anything that is secret."""
        try:
            plain = json.loads(document(answer, _MAX_ERROR, self.server.patience))
            error = plain["errors"][0]
            texts = [error.get("code"), error.get("message")]
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError, TooMuch, HTTPError):
            return ""
        said = ": ".join(" ".join(text.split())[:200] for text in texts if isinstance(text, str) and text)
        for secret in self._secrets:
            if len(secret) >= _LEAST_SECRET:
                said = said.replace(secret, "***")
        return said


def _retry_after(text: str) -> float | None:
    """Return the seconds that a server wants us to wait (RFC 9110, 10.2.3), None if it doesn't say."""
    text = text.strip()[:64]
    if text.isascii() and text.isdigit():
        return float(text[:12])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None

"""How a registry is reached: with encryption, or on this machine without; through which connections, and which
addresses are its own."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import IO
from urllib.parse import urljoin

from urllib3 import Timeout
from urllib3.exceptions import HTTPError, MaxRetryError, SSLError

from envbuild.http.addresses import BadAddress, WebAddress, without_user
from envbuild.http.connections import Answer, Connections, Refused, cause, is_untrusted
from envbuild.http.reach import Level
from envbuild.http.transport import Transport
from envbuild.record import Record
from envbuild.registry.certificates import authorities_for, folder_of
from envbuild.registry.errors import BadAnswer, NotEncrypted, Unreachable
from envbuild.registry.reference import is_loopback, split_host

MAX_REDIRECTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)


class Patience(Record):
    """How long a registry may take: `answer` seconds for an answer and between the pieces of a body, `document` seconds
    for a document; of a blob at least `window_bytes` have to come within `window` seconds. Up to `attempts` times is
    something asked for, `pause` seconds and then twice as many apart, or at most `longest` where it says how long."""

    answer: float = 60.0
    document: float = 120.0
    window: float = 60.0
    window_bytes: int = 64 << 10
    attempts: int = 5
    pause: float = 0.5
    longest: float = 120.0


class Place(Record):
    """An address that a server named, and where that lies which named it, None for the user."""

    address: WebAddress
    giver: Level | None = None


class Server:
    """A registry's server. `insecure` allows connections without encryption, and certificates of anybody."""

    def __init__(
        self, host: str, folders: tuple[str, ...] = (), *, insecure: bool = False, patience: Patience | None = None
    ) -> None:
        self.host = host
        self.patience = patience or Patience()
        self._plain = insecure or is_loopback(host)
        self._name = split_host(host)[0].strip("[]")
        folder = folder_of(folders, host)
        timeout = Timeout(self.patience.answer)
        self._own = Connections(Transport(), timeout, authorities_for(folder, verified=not insecure), True)
        # Who we are is shown to the registry alone; whom it trusts holds for where it sends us, too.
        self._make_others: Callable[[], Connections] = lambda: Connections(
            Transport(), timeout, authorities_for(folder, show=False), True
        )
        self._others: Connections | None = None
        self._making = threading.Lock()
        self._base: WebAddress | None = None

    @property
    def encrypted(self) -> bool:
        """Whether what is told to the registry is encrypted; known after the first request."""
        return self._base is not None and self._base.startswith("https:")

    def address(self, path: str) -> Place:
        """Return the address of a path of the registry's interface. Raises Unreachable and NotEncrypted."""
        if self._base is None:
            self._base = self._reached()
        return Place(WebAddress(f"{self._base}{path}"))

    def owns(self, address: WebAddress) -> bool:
        """Return whether an address is the registry's own: the same scheme, host and port."""
        return self._base is not None and address.server == self._base.server

    def same_host(self, address: WebAddress) -> bool:
        """Return whether an address is on the registry's host, at whatever port."""
        return address.host == self._name

    def place(self, location: str, asked: Place, answer: Answer) -> Place:
        """Return where an answer sends us. Raises BadAnswer."""
        try:
            address = WebAddress(without_user(urljoin(asked.address, location)))
        except (BadAddress, ValueError):
            raise BadAnswer(self.host, "it sends us elsewhere", f"{location[:100]!a} is not an address") from None
        if asked.address.startswith("https:") and not address.startswith("https:"):
            raise BadAnswer(self.host, "it sends us elsewhere", f"from https to {address.host} without encryption")
        return Place(address, None if self.owns(address) else answer.level)

    def send(
        self, method: str, place: Place, headers: Mapping[str, str], body: bytes | IO[bytes] | None = None
    ) -> Answer:
        """Return the answer to one request. Raises HTTPError where the connection breaks, and BadAnswer where we may
        not be sent."""
        connections = self._own if self.same_host(place.address) else self._elsewhere()
        try:
            return connections.send(place.address, headers, place.giver, method, body)
        except Refused as error:
            raise BadAnswer(self.host, "it sends us elsewhere", str(error)) from error
        except MaxRetryError as error:
            if is_untrusted(error):
                raise NotEncrypted(place.address.parts.netloc, _certificate_reason(error)) from error
            if isinstance(error.reason, Refused):
                raise BadAnswer(self.host, "it sends us elsewhere", str(error.reason)) from error
            raise

    def redirect(self, asked: Place, answer: Answer) -> Place | None:
        """Return where an answer sends a reader on to, None if it is one itself. Raises BadAnswer."""
        location = answer.header("Location") if answer.status in _REDIRECTS else ""
        return self.place(location, asked, answer) if location else None

    def _elsewhere(self) -> Connections:
        with self._making:
            if self._others is None:
                self._others = self._make_others()
            return self._others

    def _reached(self) -> WebAddress:
        """Return the beginning of the registry's addresses: with encryption, unless it knows none and may do so."""
        reason = ""
        for address in self._addresses():
            try:
                with self.send("GET", Place(WebAddress(f"{address}/v2/")), {}):
                    return WebAddress(address)
            except HTTPError as error:
                speaks = isinstance(error, MaxRetryError) and isinstance(error.reason, SSLError)
                reason = reason if reason and not speaks else cause(error)
                if speaks and not self._plain:
                    raise NotEncrypted(self.host, "it does not speak TLS") from error
        raise Unreachable(self.host, reason)

    def _addresses(self) -> Iterator[str]:
        yield f"https://{self.host}"
        if self._plain:
            yield f"http://{self.host}"


def _certificate_reason(error: MaxRetryError) -> str:
    for part in error.reason.args if error.reason else ():
        if isinstance(part, ssl.SSLCertVerificationError):
            return f"its certificate can't be trusted: {part.verify_message}"
    return "its certificate can't be trusted"

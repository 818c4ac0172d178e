"""The heads of HTTP/1.1 messages (RFC 9112), read strictly: what two readers could take in two ways is refused."""

from __future__ import annotations

import re

from envbuild.language.network_hosts import MAX_PORT, host_of
from envbuild.language.values import InvalidValue
from envbuild.record import Record

MAX_HEAD = 64 << 10
"""Bytes of the first line and all fields."""
MAX_FIELDS = 200
MAX_LENGTH_DIGITS = 18
CHUNKED = -1
"""As a length: the body comes in chunks."""
TO_THE_END = -2
"""As a length: the body ends with the connection."""
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VERSION = re.compile(r"HTTP/1\.[01]")
_STATUS = re.compile(r"(HTTP/1\.[01]) ([1-5][0-9]{2})(?: ([^\x00-\x08\x0a-\x1f\x7f]*))?")
_TARGET = re.compile(r"[\x21-\x7e\x80-\xff]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_PORT = re.compile(r"[0-9]{1,5}")
_HOP_BY_HOP = frozenset(
    (
        "connection",
        "expect",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
"""Fields that are between two neighbours (RFC 9110, 7.6.1)."""
_WITHOUT_BODY = (204, 304)

Fields = tuple[tuple[str, str], ...]


class Malformed(Exception):
    """A message that is not one. `status` is what its sender is answered."""

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


class RequestHead(Record):
    """What a client asks. `scheme` is "" for CONNECT. `target` is the path with the query as it goes to the server,
    `length` that of the body or CHUNKED."""

    method: str
    scheme: str
    host: str
    port: int
    target: str
    fields: Fields
    length: int
    keeps: bool
    modern: bool
    expects: bool


class ResponseHead(Record):
    """What a server answers; `length` may also be TO_THE_END."""

    status: int
    reason: str
    fields: Fields
    length: int
    keeps: bool


def read_request(head: bytes) -> RequestHead:
    """Return the head of a request to a proxy. Raises Malformed."""
    first, fields = _parts(head)
    words = first.split(" ")
    if len(words) != 3 or not _TOKEN.fullmatch(words[0]) or not _TARGET.fullmatch(words[1]):
        raise Malformed("this is not a request")
    method, target, version = words
    if not _VERSION.fullmatch(version):
        raise Malformed("only HTTP/1.1 is spoken here", 505)
    length = _length_of_request(fields)
    modern = version == "HTTP/1.1"
    keeps = _keeps(fields, modern)
    if method == "CONNECT":
        host, port = _authority(target, None)
        if length:
            raise Malformed("a CONNECT has no body")
        return RequestHead(method, "", host, port, "", (), 0, keeps, modern, False)
    scheme, separator, rest = target.partition("://")
    if not separator:
        raise Malformed("this is a proxy: it is asked for whole addresses, http://HOST/PATH")
    if scheme.lower() != "http":
        raise Malformed("only http:// addresses, and CONNECT for https, pass here", 501)
    end = min((at for mark in "/?#" if (at := rest.find(mark)) >= 0), default=len(rest))
    host, port = _authority(rest[:end], 80)
    path = rest[end:].partition("#")[0]
    path = path if path.startswith("/") else f"/{path}"
    expects = modern and any(name == "expect" and value.lower() == "100-continue" for name, value in fields)
    return RequestHead(method, "http", host, port, path, _end_to_end(fields), length, keeps, modern, expects)


def read_response(head: bytes, method: str) -> ResponseHead:
    """Return the head of an answer to a request with this method. Raises Malformed."""
    first, fields = _parts(head)
    match = _STATUS.fullmatch(first)
    if match is None:
        raise Malformed("the server's answer is not HTTP/1.1", 502)
    status = int(match[2])
    if status == 101:
        raise Malformed("the server changes to another protocol, which nobody asked for", 502)
    codings, lengths = _all(fields, "transfer-encoding"), _all(fields, "content-length")
    if method == "HEAD" or status < 200 or status in _WITHOUT_BODY:
        length = 0
    elif codings:
        if [coding.lower() for coding in codings] != ["chunked"]:
            raise Malformed("the server's answer is packed in a way that nobody asked for", 502)
        length = CHUNKED
    elif lengths:
        length = _number(lengths, 502)
    else:
        length = TO_THE_END
    keeps = length != TO_THE_END and _keeps(fields, match[1] == "HTTP/1.1")
    kept = _end_to_end(fields)
    if codings:
        # The chunks say how long it is, and that alone goes on (RFC 9112, 6.3).
        kept = tuple(pair for pair in kept if pair[0] != "content-length")
    return ResponseHead(status, match[3] or "", kept, length, keeps)


def chunk_size(line: bytes) -> int:
    """Return the size that the first line of a chunk says. Raises Malformed."""
    digits = line.removesuffix(b"\r\n").partition(b";")[0].rstrip(b" \t")
    if not 1 <= len(digits) <= 15 or digits.strip(b"0123456789abcdefABCDEF"):
        raise Malformed("a chunk has no size")
    return int(digits, 16)


def _parts(head: bytes) -> tuple[str, Fields]:
    if len(head) > MAX_HEAD:
        raise Malformed(f"the head is longer than {MAX_HEAD} bytes", 431)
    first, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    if len(lines) > MAX_FIELDS:
        raise Malformed(f"the head has more than {MAX_FIELDS} fields", 431)
    fields = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
            raise Malformed("a field of the head is not one")
        fields.append((name.lower(), value.strip(" \t")))
    return first, tuple(fields)


def _all(fields: Fields, name: str) -> list[str]:
    """Return the members of all lists that stand under a name."""
    return [part.strip(" \t") for key, value in fields if key == name for part in value.split(",")]


def _keeps(fields: Fields, modern: bool) -> bool:
    words = {word.lower() for name in ("connection", "proxy-connection") for word in _all(fields, name)}
    return "close" not in words and (modern or "keep-alive" in words)


def _length_of_request(fields: Fields) -> int:
    codings, lengths = _all(fields, "transfer-encoding"), _all(fields, "content-length")
    if codings and lengths:
        raise Malformed("a body has a length or comes in chunks, not both")
    if codings and [coding.lower() for coding in codings] != ["chunked"]:
        raise Malformed("a body comes in chunks, or with a length", 501)
    return CHUNKED if codings else _number(lengths, 400) if lengths else 0


def _number(lengths: list[str], status: int) -> int:
    (length, *others) = lengths
    if others or not length.isascii() or not length.isdigit() or len(length) > MAX_LENGTH_DIGITS:
        raise Malformed("the length of a body is not one number", status)
    return int(length)


def _end_to_end(fields: Fields) -> Fields:
    """Return the fields that are meant for the other end. `Host` is left out: the target says which host is asked."""
    named = {word.lower() for word in _all(fields, "connection")}
    return tuple((name, value) for name, value in fields if name not in _HOP_BY_HOP | named | {"host"})


def _authority(text: str, usual_port: int | None) -> tuple[str, int]:
    if "@" in text:
        raise Malformed("an address has no user here: it goes into the head, as Authorization")
    name, colon, port = text, "", ""
    if not text.endswith("]"):
        name, colon, port = text.rpartition(":") if ":" in text else (text, "", "")
    if colon and port and (not _PORT.fullmatch(port) or not 0 < int(port) <= MAX_PORT):
        raise Malformed("a port is a number from 1 to 65535")
    if not port and usual_port is None:
        raise Malformed("CONNECT needs HOST:PORT")
    try:
        return host_of(name), int(port) if port else usual_port or 0
    except InvalidValue as error:
        raise Malformed(error.message.encode("ascii", "backslashreplace").decode()) from None

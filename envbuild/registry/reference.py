"""Names of images in registries: `HOST[:PORT]/PATH[:TAG][@sha256:...]` (distribution's reference grammar). A name
without a host means none: no registry is the usual one."""

from __future__ import annotations

import re
from ipaddress import ip_address

from envbuild.errors import UsageError, fields
from envbuild.record import Record

_LABEL = r"(?:[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9-]*[A-Za-z0-9])"
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:]+\])(?::[0-9]{{1,5}})?")
_PATH = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_MAX_NAME = 255
LATEST = "latest"
PULL, PUSH = "pull", "pull,push"
"""The rights that are asked for in a repository (distribution's "Token Scope Documentation")."""


@fields
class BadReference(UsageError):
    """A text that names no image of a registry."""

    reference: str
    reason: str

    def text(self) -> tuple[str, str]:
        return (
            f"'{self.reference[:300]}' does not name an image of a registry: {self.reason}",
            "as in: HOST/shop/web:1.2",
        )


class RegistryReference(Record):
    """An image or, without tag and digest, a repository of a registry. `host` may have a port."""

    host: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def text(self) -> str:
        """The reference as it is written."""
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.host}/{self.path}{tag}{digest}"

    @property
    def version(self) -> str:
        """What the registry is asked for: the digest, else the tag."""
        return self.digest or self.tag or LATEST

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]


def parse_reference(text: str) -> RegistryReference:
    """Return what a text names. Raises BadReference."""
    if "://" in text:
        raise BadReference(text, "it has a scheme before the host")
    host, slash, rest = text.partition("/")
    if not slash or not is_host(host):
        raise BadReference(text, "it does not begin with a host")
    rest, at, digest = rest.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        raise BadReference(text, "what follows @ is not a sha256 digest")
    path, colon, tag = rest.partition(":")
    if colon and not _TAG.fullmatch(tag):
        raise BadReference(text, f"'{tag[:140]}' is not a tag")
    if len(path) + len(host) > _MAX_NAME or not all(map(_PATH.fullmatch, path.split("/"))):
        raise BadReference(text, f"'{path[:260]}' is not a path in lower case")
    return RegistryReference(parse_host(host), path, tag, digest)


def parse_host(text: str) -> str:
    """Return a registry's host with its port, in lower case. Raises BadReference."""
    if not is_host(text):
        raise BadReference(text, "it does not begin with a host")
    name, port = split_host(text)
    if port and not 0 < int(port) < 65536:
        raise BadReference(text, f"there is no port {port}")
    if name.startswith("["):
        try:
            ip_address(name[1:-1])
        except ValueError:
            raise BadReference(text, f"{name} is not an address") from None
    return text.lower()


def is_host(text: str) -> bool:
    """Return whether a text is a host as they stand before a path: `localhost`, or with a dot, a port or brackets."""
    if not _HOST.fullmatch(text) or len(text) > _MAX_NAME:
        return False
    name = split_host(text)[0]
    return name.lower() == "localhost" or any(mark in text for mark in ".:")


def split_host(host: str) -> tuple[str, str]:
    """Return a host's name, in brackets for an IPv6 address, and its port, "" without."""
    name, colon, port = host.rpartition(":")
    return (name, port) if colon and not port.endswith("]") else (host, "")


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine by its name alone, whatever a name server says."""
    name = split_host(host)[0].strip("[]").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False

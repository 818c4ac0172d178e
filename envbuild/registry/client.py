"""A repository of a registry: its manifests, its tags, and whether it has a blob (distribution specification)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from hashlib import sha256
from typing import Any
from urllib.parse import urljoin

from urllib3.exceptions import HTTPError

from envbuild.http.addresses import BadAddress, WebAddress
from envbuild.http.connections import Answer
from envbuild.oci.descriptor import Descriptor
from envbuild.oci.manifest import INDEXES, MANIFESTS, MAX_DOCUMENT
from envbuild.registry.bodies import TooMuch, TooSlow, document
from envbuild.registry.errors import BadAnswer, NotInRegistry, Unreachable
from envbuild.registry.exchange import Exchange
from envbuild.registry.reference import PULL, RegistryReference
from envbuild.registry.server import Place

_ACCEPT = ", ".join((*MANIFESTS, *INDEXES))
_DIGEST_HEADER = "Docker-Content-Digest"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_LINK = re.compile(r'\s*<([^<>]{1,4000})>\s*;(?:[^,]*;)?\s*rel\s*=\s*"?next"?', re.IGNORECASE)
_TEXT = re.compile(r"[\x21-\x7e]{1,400}")
_MAX_PAGES = 1000
_MAX_REFERRER_PAGES = 16
_MAX_NAMES = 100_000


class Repository:
    """A repository, for reading (`rights` PULL) or for writing, too (PUSH)."""

    def __init__(self, exchange: Exchange, path: str, rights: str = PULL) -> None:
        self.exchange = exchange
        self.host = exchange.server.host
        self.path = path
        self.scopes = (f"repository:{path}:{rights}",)

    def place(self, path: str) -> Place:
        """Return the address of something of this repository."""
        return self.exchange.address(f"/v2/{self.path}/{path}")

    def manifest(self, reference: RegistryReference) -> tuple[Descriptor, bytes]:
        """Return a manifest or an index, and what names it. It is what the digest of the reference says, and what the
        registry says itself. Raises NotInRegistry, BadAnswer and what asking raises."""
        what = f"the manifest of {reference.text}"
        content, answer = self._document(f"manifests/{reference.version}", what, {"Accept": _ACCEPT}, reference.text)
        digest = f"sha256:{sha256(content).hexdigest()}"
        said = answer.header(_DIGEST_HEADER)
        for wanted in (reference.digest, said if _DIGEST.fullmatch(said) else ""):
            if wanted and wanted != digest:
                raise BadAnswer(self.host, what, f"it is not what its digest says: {wanted[:19]}")
        media_type = answer.header("Content-Type").partition(";")[0].strip().lower()
        return Descriptor(_media_type(content, media_type), digest, len(content)), content

    def named_manifest(self, descriptor: Descriptor) -> bytes:
        """Return a manifest or index that an index names. Raises BadAnswer and what asking raises."""
        what = f"the manifest {descriptor.digest[:19]}"
        if descriptor.size > MAX_DOCUMENT:
            raise BadAnswer(self.host, what, f"it has {descriptor.size:,} bytes, more than {MAX_DOCUMENT:,}")
        name = f"{self.host}/{self.path}@{descriptor.digest}"
        content, _ = self._document(f"manifests/{descriptor.digest}", what, {"Accept": _ACCEPT}, name)
        return self._held(content, descriptor, what)

    def small_blob(self, descriptor: Descriptor, most: int, what: str) -> bytes:
        """Return a blob, such as a configuration. Raises BadAnswer and what asking raises."""
        if descriptor.size > most:
            raise BadAnswer(self.host, what, f"it has {descriptor.size:,} bytes, more than {most:,}")
        name = f"{self.host}/{self.path}@{descriptor.digest}"
        content, _ = self._document(f"blobs/{descriptor.digest}", what, {}, name, descriptor.size)
        return self._held(content, descriptor, what)

    def digest_of(self, tag: str) -> str:
        """Return the digest of what a tag names, as the registry says, "" for nothing."""
        what = f"the manifest of {self.path}:{tag}"
        place = self.place(f"manifests/{tag}")
        with self.exchange.ask("HEAD", place, what, scopes=self.scopes, headers={"Accept": _ACCEPT}) as answer:
            if answer.status == 404:
                return ""
            self.exchange.expect(answer, (200,), what)
            said = answer.header(_DIGEST_HEADER)
        if _DIGEST.fullmatch(said):
            return said
        # The header is no duty of a registry (distribution specification, "Checking if content exists").
        return self.manifest(RegistryReference(self.host, self.path, tag))[0].digest

    def has_blob(self, digest: str, size: int) -> bool:
        """Return whether the registry has a blob in this repository. Raises what asking raises."""
        what = f"the blob {digest[:19]}"
        with self.exchange.ask("HEAD", self.place(f"blobs/{digest}"), what, scopes=self.scopes) as answer:
            if answer.status == 404:
                return False
            self.exchange.expect(answer, (200,), what)
            # One that the registry has cut short is sent once more.
            return answer.length in (0, size)

    def put_manifest(self, version: str, media_type: str, content: bytes) -> str:
        """Give a tag, or a digest, this manifest, and return the digest of the subject that the registry noted it for,
        "" where it notes none (distribution specification 1.1, "OCI-Subject"). Raises BadAnswer and what asking
        raises."""
        what = f"push the manifest {self.path}:{version}"
        headers = {"Content-Type": media_type}
        place = self.place(f"manifests/{version}")
        with self.exchange.ask("PUT", place, what, scopes=self.scopes, headers=headers, body=lambda: content) as answer:
            self.exchange.expect(answer, (200, 201, 202), what)
            said = answer.header(_DIGEST_HEADER)
            subject = answer.header("OCI-Subject")
        if said and said != f"sha256:{sha256(content).hexdigest()}":
            raise BadAnswer(self.host, what, f"it kept something else: {said[:80]!a}")
        return subject

    def referrers(self, digest: str) -> Iterator[dict[str, Any]]:
        """Yield the entries of the index of what refers to a manifest, as the registry has them. Raises NotInRegistry
        where it can't say, BadAnswer and what asking raises."""
        what = f"the referrers of {digest[:19]}"
        place = self.place(f"referrers/{digest}")
        name = f"{self.host}/{self.path}@{digest}"
        for content in _pages(self.exchange, place, what, self.scopes, name, _MAX_REFERRER_PAGES):
            try:
                entries = json.loads(content)["manifests"]
            except (ValueError, TypeError, KeyError, RecursionError):
                raise BadAnswer(self.host, what, "the answer can't be read") from None
            if not isinstance(entries, list):
                raise BadAnswer(self.host, what, "the answer can't be read")
            yield from (entry for entry in entries if isinstance(entry, dict))

    def tags(self) -> Iterator[str]:
        """Yield the tags of this repository. Raises NotInRegistry and what asking raises."""
        name = f"{self.host}/{self.path}"
        yield from _names(self.exchange, self.place("tags/list"), "tags", self.scopes, name)

    def _document(
        self, path: str, what: str, headers: dict[str, str], name: str, most: int = MAX_DOCUMENT
    ) -> tuple[bytes, Answer]:
        return _read(self.exchange, self.place(path), what, headers, name, most, self.scopes)

    def _held(self, content: bytes, descriptor: Descriptor, what: str) -> bytes:
        if len(content) != descriptor.size or f"sha256:{sha256(content).hexdigest()}" != descriptor.digest:
            raise BadAnswer(self.host, what, f"it is not what its digest says: {descriptor.digest[:19]}")
        return content


def repositories(exchange: Exchange) -> Iterator[str]:
    """Yield the repositories of a registry, which many don't tell. Raises what asking raises."""
    scopes = ("registry:catalog:*",)
    yield from _names(exchange, exchange.address("/v2/_catalog"), "repositories", scopes, exchange.server.host)


def _names(exchange: Exchange, place: Place, member: str, scopes: tuple[str, ...], name: str) -> Iterator[str]:
    what = f"the {member} of {name}"
    count = 0
    for content in _pages(exchange, place, what, scopes, name, _MAX_PAGES):
        try:
            names = json.loads(content).get(member) or []
        except (ValueError, AttributeError, RecursionError):
            raise BadAnswer(exchange.server.host, what, "the answer can't be read") from None
        if not isinstance(names, list) or not all(isinstance(text, str) and _TEXT.fullmatch(text) for text in names):
            raise BadAnswer(exchange.server.host, what, "the answer can't be read")
        yield from names
        count += len(names)
        if count > _MAX_NAMES:
            raise BadAnswer(exchange.server.host, what, "it has no end, or goes on elsewhere")


def _pages(
    exchange: Exchange, place: Place, what: str, scopes: tuple[str, ...], name: str, most: int
) -> Iterator[bytes]:
    """Yield the pages of a list. Raises BadAnswer for more than so many."""
    for _ in range(most):
        content, answer = _read(exchange, place, what, {}, name, MAX_DOCUMENT, scopes)
        yield content
        following = _LINK.match(answer.header("Link"))
        if following is None:
            return
        try:
            place = Place(WebAddress(urljoin(place.address, following.group(1))))
        except BadAddress:
            raise BadAnswer(exchange.server.host, what, "its next page has no address") from None
        if not exchange.server.owns(place.address):
            raise BadAnswer(exchange.server.host, what, "it has no end, or goes on elsewhere")
    raise BadAnswer(exchange.server.host, what, "it has no end, or goes on elsewhere")


def _read(
    exchange: Exchange,
    place: Place,
    what: str,
    headers: dict[str, str],
    name: str,
    most: int,
    scopes: tuple[str, ...],
) -> tuple[bytes, Answer]:
    """Return a document and its answer, which is asked for again where the connection breaks."""
    patience = exchange.server.patience
    last: Exception | None = None
    for _ in range(2):
        with exchange.ask("GET", place, what, scopes=scopes, headers=headers) as answer:
            if answer.status == 404:
                raise NotInRegistry(name, exchange.server.host)
            exchange.expect(answer, (200,), what)
            try:
                return document(answer, most, patience), answer
            except TooMuch:
                raise BadAnswer(exchange.server.host, what, f"it has more than {most:,} bytes") from None
            except TooSlow as error:
                raise Unreachable(exchange.server.host, f"{what}: {error}") from error
            except HTTPError as error:
                last = error
    raise Unreachable(exchange.server.host, f"{what}: {last}")


def _media_type(content: bytes, said: str) -> str:
    """Return what kind of document a manifest is. It says so itself (image specification 1.1); the header holds for old
    ones that don't."""
    try:
        own = json.loads(content).get("mediaType")
    except (ValueError, AttributeError, RecursionError):
        own = None
    return own if isinstance(own, str) and own else said

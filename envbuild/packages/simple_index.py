"""A Python package index: which files a project has (Simple Repository API; PEP 503 for HTML, PEP 691 for JSON)."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from urllib.parse import unquote, urldefrag, urljoin

from envbuild.packages.download import Connections
from envbuild.record import Record

ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"


class IndexFile(Record):
    """One file of a project; `sha256` is "" where the index does not give it."""

    name: str
    address: str
    sha256: str
    requires_python: str = ""
    yanked: bool = False


def files_of(connections: Connections, index: str, project: str) -> list[IndexFile]:
    """The files of a project (its normal name) in an index, [] if that does not have it. Raises urllib3's HTTPError."""
    address = f"{index.rstrip('/')}/{project}/"
    return files_on(connections, address)


def files_on(connections: Connections, address: str) -> list[IndexFile]:
    """The files that a page links to: a project's, or one of find-links."""
    status, body = connections.read(address, {"Accept": ACCEPT})
    if status != 200:
        return []
    if body.lstrip().startswith(b"{"):
        return [
            IndexFile(
                one["filename"],
                urljoin(address, one["url"]),
                one.get("hashes", {}).get("sha256", ""),
                one.get("requires-python") or "",
                bool(one.get("yanked")),
            )
            for one in json.loads(body)["files"]
        ]
    parser = _Links(address)
    parser.feed(body.decode("utf-8", "replace"))
    return parser.found


class _Links(HTMLParser):
    def __init__(self, address: str) -> None:
        super().__init__()
        self.found: list[IndexFile] = []
        self._address = address

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        href = values.get("href")
        if tag == "base" and href:
            self._address = urljoin(self._address, href)
        if tag != "a" or not href:
            return
        address, fragment = urldefrag(urljoin(self._address, href))
        algorithm, _, digest = fragment.partition("=")
        name = unquote(address.rpartition("/")[2])
        requires = values.get("data-requires-python") or ""
        sha256 = digest if algorithm == "sha256" else ""
        self.found.append(IndexFile(name, address, sha256, requires, "data-yanked" in values))

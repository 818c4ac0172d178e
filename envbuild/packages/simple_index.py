"""A Python package index: which files a project has (Simple Repository API; PEP 503 for HTML, PEP 691 for JSON)."""

from __future__ import annotations

from dataclasses import dataclass
from html.parser import HTMLParser
from urllib.parse import unquote, urldefrag, urljoin

from urllib3.exceptions import HTTPError

from envbuild.http.addresses import BadAddress, WebAddress
from envbuild.http.connections import Connections
from envbuild.http.reach import Level
from envbuild.lockfile.checked_name import UnsafeName
from envbuild.packages.cache import Address
from envbuild.packages.documents import BadDocument, fields_of
from envbuild.packages.python_names import SourceName, WheelName, distribution_file

ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
MAX_FILES = 200_000


@dataclass(frozen=True, slots=True)
class IndexFile:
    """One file of a project; `sha256` is "" where the index does not give it."""

    name: WheelName | SourceName
    address: Address
    sha256: str
    requires_python: str = ""
    yanked: bool = False


def files_on(connections: Connections, address: str, giver: Level | None = None) -> list[IndexFile]:
    """Return the files that a page links to: a project's, or one of find-links; [] if there is no such page. What is
    called as no distribution is, and what has no address of the web, is left out. Raises urllib3's HTTPError, also
    for a page that is none. `giver` is where that lies which named the page, None for the user and the recipe."""
    page = connections.read(address, {"Accept": ACCEPT}, giver)
    if page.status != 200:
        return []
    files: list[IndexFile] = []
    if page.content.lstrip().startswith(b"{"):
        try:
            for item in fields_of(page.content, address).objects("files"):
                sha256 = item.fields("hashes").text("sha256", "")
                requires, yanked = item.text("requires-python", ""), item.flag("yanked")
                link = urljoin(page.address, item.text("url"))
                _add(files, item.text("filename"), link, page.level, sha256, requires, yanked=yanked)
        except (BadDocument, ValueError) as error:
            raise HTTPError(str(error)) from error
    else:
        try:
            _Links(page.address, page.level, files).feed(page.content.decode("utf-8", "replace"))
        except (AssertionError, RecursionError, ValueError) as error:
            raise HTTPError(f"it is not an index page: {error}") from error
    return files


def _add(
    files: list[IndexFile], name: str, address: str, giver: Level, sha256: str, requires: str, *, yanked: bool
) -> None:
    try:
        file = distribution_file(name)
        link = Address(WebAddress(address), giver)
    except (UnsafeName, BadAddress):
        return
    if len(files) >= MAX_FILES:
        raise ValueError(f"it names more than {MAX_FILES} files")
    if len(sha256) == 64 and not sha256.strip("0123456789abcdef"):
        files.append(IndexFile(file, link, sha256, requires, yanked))
    else:
        files.append(IndexFile(file, link, "", requires, yanked))


class _Links(HTMLParser):
    def __init__(self, address: str, giver: Level, files: list[IndexFile]) -> None:
        super().__init__()
        self._files = files
        self._address = address
        self._giver = giver

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        href = values.get("href")
        if tag == "base" and href:
            self._address = urljoin(self._address, href)  # a page without a base that is one has no links
        if tag != "a" or not href:
            return
        try:
            address, fragment = urldefrag(urljoin(self._address, href))
        except ValueError:
            return  # an address that is none, among others
        algorithm, _, digest = fragment.partition("=")
        name = unquote(address.partition("?")[0].rpartition("/")[2])
        sha256 = digest if algorithm == "sha256" else ""
        requires, yanked = values.get("data-requires-python") or "", "data-yanked" in values
        _add(self._files, name, address, self._giver, sha256, requires, yanked=yanked)

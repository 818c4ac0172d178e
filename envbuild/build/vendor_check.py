"""`envbuild vendor --check`: whether locks could be rebuilt today, and where each file would come from.

Nothing is fetched but pages of indexes: servers are asked whether they have a file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from urllib3.exceptions import HTTPError

from envbuild.build.fetch import has_content
from envbuild.build.file_origins import FileOrigins
from envbuild.build.pinned_files import FETCH, LockNeeds, PinnedFile, is_commit_file
from envbuild.build.request import BuildRequest
from envbuild.errors import EnvbuildError
from envbuild.http.addresses import without_user
from envbuild.http.connections import MAX_PARALLEL, Connections, cause
from envbuild.language.git_address import is_commit
from envbuild.packages.cache import Address, Cache
from envbuild.packages.places import Places
from envbuild.packages.presence import absence
from envbuild.record import Record
from envbuild.store.store import Store

STORE, PLACE, ORIGIN, ARCHIVE, NOWHERE = "store", "place", "origin", "archive", "nowhere"


class Whereabouts(Record):
    """Where a file would come from: `source` is one of the words above, `where` the address. `reasons` are why it would
    come from nowhere nearer, as far as somebody was asked."""

    file: PinnedFile
    source: str
    where: str = ""
    reasons: tuple[str, ...] = ()


def check(
    needs: Sequence[LockNeeds],
    store: Store,
    request: BuildRequest,
    warn: Callable[[str], None],
    progress: Callable[[str, int, int], None],
) -> dict[str, Whereabouts]:
    """Return where each file of the locks would come from, by its hash."""
    files = list({file.package.hash: file for need in needs for file in need.files}.values())
    checking = _Checking(store, request, warn)
    sources = {}
    with ThreadPoolExecutor(MAX_PARALLEL, "check") as pool:
        for file, answer in zip(files, pool.map(checking.find, files), strict=True):
            sources[file.package.hash] = answer
            progress("looking", len(sources), len(files))
    return sources


class _Checking:
    def __init__(self, store: Store, request: BuildRequest, warn: Callable[[str], None]) -> None:
        self._store = store
        self._cache = Cache(store.packages_path, store.work.exclusive)
        self._origins = FileOrigins(request)
        self._places = Places(request.places, request.fetch_limit, request.home, warn)
        self._places.leave_out_silent()
        self._connections: dict[str, Connections] = {}

    def find(self, file: PinnedFile) -> Whereabouts:
        """Return where a file would come from."""
        package = file.package
        if self._is_in_store(file):
            return Whereabouts(file, STORE)
        place = self._places.find(package.hash, read=True)
        if place:
            return Whereabouts(file, PLACE, place)
        if is_commit_file(file):
            return self._ask_git(file)
        origins = self._origins.find(file)
        reasons = [*origins.problems]
        try:
            connections = self._connections_of(file)
        except EnvbuildError as error:
            return Whereabouts(file, NOWHERE, reasons=(*reasons, error.message))
        for source, addresses in ((ORIGIN, origins.published), (ARCHIVE, origins.archived)):
            where = _first(connections, addresses, reasons)
            if where:
                return Whereabouts(file, source, where, tuple(reasons))
        if origins.look_up is not None:
            try:
                archived = origins.look_up(partial(_read, connections))
            except EnvbuildError as error:
                reasons.append(error.message)
            except HTTPError as error:
                reasons.append(cause(error))
            else:
                where = _first(connections, archived, reasons)
                if where:
                    return Whereabouts(file, ARCHIVE, where, tuple(reasons))
        return Whereabouts(file, NOWHERE, reasons=tuple(reasons))

    def _ask_git(self, file: PinnedFile) -> Whereabouts:
        """Return whether a repository still has a commit."""
        from envbuild.build.fetch_git import ask_git  # git, only where a commit is fetched

        package = file.package
        try:
            ask_git(self._store, package.origin, package.version if is_commit(package.version) else "")
        except EnvbuildError as error:
            return Whereabouts(file, NOWHERE, reasons=(error.message,))
        return Whereabouts(file, ORIGIN, without_user(package.origin))

    def _is_in_store(self, file: PinnedFile) -> bool:
        if file.kind == FETCH:
            return has_content(self._store, file.package.hash.partition(":")[2])
        return self._cache.verify(file.package)

    def _connections_of(self, file: PinnedFile) -> Connections:
        group = self._origins.group(file)
        if group not in self._connections:
            # Two threads may make it: the first one's is for both.
            self._connections.setdefault(group, Connections(self._origins.transport(file)))
        return self._connections[group]


def _first(connections: Connections, addresses: Sequence[Address], reasons: list[str]) -> str:
    """Return the first address at which a file is; add to the reasons why it is not at others."""
    for address in addresses:
        missing = absence(connections, address)
        if missing is None:
            return without_user(address.url)
        reasons.append(missing.text)
    return ""


def _read(connections: Connections, address: str) -> bytes:
    page = connections.read(address, {})
    if page.status != 200:
        raise HTTPError(f"{without_user(address)}: {page.status}")
    return page.content

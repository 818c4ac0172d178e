"""`fetch git+https://...`: the files of a commit, kept in the store as an archive by its sha256, as a file is.

The name of a branch or a tag is asked for once; the lock pins the commit that it meant, and the archive's digest.
"""

from __future__ import annotations

import os
import socket
from urllib.parse import urlsplit

from envbuild.build.fetch import FetchFailed, WrongDigest, hash_file, keep_fetched
from envbuild.build.file_sources import FileSources, NeedsNetwork
from envbuild.git.commit_archive import write_archive_of
from envbuild.git.network_program import Allowed
from envbuild.git.remote import gives, resolve
from envbuild.http.addresses import without_user
from envbuild.http.reach import Level, level_of, level_of_name
from envbuild.language.git_address import PREFIX, git_address
from envbuild.record import Record
from envbuild.store.store import Store
from envbuild.tree.entry import Digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_ASKED = "/info/refs?service=git-upload-pack"
_SECONDS = 30.0
_ENOUGH_TO_TELL = 16 << 20
"""Bytes of a commit that a server sends without being asked for them, where only its presence is asked for."""


class FetchedCommit(Record):
    """The sha256 of a commit's archive. `kind` is what its name turned out to be, "" where nobody was asked;
    `redirected` where the server sent us on to, "" if it did not."""

    digest: Digest
    kind: str = ""
    redirected: str = ""


def fetch_git(
    store: Store, url: str, expected: Digest | None, commit: str, source: str, most: int, files: FileSources
) -> FetchedCommit:
    """Fetch the commit that `url` names into the store: the one that the lock pins, if it pins one. `source` is who
    said `expected`.

    Raises FetchFailed, WrongDigest, NeedsNetwork, StoppedByOthers, and what `write_archive_of` and `resolve` do.
    """
    made = FetchedCommit("")
    with store.work.file() as temporary:
        if expected is None or not files.take(f"sha256:{expected}", temporary, lambda size: None):
            if files.offline:
                raise NeedsNetwork(files.recipe, [f"fetch {without_user(url)}"])
            made = make_archive(store, url, commit, temporary, most, files.stopped)
        digest = hash_file(temporary)
        if expected is not None and digest != expected:
            raise WrongDigest(url, expected, digest, source)
        keep_fetched(store, temporary, digest)
    return made.replace(digest=digest)


def make_archive(
    store: Store, url: str, commit: str, path: str, most: int, stopped: Callable[[], bool] = lambda: False
) -> FetchedCommit:
    """Write the archive of a commit to `path`, which does not exist, and leave its digest to the caller. Raises what
    `fetch_git` does."""
    address, allowed, look = git_address(url), Allowed(most, stopped), _Look()
    kind = ""
    known = address.commit or commit
    if not known:
        resolved = resolve(look(address.repository, ""), address.ref, allowed)
        known, kind = resolved.commit, resolved.kind
    with store.work.workspace() as space:
        target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            write_archive_of(address, known, target, f"{space.path}/git", look, allowed)
        finally:
            os.close(target)
    return FetchedCommit("", kind, look.redirected)


def ask_git(store: Store, url: str, commit: str) -> None:
    """Ask whether a repository has the commit that is known, or else the branch or tag. Raises FetchFailed and what
    `resolve` and `gives` do."""
    address, allowed = git_address(url), Allowed(_ENOUGH_TO_TELL)
    repository = _Look()(address.repository, "")
    known = address.commit or commit
    if not known:
        resolve(repository, address.ref, allowed)
        return
    with store.work.workspace() as space:
        gives(repository, known, f"{space.path}/git", allowed)


class _Look:
    """Where addresses of repositories lead. Who was asked once is not asked again."""

    def __init__(self) -> None:
        self.redirected = ""
        self._levels: dict[str, Level] = {}
        self._led: dict[str, str] = {}

    def __call__(self, url: str, giver: str) -> str:
        """Return the address at which git finds the repository of `url`, which another address gave, the recipe where
        that is "". Raises FetchFailed for one that this one has no business to give."""
        if url in self._led and not giver:
            return self._led[url]
        level = self._levels[giver] if giver else None
        find = self._by_name if url.startswith("ssh:") else self._by_request
        led, self._levels[url] = find(url, level)
        self._led[url] = led
        if not giver and led != url:
            self.redirected = PREFIX + led
        return led

    def _by_name(self, url: str, giver: Level | None) -> tuple[str, Level]:
        host = urlsplit(url).hostname or ""
        levels = [level_of_name(host)]
        if giver is not None:
            try:
                levels += [level_of(str(row[4][0])) for row in socket.getaddrinfo(host, None)]
            except OSError:
                pass  # a name of the user's own ssh settings
            for level in levels:
                if not giver.admits(level):
                    reason = f"a {giver.words} server may not send us to {host}, which is a {level.words} address"
                    raise FetchFailed(without_user(url), reason)
        return url, max(levels)

    def _by_request(self, url: str, giver: Level | None) -> tuple[str, Level]:
        """Ask as git would, so that redirects are followed here, where they have limits, and never by git."""
        from urllib3 import Timeout
        from urllib3.exceptions import HTTPError

        from envbuild.http.connections import Connections, Refused, cause
        from envbuild.http.transport import Transport

        connections = Connections(Transport(), Timeout(_SECONDS))
        try:
            with connections.open(f"{url.rstrip('/')}{_ASKED}", {"Git-Protocol": "version=2"}, giver) as answer:
                led, level = str(answer.address), answer.level
        except Refused as error:
            raise FetchFailed(without_user(url), cause(error)) from error
        except HTTPError:
            # git may know a proxy or a certificate that we don't; it says what is wrong.
            return self._by_name(url, giver)
        # Who redirects a user's own name elsewhere is not followed: git would give that server the password.
        if not led.endswith(_ASKED) or without_user(url) != url:
            return url, level
        led = led.removesuffix(_ASKED)
        return (url if led == url.rstrip("/") else led), level

"""`envbuild vendor`: all files that locks pin, in a directory that serves as a place: DIR/ALGORITHM/DIGITS."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from fcntl import LOCK_EX, LOCK_NB, flock

from envbuild.build.fetch import WrongDigest, content_of
from envbuild.build.file_origins import FileOrigins, Origins
from envbuild.build.pinned_files import FETCH, LockNeeds, PinnedFile, is_commit_file
from envbuild.build.request import BuildRequest
from envbuild.errors import EnvbuildError, FileUnusable
from envbuild.http.connections import MAX_PARALLEL
from envbuild.language.git_address import is_commit
from envbuild.lockfile.lock import Package
from envbuild.packages.cache import Cache, Wanted, hash_of
from envbuild.packages.download import fetch
from envbuild.packages.places import Places
from envbuild.record import Record
from envbuild.store.store import Store

Progress = Callable[[str, int, int], None]
"""Gets what is done, how much of it, and how much there is (0 where unknown)."""


class Failure(Record):
    """A file that could not be had, and why."""

    file: PinnedFile
    message: str


class Vendored(Record):
    """What `vendor` did: the number of files and their bytes; how many were `there`, and where the others came from."""

    files: int
    size: int
    there: int
    store: int
    places: int
    fetched: int
    failures: tuple[Failure, ...]


class VendorFolder(Cache):
    """A directory of files by their hashes. They can be read by whom the user's umask lets read."""

    def __init__(self, path: str) -> None:
        super().__init__(path, lambda name: nullcontext())
        self._folder = path
        mask = os.umask(0o077)
        os.umask(mask)
        self._mode = 0o666 & ~mask

    def where(self, package: Package) -> str:
        """Return where the package's file is, or would be."""
        return f"{self._folder}/{package.hash.replace(':', '/')}"

    def make_room(self, package: Package) -> None:
        """Make the directory of a file, and see to it that nothing but a plain file is at its name. Raises
        FileUnusable."""
        path = self.where(package)
        folder = os.path.dirname(path)
        os.makedirs(folder, exist_ok=True)
        _check_kind(folder, stat.S_ISDIR, "a directory")
        for name in (path, f"{path}.part", f"{path}.place"):
            _check_kind(name, stat.S_ISREG, "a plain file")
        with suppress(FileNotFoundError):
            os.unlink(f"{path}.place")  # of a process that was killed


def vendor(
    needs: Sequence[LockNeeds],
    path: str,
    store: Store,
    request: BuildRequest,
    warn: Callable[[str], None],
    progress: Progress,
) -> Vendored:
    """Bring the files of all locks into the directory `path`, which is made; those that are there and good stay, and
    nothing else in it is touched. A file that can't be had keeps no other from it.

    Raises FileUnusable for a directory that can't be used.
    """
    files = list({file.package.hash: file for need in needs for file in need.files}.values())
    with _held(path, warn):
        return _Vendoring(VendorFolder(path), store, request, warn, progress).run(files)


class _Vendoring:
    def __init__(
        self,
        folder: VendorFolder,
        store: Store,
        request: BuildRequest,
        warn: Callable[[str], None],
        progress: Progress,
    ) -> None:
        self._folder = folder
        self._store = store
        self._cache = Cache(store.packages_path, store.work.exclusive)
        self._request = request
        self._warn = warn
        self._progress = progress
        self._by_hash: dict[str, PinnedFile] = {}
        self._failures: list[Failure] = []

    def run(self, files: list[PinnedFile]) -> Vendored:
        self._by_hash = {file.package.hash: file for file in files}
        for file in files:
            self._folder.make_room(file.package)
        missing = [file for file in files if not self._folder.verify(file.package)]
        there = len(files) - len(missing)
        left = [file for file in missing if not self._copy(file)]
        copied = len(missing) - len(left)
        taken = 0
        if left and self._request.places:
            places = Places(self._request.places, self._request.fetch_limit, self._request.home, self._warn)
            places.leave_out_silent()
            packages = places.bring(self._folder, [file.package for file in left], self._report)
            taken = len(left) - len(packages)
            left = [self._by_hash[package.hash] for package in packages]
        self._fetch(left)
        kept = [self._folder.where(file.package) for file in files if self._folder.has(file.package)]
        size = sum(os.stat(path).st_size for path in kept)
        fetched = len(left) - len(self._failures)
        return Vendored(len(kept), size, there, copied, taken, fetched, tuple(self._failures))

    def _report(self, done: int, total: int) -> None:
        self._progress("fetching", done, total)

    def _copy(self, file: PinnedFile) -> bool:
        """Copy a file that the store has; return whether it does."""
        package = file.package
        digest = package.hash.partition(":")[2]
        source = content_of(self._store, digest) if file.kind == FETCH else self._cache.where(package)
        path = f"{self._folder.where(package)}.place"
        try:
            shutil.copyfile(source, path)
        except FileNotFoundError:
            return False
        if hash_of(path, package.hash) != package.hash:
            os.unlink(path)
            return False
        self._folder.keep(path, package)
        return True

    def _fetch(self, files: Sequence[PinnedFile]) -> None:
        """Fetch what nobody nearer has, from where it is published or archived."""
        commits = [file for file in files if is_commit_file(file)]
        files = [file for file in files if file not in commits]
        for number, file in enumerate(commits):
            self._fetch_commit(file)
            self._report(number + 1, len(commits))
        origins = FileOrigins(self._request)
        with ThreadPoolExecutor(MAX_PARALLEL, "find") as pool:
            places = list(pool.map(origins.find, files))
        groups: dict[str, list[tuple[PinnedFile, Origins]]] = {}
        for file, origin in zip(files, places, strict=True):
            groups.setdefault(origins.group(file), []).append((file, origin))
        for group in groups.values():
            wanted = [
                Wanted(file.package, (*origin.published, *origin.archived), origin.problems, origin.look_up)
                for file, origin in group
            ]
            try:
                transport = origins.transport(group[0][0])
            except EnvbuildError as error:
                self._failures += [Failure(file, error.message) for file, _ in group]
                continue
            fetch(self._folder, wanted, transport, self._report, self._failed)

    def _fetch_commit(self, file: PinnedFile) -> None:
        """Make the archive of a git repository's commit again."""
        from envbuild.build.fetch_git import make_archive  # git, only where a commit is fetched

        package = file.package
        path = f"{self._folder.where(package)}.place"
        try:
            commit = package.version if is_commit(package.version) else ""
            make_archive(self._store, package.origin, commit, path, self._request.fetch_limit)
            actual = hash_of(path, package.hash)
            if actual != package.hash:
                raise WrongDigest(package.origin, package.hash[7:], actual[7:], "the lock")
            self._folder.keep(path, package)
        except EnvbuildError as error:
            self._failed(package, error)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(path)

    def _failed(self, package: Package, error: EnvbuildError) -> None:
        self._failures.append(Failure(self._by_hash[package.hash], error.message))


def _check_kind(path: str, is_kind: Callable[[int], bool], words: str) -> None:
    """Raise FileUnusable for what is something else, such as a link that leads out of the directory."""
    with suppress(FileNotFoundError):
        if not is_kind(os.lstat(path).st_mode):
            raise FileUnusable(path, f"it is not {words}", "remove it, and run the same command again")


@contextmanager
def _held(path: str, warn: Callable[[str], None]) -> Iterator[None]:
    """Make a directory and hold it against all others that fill it. Raises FileUnusable."""
    try:
        os.makedirs(path, exist_ok=True)
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise FileUnusable(path, str(error.strerror), "name a directory that you may write to: -o DIR", "-o") from error
    try:
        try:
            flock(descriptor, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            warn(f"another process fills {path}: waiting for it")
            flock(descriptor, LOCK_EX)
        yield
    finally:
        os.close(descriptor)

"""The packages that a `debian:` base is made of: which they are, and where their files come from later on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from envbuild.bases.debian import MadeOf
from envbuild.build.file_sources import FileSources
from envbuild.build.request import BuildRequest
from envbuild.lockfile.lock import BasePackages, Package
from envbuild.packages.apt import AptManager
from envbuild.packages.apt_servers import AptServers
from envbuild.packages.apt_tasks import read_answer
from envbuild.packages.cache import Cache, Wanted
from envbuild.packages.errors import NotToBeHad
from envbuild.packages.manager import ManagerSettings
from envbuild.packages.snapshot import by_date
from envbuild.store.store import Store


def packages_of(made_of: MadeOf) -> BasePackages:
    """Return what apt said of the packages of a base, for a lock. Raises BadName and Unresolved."""
    answer = read_answer(made_of.files, made_of.architecture, AptServers(ManagerSettings((), "", 0)).named())
    groups: tuple[list[Package], list[Package]] = ([], [])
    for package, _ in answer:
        groups[package.name.partition(":")[0] in made_of.pulled].append(package)
    return BasePackages(*map(tuple, groups))


def files_of(
    store: Store,
    request: BuildRequest,
    files: FileSources,
    packages: BasePackages,
    released: int,
    progress: Callable[[str], None],
) -> dict[str, str]:
    """Return the paths of the packages' files in the store's cache, by their hashes; fetch those that are missing.
    `released` is the date of the suite that they were of, in seconds.

    Raises BadName, NeedsNetwork, NotToBeHad, WrongHash and TooLargeToFetch.
    """
    cache = Cache(store.packages_path, store.work.exclusive)
    manager = AptManager()
    missing: Sequence[Package] = [manager.check(package) for package in packages.all if not cache.verify(package)]
    missing = files.bring(cache, missing, lambda done, total: None)
    if missing:
        from envbuild.packages.download import fetch  # urllib3: 70 ms, only when something is fetched

        progress(f"fetching {len(missing)} packages, as the lock has them\n")
        servers = AptServers(ManagerSettings(request.network, request.home, request.fetch_limit, request.snapshot))
        wanted = [_wanted(servers, files, request.snapshot, package, released) for package in missing]
        try:
            fetch(cache, wanted, servers.transport(), lambda done, total: None)
        except NotToBeHad as error:
            # With a package's name, `update` leaves the base as it is.
            raise NotToBeHad(error.package, error.reasons, locked=False) from error
    return {package.hash: cache.where(package) for package in packages.all}


def _wanted(servers: AptServers, files: FileSources, snapshot: str, package: Package, released: int) -> Wanted:
    places = servers.places_of(package, servers.named())
    if snapshot:
        places.append(by_date(snapshot, package, released))
    return Wanted(package, tuple(places), tuple(files.problems(package.hash)), servers.look_up(package))

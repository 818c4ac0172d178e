"""Where this machine gets Python distributions from: the indexes and pages that pip is set to use."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from posixpath import normpath

from urllib3.exceptions import HTTPError

from envbuild.http.addresses import WebAddress, addresses_in, names_address, without_user
from envbuild.http.connections import Connections, cause
from envbuild.http.reach import Level
from envbuild.http.transport import Transport
from envbuild.images.host_network import default_index, pip_settings
from envbuild.lockfile.lock import Package
from envbuild.packages import pip_tasks
from envbuild.packages.cache import Address, Wanted
from envbuild.packages.credentials import headers_of
from envbuild.packages.documents import BadDocument, fields_of
from envbuild.packages.errors import NotToBeHad, TooLargeToFetch, Unresolved, WrongHash
from envbuild.packages.manager import (
    BUILD,
    MAX_ATTEMPTS,
    Asked,
    Contents,
    ManagerSettings,
    Resolution,
    fewer_pins,
    texts_of,
)
from envbuild.packages.python_locks.files import files_of
from envbuild.packages.python_locks.formats import addresses_in_lock_files, choice_of, read_lock_file
from envbuild.packages.python_locks.pinned import TargetPython
from envbuild.packages.python_names import INDEX, WheelName, lock_kind, normal_name
from envbuild.packages.python_project import build_requirements_of, requirements_of
from envbuild.packages.simple_index import files_on
from envbuild.plan.step import BUILD_PROJECT, PROJECT, InstallPackages

MAX_PAGES = 8
"""Pages of projects that are looked at to see which servers an index has its files on."""
_PROJECT = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)", re.MULTILINE)
_DIRECT = re.compile(r"@\s*(https?://[^\s#;]+)")
LOCKED_REQUIREMENTS = "locked-requirements.txt"
ANSWER_OF_PYTHON = "what Python in the sandbox says of itself"
_PYTHON = re.compile(rb"[0-9]{1,3}\.[0-9]{1,3}")


class PipServers:
    """The servers of pip's indexes."""

    def __init__(self, machine: ManagerSettings) -> None:
        self._machine = machine
        self._linked: dict[str, list[Address]] = {}
        self._built: dict[InstallPackages, tuple[InstallPackages, Contents]] = {}
        """For statements with a lock file of another tool, what pip is asked in their place."""
        self._locked_at: dict[str, str] = {}
        """Where such files have a distribution from, by its hash."""

    def resolve(self, resolution: Resolution) -> Sequence[tuple[Package, str]]:
        """Return the distributions that a statement means, each with its address. Raises Unresolved, NoManager, BadName
        and BadDocument."""
        pinned = resolution.pinned
        lock_file = next((path for _, path in resolution.action.files if lock_kind(path)), "")
        if lock_file:
            return self._as_locked(resolution, lock_file)
        if resolution.extended and not resolution.renewed:
            longer = self._add_to(resolution, resolution.extended)
            if longer is not None:
                return longer
        if resolution.renewed and pinned:
            # Held versions would hold back what is to move: so first how far that may go.
            newest = (package for package, _ in self._resolve(resolution, ()))
            pinned = (*pinned, *(package for package in newest if package.name in resolution.renewed))
        return self._resolve(resolution, pinned)

    def _add_to(self, resolution: Resolution, have: tuple[Package, ...]) -> Sequence[tuple[Package, str]] | None:
        """Return what a statement means that asks for more than one that meant `have`, None where that is not just
        more: pip is asked with these as installed, and asks no index for them."""
        if not all(package.origin.startswith(INDEX) and package.origin.endswith(".whl") for package in have):
            return None
        action, contents = resolution.action, resolution.contents
        if any(b"--hash=" in content for _, content in contents) or any(
            option == PROJECT for option, _ in action.files
        ):
            return None
        try:
            files = [(package, resolution.download(Wanted(package, ()))) for package in have]
        except (NotToBeHad, WrongHash, TooLargeToFetch):
            return None
        task = pip_tasks.resolve_task(action, contents, resolution.pinned, None, have=files)
        if resolution.own_sources:
            task = pip_tasks.with_own_sources(task, self.settings)
        if resolution.run(task).status:
            return None
        answer = resolution.answer("found.json")
        if not pip_tasks.added(answer, have):
            return None
        return (*((package, "") for package in have), *pip_tasks.read_answer(answer, action, contents))

    def _as_locked(self, resolution: Resolution, path: str) -> Sequence[tuple[Package, str]]:
        """Return the distributions that a lock file of another tool pins for the tree's Python. pip is asked for those
        alone that have to be built, for what that takes."""
        action = resolution.action
        pip, target = self._target(resolution)
        contents = {normpath(path): content for path, content in resolution.contents}
        locked = read_lock_file(normpath(path), contents, choice_of(action, path), target)
        files, lines = files_of(path, locked, target)
        for package, index in files:
            self._locked_at[package.hash] = f"{path} has it from {without_user(index)}" if index else ""
        if not lines:
            return [(package, "") for package, _ in files]
        own = (LOCKED_REQUIREMENTS, "".join(f"{line}\n" for line in lines).encode())
        options = tuple(pair for pair in action.options if pair[0] in ("into", "find-links"))
        asked = action.replace(wanted=(), files=(("-r", LOCKED_REQUIREMENTS),), options=options)
        self._built[action.replace(environment=())] = asked, (own,)
        built = self._ask_pip(resolution, asked, (own,), (), pip, alone=True)
        return [*((package, "") for package, _ in files), *built]

    def _target(self, resolution: Resolution) -> tuple[tuple[Package, str] | None, TargetPython]:
        """Return what the tree's Python is, and a pip that was fetched for it if it has none."""
        pip: tuple[Package, str] | None = None
        while True:
            ended = resolution.run(pip_tasks.describe_task(resolution.action, pip))
            if ended.status == 0:
                return pip, TargetPython.read(fields_of(resolution.answer("python.json"), ANSWER_OF_PYTHON))
            if ended.status != pip_tasks.NEEDS_PIP or pip is not None:
                pip_tasks.refuse(ended.status, ended.output)
            pip = self._fetched_pip(resolution)

    def _fetched_pip(self, resolution: Resolution) -> tuple[Package, str]:
        package, address = self.newest_pip(_python_version(resolution.answer("python")))
        return package, resolution.download(Wanted(package, (address,)))

    def _resolve(self, resolution: Resolution, pinned: tuple[Package, ...]) -> Sequence[tuple[Package, str]]:
        alone = resolution.action.option(BUILD_PROJECT) is not None
        return self._ask_pip(resolution, resolution.action, resolution.contents, pinned, alone=alone)

    def _ask_pip(
        self,
        resolution: Resolution,
        action: InstallPackages,
        contents: Contents,
        pinned: tuple[Package, ...],
        mounted: tuple[Package, str] | None = None,
        *,
        alone: bool = False,
    ) -> Sequence[tuple[Package, str]]:
        if pip_tasks.asks_nothing(action, contents):
            return ()
        kept: list[tuple[Package, str]] = []
        if any(b"--hash=" in content for _, content in contents):
            pinned = ()  # the files pin everything themselves, and pip accepts nothing else then
        for attempt in range(MAX_ATTEMPTS):
            task = pip_tasks.resolve_task(action, contents, pinned, mounted, kept, alone=alone)
            if resolution.own_sources:
                task = pip_tasks.with_own_sources(task, self.settings)
            ended = resolution.run(task)
            if ended.status == 0:
                break
            if ended.status == pip_tasks.NEEDS_PIP and mounted is None:
                mounted = self._fetched_pip(resolution)
                continue
            if not pinned or ended.status >= pip_tasks.NEEDS_PIP:
                pip_tasks.refuse(ended.status, ended.output)
            freed = pip_tasks.to_unpin(ended.output)
            again = list(self._again(resolution, pinned, freed - {package.name for package, _ in kept}))
            if again:
                kept += again
                continue
            pinned = fewer_pins(pinned, freed, attempt)
        answer = resolution.answer("found.json")
        if resolution.renewed:
            resolution.explain(pip_tasks.reasons(answer, resolution.pinned))
        locked = {package.hash: package for package, _ in kept}
        packages = tuple(
            (locked[package.hash], "") if package.hash in locked else (package, address)
            for package, address in pip_tasks.read_answer(answer, action, contents)
        )
        return (*packages, (mounted[0], "")) if mounted and pip_tasks.needs_pip(answer) else packages

    def _again(
        self, resolution: Resolution, pinned: Sequence[Package], names: set[str]
    ) -> Iterator[tuple[Package, str]]:
        """Yield those locked distributions that no index lists any more and whose files may still be had, with their
        paths."""
        for package in pinned:
            if package.name not in names or not package.origin.startswith(INDEX):
                continue
            addresses, problems = self.find(resolution.action, resolution.contents, package)
            if addresses:
                continue  # it is there, and something else is in its way
            try:
                yield package, resolution.download(Wanted(package, (), tuple(problems)))
            except (NotToBeHad, WrongHash, TooLargeToFetch):
                continue  # then it moves

    def asked(self, action: InstallPackages, contents: Contents, texts: Sequence[str]) -> Asked:
        """Return the user's indexes, what the statement and its files name by an address, and the servers that the
        files of these indexes lie on, as far as a look at their pages tells."""
        action, contents = self._built.get(action.replace(environment=()), (action, contents))
        said = [
            *texts_of(action, contents),
            *requirements_of(action, contents),
            *build_requirements_of(action, contents),
        ]
        links = addresses_in(value for _, value in action.options)
        projects = list(dict.fromkeys(normal_name(name) for text in said for name in _PROJECT.findall(text)))[
            :MAX_PAGES
        ]
        named = [*self.named(), *addresses_in(said), *links]
        pages = [*self._setting("find-links"), *links]
        pages += [page for project in projects for page in self._indexes(project)]
        files = [file for page in pages for file in self._files_on(page, None)]
        others = addresses_in([*texts, *(value for _, value in action.environment)])
        tree_pages = [f"{index.rstrip('/')}/{project}/" for index in others for project in projects]
        files += [file for page in tree_pages[:MAX_PAGES] for file in self._files_on(page, Level.PUBLIC)]
        # An index on this machine may have its files on this machine.
        named += [file.url for file in files if file.giver == Level.LOOPBACK]
        others += [self._end_of(address) for address in _DIRECT.findall("\n".join(said))[:MAX_PAGES]]
        return Asked(tuple(named), (*others, *(file.url for file in files)))

    def _files_on(self, page: str, giver: Level | None) -> list[Address]:
        """Return an address on each of the servers that the files of a page lie on."""
        if page not in self._linked:
            try:
                files = files_on(self._connections, page, giver)
            except HTTPError:
                files = []  # pip asks, too, and says what is wrong
            addresses = [file.address for file in files]
            self._linked[page] = list({WebAddress(address.url).server: address for address in addresses}.values())
        return self._linked[page]

    def _end_of(self, address: str) -> str:
        """Return the address that a server sends us on to, which is the same where it does not."""
        try:
            with self._connections.open(without_user(address), {}) as answer:
                return str(answer.address)
        except HTTPError:
            return address

    def find(self, action: InstallPackages, contents: Contents, package: Package) -> tuple[list[Address], list[str]]:
        """Return the addresses that indexes give for the file of this name and hash, and why there are no others."""
        origin = package.origin.removeprefix(BUILD)
        if not origin.startswith(INDEX):
            # A lock is not trusted with addresses: it is what the statement itself names, or nothing.
            texts = [*texts_of(action, contents), *addresses_in_lock_files(contents)]
            named = names_address(texts, origin)
            return ([Address(origin)], []) if named else ([], [f"{origin}: the statement does not name it"])
        links = [value for option, value in action.options if option == "find-links" and "://" in value]
        name, digest = pip_tasks.file_name(package), package.hash.partition(":")[2]
        addresses: list[Address] = []
        problems = []
        for page in (*self._indexes(package.name), *self._setting("find-links"), *links):
            try:
                files = files_on(self._connections, page)
            except HTTPError as error:
                problems.append(f"{without_user(page)}: {cause(error)}")
                continue  # the others may have it
            of_name = [file for file in files if file.name == name]
            of_hash = [file for file in of_name if file.sha256 in ("", digest)]
            addresses += [file.address for file in of_hash]
            if of_name and not of_hash:
                problems.append(f"{without_user(page)}: it has {name} with another hash")
        if not addresses and (place := self._locked_at.get(package.hash)):
            problems.append(f"{place}, and of addresses in lock files none is asked")
        return addresses, problems

    def look_up(self, package: Package) -> None:
        """Return None: the index keeps what it once had."""

    def named(self) -> Sequence[str]:
        """Return the pages of the user's indexes and of find-links."""
        return [*self._indexes(""), *self._setting("find-links")]

    def newest_pip(self, python: str) -> tuple[Package, Address]:
        """Return the newest pip that a Python of this version (`3.11`) runs, with its address. Raises Unresolved."""
        reason = "the index has none"
        for page in self._indexes("pip"):
            try:
                files = files_on(self._connections, page)
            except HTTPError as error:
                reason = str(error)
                continue
            wheels = {
                file.name: file
                for file in files
                if isinstance(file.name, WheelName)
                and file.sha256
                and not file.yanked
                and pip_tasks.runs_on(file.requires_python, python)
            }
            releases = [name for name in wheels if name.startswith("pip-") and pip_tasks.is_release(name)]
            if releases:
                newest = max(releases, key=lambda name: pip_tasks.version_of(name.version))
                origin, digest = f"{BUILD}{INDEX}{newest}", f"sha256:{wheels[newest].sha256}"
                return Package("pip", newest.version, digest, origin), wheels[newest].address
        raise Unresolved("pip", f"the tree has no pip, and none can be fetched: {reason}")

    def transport(self) -> Transport:
        """Return how servers are reached: with the users of addresses and of ~/.netrc, and pip's certificates."""
        addresses = [*self._setting("index-url"), *self._setting("extra-index-url")]
        bundle = dict(self._machine.variables).get("PIP_CERT", "")
        headers = headers_of(addresses, [f"{self._machine.home}/.netrc"])
        return Transport((), bundle if os.path.exists(bundle) else "", headers, self._machine.max_file)

    @cached_property
    def settings(self) -> dict[str, str]:
        """The user's settings for pip."""
        return pip_settings(dict(self._machine.variables), self._machine.home)

    def _setting(self, name: str) -> list[str]:
        return self.settings.get(name, "").split()

    def _indexes(self, project: str) -> list[str]:
        """Return the pages of a project in the indexes that pip is set to use."""
        indexes = [*(self._setting("index-url") or self._default_indexes), *self._setting("extra-index-url")]
        return [f"{index.rstrip('/')}/{project}/" for index in indexes]

    @cached_property
    def _default_indexes(self) -> list[str]:
        index = default_index()
        return [index] if index else []

    @cached_property
    def _connections(self) -> Connections:
        return Connections(self.transport())


def _python_version(answer: bytes) -> str:
    """Return the version that the tree's Python says of itself. Raises BadDocument."""
    if _PYTHON.fullmatch(answer) is None:
        raise BadDocument("what Python in the sandbox says of itself", f"{answer[:40]!r} is not a version")
    return answer.decode()

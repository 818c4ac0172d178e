"""The files that locks pin, each with what says where it comes from; and what locks need beside files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from envbuild.build.graph import Graph, PlannedRecipe, Stage
from envbuild.build.inputs import Gatherer, known_file
from envbuild.build.loader import load_graph
from envbuild.build.named_image import fits
from envbuild.build.package_question import question_of
from envbuild.build.progress import Progress
from envbuild.build.recipe_files import lock_text, project_of
from envbuild.build.request import BuildRequest
from envbuild.build.sources import Sources
from envbuild.build.statement_pins import pins_of
from envbuild.errors import EnvbuildError, UsageError, fields
from envbuild.http.addresses import BadAddress
from envbuild.language.base_kinds import CaptureBase, Debian, Host, RecipeBase, RegistryBase, StageBase, base_text
from envbuild.language.git_address import git_address, is_git
from envbuild.language.model import Apt, Fetch, Npm, OfLock, Pip, Run, Test
from envbuild.language.values import InvalidValue
from envbuild.lockfile.lock import Lock, LockedInstall, LockedStage, Package, Section, commit_id, first_line, path_of
from envbuild.lockfile.lock_file import read_lock
from envbuild.packages.manager import Contents
from envbuild.packages.registry import manager_of
from envbuild.plan.image_config import Facts
from envbuild.plan.planner import plan_stage
from envbuild.plan.step import InstallPackages
from envbuild.record import Record
from envbuild.store.store import Store

BASE, FETCH = "base", "fetch"
"""The kinds of pinned files beside the names of package managers."""


@fields
class NoLock(UsageError):
    """A recipe without a lock pins nothing."""

    path: str

    def text(self) -> tuple[str, str]:
        return (
            f"{self.path}: there is no lock yet",
            f"a build writes it: envbuild build {self.path.removesuffix('.lock')}",
        )


@fields
class NotLockedFor(UsageError):
    """A lock has nothing for an architecture that was asked for."""

    path: str
    architecture: str
    known: list[str]

    def text(self) -> tuple[str, str]:
        return (
            f"{self.path} pins nothing for {self.architecture}",
            f"it is for {', '.join(self.known)}; a build on {self.architecture} adds what it pins there",
        )


class PinnedFile(Record):
    """One file. `kind` is its package manager, BASE or FETCH; `action` and `contents` are the statement that asks for
    it. Of a base's package, `released` is the date of the suite (seconds). The `package` of a fetched file has its
    address for an origin, and of a git repository its commit for a version. `architectures` are those of the
    machines that need it."""

    kind: str
    package: Package
    action: InstallPackages
    contents: Contents = ()
    released: int = 0
    architectures: tuple[str, ...] = ()


def is_commit_file(file: PinnedFile) -> bool:
    """Return whether a file is the archive of a git repository's commit, which git brings."""
    return file.kind == FETCH and is_git(file.package.origin)


class Unpinned(Record):
    """What a recipe needs beside files. If it is `lost`, the lock can't be rebuilt on an empty machine today; else that
    depends on the machine. `architectures` are those of the machines that need it, none for all."""

    text: str
    lost: bool
    architectures: tuple[str, ...] = ()


class LockNeeds(Record):
    """What the lock at `path` needs, for the recipe `recipe`, on machines of the `architectures` that it is for."""

    recipe: str
    path: str
    files: tuple[PinnedFile, ...]
    unpinned: tuple[Unpinned, ...]
    architectures: tuple[str, ...] = ()


def needs_of(path: str, store: Store, wanted: Sequence[str] = ()) -> list[LockNeeds]:
    """Return what the lock of the recipe at `path` needs, and before it those of the recipes that it is built from: on
    machines of the architectures `wanted`, by default all that the lock is for.

    Raises NoLock, NotLockedFor, and what keeps a recipe or a lock from being read.
    """
    project = project_of(path)
    try:
        lock = read_lock(lock_text(path_of(path)), path_of(path), store)
    except FileNotFoundError:
        raise NoLock(path_of(path)) from None
    request = BuildRequest(path)
    try:
        # A lock may be of a build with --set, in which other statements count.
        graph = load_graph(request.replace(settings=lock.parameters), store, project)
    except EnvbuildError:
        graph = load_graph(request, store, project)
    reader = _Reader(store, graph, project, wanted)
    return [reader.read(recipe) for recipe in graph.recipes]


class _Reader:
    def __init__(self, store: Store, graph: Graph, project: str, wanted: Sequence[str]) -> None:
        self._store = store
        self._graph = graph
        self._wanted = frozenset(wanted)
        self._facts: dict[tuple[str, int], Facts] = {}
        sources = Sources(store, project, fits, pinned=True)
        self._inputs = Gatherer(store, graph, sources, Progress(graph).ended, known_file)

    def read(self, recipe: PlannedRecipe) -> LockNeeds:
        """Return what one recipe's lock needs. Raises NoLock, NotLockedFor, BadName and BadAddress."""
        lock = recipe.lock
        if lock is None:
            raise NoLock(recipe.lock_path)
        files: dict[str, PinnedFile] = {}
        unpinned: dict[Unpinned, list[str]] = {}
        sections = self._sections(recipe.lock_path, lock)
        for section in sections:
            for file in self._files(recipe, lock, section):
                known = files.get(file.package.hash, file)
                files[file.package.hash] = known.replace(architectures=(*known.architectures, section.architecture))
            for item in self._unpinned(recipe, lock, section):
                unpinned.setdefault(item, []).append(section.architecture)
        names = tuple(section.architecture for section in sections)
        items = [
            item.replace(architectures=() if len(of) == len(names) else tuple(of)) for item, of in unpinned.items()
        ]
        items += self._without_pins(recipe, names)
        return LockNeeds(recipe.path, recipe.lock_path, tuple(files.values()), tuple(items), names)

    def _without_pins(self, recipe: PlannedRecipe, names: Sequence[str]) -> Iterator[Unpinned]:
        """Yield the architectures that the lock at the top is for, and the one of a recipe that it is built from is
        not."""
        top = self._graph.top.lock
        for section in _filled(top) if top is not None and recipe is not self._graph.top else ():
            if section.architecture not in names and not self._wanted:
                text = f"{recipe.lock_path} pins nothing for it: build it there"
                yield Unpinned(text, lost=True, architectures=(section.architecture,))

    def _sections(self, path: str, lock: Lock) -> list[Section]:
        """Return what a lock has for the architectures that are wanted. Raises NotLockedFor."""
        sections = _filled(lock)
        known = [section.architecture for section in sections]
        for name in sorted(self._wanted):
            if name not in known:
                raise NotLockedFor(path, name, known)
        return [section for section in sections if not self._wanted or section.architecture in self._wanted]

    def _files(self, recipe: PlannedRecipe, lock: Lock, section: Section) -> Iterator[PinnedFile]:
        """Yield the files of one architecture, each once."""
        files: dict[str, PinnedFile] = {}
        statements = [item for stage in recipe.stages for item in self._statements(stage, section.architecture)]
        named = _Statements(statements, section)
        for stage in section.stages:
            for file in (*_of_base(stage), *_of_steps(stage, named)):
                files.setdefault(file.package.hash, file)
        own = _fetched_by(recipe) if section is lock.own else ()
        commits = dict(section.commits)
        for url, digest in (*section.fetched, *own):
            if digest:
                file = _fetched(url, digest, commit_id(commits.get(url, "")))
                files.setdefault(file.package.hash, file)
        yield from files.values()

    def _statements(self, stage: Stage, arch: str) -> list[tuple[InstallPackages, Contents]]:
        """Return the statements of a stage that ask for packages, as far as they can be told without its base."""
        below = self._facts.get((arch, stage.needs[0])) if isinstance(stage.base, (StageBase, RecipeBase)) else None
        try:
            plan = plan_stage(stage.written, below or Facts(arch, 0), stage.siblings)
        except EnvbuildError:
            return []  # a variable of an image that is not here
        self._facts[arch, stage.number] = plan.facts
        actions = []
        for step in plan.steps:
            if isinstance(action := step.action, InstallPackages):
                try:
                    contents = self._inputs.contents(stage, action)
                except EnvbuildError:
                    contents = ()  # a file that is gone: the lock may be older than the recipe
                actions.append((action, contents))
        return actions

    def _unpinned(self, recipe: PlannedRecipe, lock: Lock, section: Section) -> Iterator[Unpinned]:
        # An address may name the architecture; a recipe that is loaded here has those of this one.
        files = dict(section.fetched) if section is lock.own else None
        for stage in recipe.stages:
            base = f"from {base_text(stage.base)}"
            locked = section.stage(stage.name, stage.base_text)
            if isinstance(stage.base, Host):
                yield Unpinned(f"{base}: it is made from the files of the machine that builds", lost=False)
            if isinstance(stage.base, CaptureBase):
                captured = locked.digest if locked is not None else ""
                is_here = captured != "" and self._store.trees.has(captured)
                text = f"{base}: a capture is not a file"
                yield Unpinned(
                    f"{text}; it is in this store" if is_here else f"{text}, nor in this store", lost=not is_here
                )
            if isinstance(stage.base, RegistryBase):
                pinned = locked is not None and bool(locked.digest)
                text = f"{base}: it is fetched from its registry, by the digest that the lock has"
                yield Unpinned(text if pinned else f"{base}: the lock does not pin it: build it", lost=not pinned)
            if isinstance(stage.base, Debian) and (locked is None or not locked.packages.all):
                yield Unpinned(f"{base}: the lock does not list its packages; envbuild update renews it", lost=True)
            for statement in stage.written.statements:
                text = f"{statement.place.file}:{statement.place.line}: {first_line(statement.text)}"
                match statement:
                    case Run() | Test() if statement.options.network:
                        yield Unpinned(f"{text}: no lock says what it takes from the network", lost=False)
                    case Apt() | Pip() | Npm() | OfLock() if pins_of(locked, stage, statement) is None:
                        yield Unpinned(f"{text}: the lock does not say which packages it means: build it", lost=True)
                    case Fetch() if files is not None and not (statement.sha256 or files.get(statement.url)):
                        yield Unpinned(f"{text}: the lock does not have its sha256: build it", lost=True)
                    case _:
                        pass
        for reference, digest in section.images:
            here = digest and self._store.images.get(digest) is not None
            text = f"image:{reference} (sha256:{digest[:12]}): an image is not a file"
            if here:
                yield Unpinned(f"{text}; it is in this store", lost=False)
            else:
                yield Unpinned(
                    f"{text}, and not in this store; build its recipe here, or name it with recipe:", lost=True
                )


def _filled(lock: Lock) -> list[Section]:
    """Return the sections of the architectures that a lock is for; a lock of nothing is one for here."""
    return [section for section in (lock.own, *lock.others) if section.stages] or [lock.own]


def _of_base(stage: LockedStage) -> Iterator[PinnedFile]:
    manager = manager_of("apt")
    for package in stage.packages.all:
        yield PinnedFile(BASE, manager.check(package), _statement_of("apt"), released=stage.released)


def _of_steps(stage: LockedStage, statements: _Statements) -> Iterator[PinnedFile]:
    for install in stage.installs:
        if not install.packages:
            continue
        manager = manager_of(install.manager)
        action, contents = statements.answered_by(install)
        for package in install.packages:
            if not manager.is_in_tree(package):
                yield PinnedFile(install.manager, manager.check(package), action, contents)


class _Statements:
    """The statements of a recipe, for the parts of a lock that answer them."""

    def __init__(self, statements: list[tuple[InstallPackages, Contents]], section: Section) -> None:
        asked = {(install.asks, install.wants) for stage in section.stages for install in stage.installs}
        self._exactly: dict[tuple[str, tuple[str, ...]], tuple[InstallPackages, Contents]] = {}
        self._others: list[tuple[InstallPackages, Contents]] = []
        for action, contents in statements:
            question = question_of(action, contents, section.architecture)
            key = (question.asks, question.wants)
            if key in asked:
                self._exactly.setdefault(key, (action, contents))
            else:
                self._others.append((action, contents))

    def answered_by(self, install: LockedInstall) -> tuple[InstallPackages, Contents]:
        """Return the statement that a lock's packages answer. Of one that was changed since, and of what a lock of
        before has, which does not say what it wanted, it is the first that may be meant."""
        statement = self._exactly.get((install.asks, install.wants))
        if statement is not None:
            return statement
        for action, contents in (*self._others, *self._exactly.values()):
            wanted = set(action.wanted) <= set(install.wants) or install.earlier is not None
            if action.manager == install.manager and wanted:
                return action, contents
        return _statement_of(install.manager), ()


def _statement_of(manager: str) -> InstallPackages:
    """Return a statement that asks for nothing in particular: its packages come from the user's own sources."""
    return InstallPackages(manager, (), (), (), (), "")


def _fetched_by(recipe: PlannedRecipe) -> Iterator[tuple[str, str]]:
    """Yield the addresses and sha256 that a recipe itself pins."""
    for stage in recipe.stages:
        for statement in stage.written.statements:
            if isinstance(statement, Fetch) and statement.sha256:
                yield statement.url, statement.sha256


def _fetched(url: str, digest: str, commit: str) -> PinnedFile:
    """Return a fetched file; that of a git repository has its commit for a version."""
    try:
        if is_git(url):
            address = git_address(url)
            package = Package(address.name, address.commit or commit or "-", f"sha256:{digest}", url)
        else:
            name = url.partition("?")[0].partition("#")[0].rstrip("/").rpartition("/")[2] or "file"
            package = Package(name, "-", f"sha256:{digest}", url)
    except InvalidValue:
        raise BadAddress(url) from None
    except ValueError:
        raise BadAddress(url) from None
    return PinnedFile(FETCH, package, _statement_of("apt"))

"""What a step takes from elsewhere: found and hashed before the step runs, as it is part of its key."""

from __future__ import annotations

from envbuild.build.graph import Graph, Stage
from envbuild.build.progress import NotKnownYet, StageProgress
from envbuild.build.sources import Sources
from envbuild.digest import sha256_of
from envbuild.errors import UsageError, fields
from envbuild.lockfile.lock import Package
from envbuild.packages.manager import IN_PROJECT
from envbuild.packages.registry import manager_of
from envbuild.plan.step import PROJECT, CopyIn, Execute, FetchFile, InstallPackages, Origin, Render, Step
from envbuild.record import Pairs, Record, values
from envbuild.store.store import Store
from envbuild.tree.entry import DIRECTORY, FILE, LINK, Digest, Entry, encode
from envbuild.tree.lookup import lookup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from envbuild.build.context import Context
    from envbuild.build.context_scan import ContextItem
    from envbuild.packages.manager import Contents
    from envbuild.tree.patterns import Matcher


class Named(Record):
    """Which source of a copy something was found by, from 0, and what that calls it, with wildcards replaced."""

    number: int
    called: str


class Inputs(Record):
    """The digests for the key, in the action's order, and what the action will need of what was found.

    `found` are context files; `entries` those of another tree, with the path each has there, or where a command has it
    mounted; `named` says of either
    which source means it; `text` a
    template's bytes with `mode`; `binds` the real paths of a command's mounts; `contents` are the files that a
    statement about packages names, with their paths, and `packages` what it came to.
    """

    digests: tuple[str, ...] = ()
    files: tuple[ContextItem, ...] = ()
    entries: tuple[tuple[bytes, Entry], ...] = ()
    named: tuple[Named, ...] = ()
    text: bytes = b""
    mode: int = 0o644
    binds: Pairs = ()
    contents: Contents = ()
    packages: tuple[Package, ...] = ()


@fields
class NotInTree(UsageError):
    """`copy(from=...)` names a path that the other tree doesn't have."""

    source: str
    origin: str
    statement: str = "copy"

    def text(self) -> tuple[str, str]:
        return (
            f"{self.statement}: {self.origin} has no '{self.source}'",
            f"look at what it has with: envbuild ls {self.origin} {self.source.rstrip('/').rpartition('/')[0] or '/'}",
        )


@fields
class NotAnArchive(UsageError):
    """`copy(unpack)` names what is not a file."""

    source: str

    def text(self) -> tuple[str, str]:
        return (
            f"copy(unpack): '{self.source}' is not an archive, but a directory or a link",
            "name tar and zip archives; copy takes directories as they are, without unpack",
        )


class Gatherer:
    """Finds what the steps of one build take from elsewhere."""

    def __init__(
        self,
        store: Store,
        graph: Graph,
        sources: Sources,
        ended: Callable[[int], StageProgress],
        fetch: Callable[[str, Digest | None, str, str], Digest],
    ) -> None:
        """`ended` gives the stage of a number at its end, or raises NotKnownYet. `fetch` gives the sha256 of a URL's
        file that the store lacks, if it is known, who says so, and the commit that the lock has for it; or raises
        NotKnownYet."""
        self._store = store
        self._graph = graph
        self._sources = sources
        self._ended = ended
        self._fetch = fetch

    def gather(self, stage: Stage, step: Step, epoch: int) -> Inputs:
        """Return the inputs of a step. Raises NotKnownYet, and UsageError kinds for what is missing or forbidden."""
        match step.action:
            case CopyIn(origin=None) as action:
                return self._from_context(stage, action, epoch)
            case CopyIn(origin=Origin() as origin) as action:
                return self._from_tree(stage, action, origin, self.tree_of(stage, origin))
            case Render() as action:
                text, mode = self._context(stage, action.folder).read(action.template, "render")
                return Inputs((sha256_of(text), f"{mode:o}"), text=text, mode=mode)
            case FetchFile() as action:
                return Inputs((self._fetched(stage, action),))
            case Execute() as action:
                return self._mounts(stage, action, epoch)
            case _:
                return Inputs()

    def contents(self, stage: Stage, action: InstallPackages) -> Contents:
        """Return the files of the recipe's folder that a statement about packages names."""
        context, manager = self._context(stage, action.folder), manager_of(action.manager)

        def read(path: str, option: str) -> bytes:
            return context.read(path, option, lambda content: manager.clean(action, path, content))[0]

        projects = [word for option, word in action.files if option == PROJECT]
        if not projects:
            return manager.files_of(action, read)
        from envbuild.build.project_files import files_of  # only where a project is built
        from envbuild.packages.python_project import folder_and_extras, takes_sources

        for word in projects:
            context.real_path(folder_and_extras(word)[0])
        contents = manager.files_of(action, read)
        if not takes_sources(action, contents):
            return contents
        return (*contents, *(file for word in dict.fromkeys(projects) for file in files_of(context, word)))

    def tree_of(self, stage: Stage, origin: Origin) -> Digest:
        """Return the tree that `copy(from=)` of a stage means. Raises NotKnownYet and NoSuchImage."""
        other = self._graph.origin(stage, origin)
        if other is not None:
            return self._ended(other.number).tree
        return self._sources.image(self._graph.recipe_of(stage), origin.argument, origin.folder).tree

    def trees_of(self, stage: Stage, step: Step) -> list[Digest]:
        """Return the trees of others that a step copies from or has mounted. Raises NotKnownYet and NoSuchImage."""
        match step.action:
            case CopyIn(origin=Origin() as origin):
                return [self.tree_of(stage, origin)]
            case Execute(shown=shown):
                return [self.tree_of(stage, mount.origin) for mount in shown]
            case _:
                return []

    def _context(self, stage: Stage, folder: str) -> Context:
        return self._sources.context(self._graph.recipe_of(stage), folder)

    def _fetched(self, stage: Stage, action: FetchFile) -> Digest:
        from envbuild.build.fetch import has_content  # only where something is fetched

        recipe = self._graph.recipe_of(stage)
        fetched = self._sources.fetched(recipe)
        expected, source = action.sha256, "the recipe"
        if expected is None:
            expected, source = self._sources.pinned_file(recipe, action.url), "the lock"
        if expected is None:
            expected = fetched.get(action.url)
        if expected is None or not has_content(self._store, expected):
            expected = self._fetch(action.url, expected, source, self._sources.pinned_commit(recipe, action.url))
        fetched[action.url] = expected
        return expected

    def _from_context(self, stage: Stage, action: CopyIn, epoch: int) -> Inputs:
        from envbuild.build.context_scan import Choice

        context, choice = self._context(stage, action.folder), Choice(*patterns_of(action), action.optional)
        files: list[ContextItem] = []
        named: list[Named] = []
        for number, source in enumerate(action.sources):
            items = context.select(source, choice, epoch)
            files += items
            named += [Named(number, item.called) for item in items]
        self._tell_nested(stage, action, named, [item.entry for item in files])
        digests = [_line_of(action, name, item.entry) for name, item in zip(named, files, strict=True)]
        return Inputs(tuple(digests), files=tuple(files), named=tuple(named))

    def _from_tree(self, stage: Stage, action: CopyIn, origin: Origin, tree: Digest) -> Inputs:
        entries = []
        named = []
        for number, source in enumerate(action.sources):
            path = source.strip("/").encode()
            # The last part too: copying a link that was named means copying what it shows, as for the context.
            entry = lookup(self._store.trees, tree, path, follow=True)
            if entry is None and action.optional:
                continue
            if entry is None:
                raise NotInTree(source, origin.argument)
            name = path.rpartition(b"/")[2]
            entries.append((path, entry._replace(name=name)))
            named.append(Named(number, source))
        self._tell_nested(stage, action, named, [entry for _, entry in entries])
        digests = [_line_of(action, name, entry) for name, (_, entry) in zip(named, entries, strict=True)]
        return Inputs(tuple(digests), entries=tuple(entries), named=tuple(named))

    def _tell_nested(self, stage: Stage, action: CopyIn, named: list[Named], entries: list[Entry]) -> None:
        """Note the directories that lie in the destination by their names, where docker would put what is in them."""
        if action.contents or action.parents or action.unpack or not action.destination.endswith("/"):
            return
        nested = self._sources.nested(self._graph.recipe_of(stage))
        for name, entry in zip(named, entries, strict=True):
            source = action.sources[name.number]
            if entry.kind == DIRECTORY and source == name.called and source.rpartition("/")[2] not in ("", ".", ".."):
                nested.setdefault(source, action.destination)

    def _mounts(self, stage: Stage, action: Execute, epoch: int) -> Inputs:
        digests, binds, entries = [], [], []
        for mount in action.shown:
            path = mount.source.strip("/").encode()
            entry = lookup(self._store.trees, self.tree_of(stage, mount.origin), path, follow=True)
            if entry is None:
                raise NotInTree(mount.source, mount.origin.argument, "run(mount=)")
            digests.append(_line(entry._replace(name=b"")))
            entries.append((mount.target.encode(), entry))
        if not action.mounts:
            return Inputs(tuple(digests), entries=tuple(entries))
        context = self._context(stage, action.folder)
        for source, target in action.mounts:
            digests.append(_line(context.shown_by(source, epoch).entry))
            binds.append((context.real_path(source), target))
        return Inputs(tuple(digests), binds=tuple(binds), entries=tuple(entries))


def known_file(url: str, expected: Digest | None, source: str, commit: str) -> Digest:
    """Return the sha256 of a URL's file, as far as it is known without the network. Raises NotKnownYet."""
    if expected is None:
        raise NotKnownYet
    return expected


def declared_inputs(action: InstallPackages, contents: Contents, packages: tuple[Package, ...]) -> Inputs:
    """Return the inputs of a step that installs `packages`; `contents` are the files that its statement names.

    The order of the packages is that of a lock, whoever named them: a resolver's own order is not on record.
    """
    packages = tuple(sorted(packages, key=values))
    digests = [sha256_of("\0".join(values(package)).encode()) for package in packages]
    # They say more than which packages there are.
    digests += [_digest_of(*file) for file in manager_of(action.manager).installed_files(contents)]
    return Inputs(tuple(digests), contents=contents, packages=packages)


def _digest_of(path: str, content: bytes) -> str:
    # Where a project's file lies, and whether it can be executed, counts as much as what it says.
    head = f"{path}\0".encode("utf-8", "surrogateescape") if path.startswith(IN_PROJECT) else b""
    return sha256_of(head + content)


def patterns_of(action: CopyIn) -> tuple[Matcher | None, Matcher | None]:
    """Return what a copy takes of directories, and what it leaves out."""
    if not action.include and not action.exclude:
        return None, None
    from envbuild.tree.patterns import compile_patterns

    include, exclude = (compile_patterns(lines) if lines else None for lines in (action.include, action.exclude))
    return include, exclude


def _line_of(action: CopyIn, named: Named, entry: Entry) -> str:
    """Return an input of a copy for its key."""
    if action.unpack:
        if entry.kind != FILE:
            raise NotAnArchive(named.called)
        return entry.digest  # what it is called and may be does not matter
    if not (action.parents or action.optional):
        return _line(entry)
    # The entry does not say under which of the sources it lies, or at which path.
    return sha256_of(f"{named.number}\0{named.called}\0{_line(entry)}".encode("utf-8", "surrogateescape"))


def _line(entry: Entry) -> str:
    """Return an entry for a key. Its name counts too: it decides where a copy lies, except for a folder's contents."""
    assert entry.kind in (DIRECTORY, LINK) or entry.digest or entry.target or entry.kind == "p"
    return sha256_of(encode([entry]))

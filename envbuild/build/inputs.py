"""What a step takes from elsewhere: found and hashed before the step runs, as it is part of its key."""

from __future__ import annotations

from collections.abc import Callable

from envbuild.build.context import Context, Found
from envbuild.digest import sha256_of
from envbuild.errors import UsageError
from envbuild.lockfile.lock import Package
from envbuild.packages.registry import manager_of
from envbuild.plan.step import CopyIn, Execute, FetchFile, InstallPackages, Origin, Render, Step
from envbuild.record import Record, values
from envbuild.store.store import Store
from envbuild.tree.entry import DIRECTORY, LINK, Entry, encode
from envbuild.tree.lookup import lookup
from envbuild.tree.patterns import compile_patterns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from envbuild.packages.manager import Contents


class Inputs(Record):
    """The digests for the key, in the action's order, and what the action will need of what was found.

    `found` are context files; `entries` those of another tree, with the path each has there; `text` a
    template's bytes with `mode`; `binds` the real paths of a command's mounts; `contents` are the files that a
    statement about packages names, with their paths, and `packages` what it came to.
    """

    digests: tuple[str, ...] = ()
    found: tuple[Found, ...] = ()
    entries: tuple[tuple[bytes, Entry], ...] = ()
    text: bytes = b""
    mode: int = 0o644
    binds: tuple[tuple[str, str], ...] = ()
    contents: Contents = ()
    packages: tuple[Package, ...] = ()


class NotInTree(UsageError):
    """`copy(from=...)` names a path that the other tree doesn't have."""

    def __init__(self, source: str, origin: str) -> None:
        super().__init__(
            f"copy: {origin} has no '{source}'",
            f"look at what it has with: envbuild ls {origin} {source.rstrip('/').rpartition('/')[0] or '/'}",
        )


class Gatherer:
    """Finds inputs for the steps of one recipe."""

    def __init__(
        self,
        store: Store,
        context: Callable[[str], Context],
        tree_of: Callable[[Origin], str],
        fetched: Callable[[FetchFile], str],
        packages: Callable[[Step, Contents], tuple[Package, ...]],
    ) -> None:
        """`context` gives the folder that paths of a statement are relative to, `tree_of` the tree that an
        origin means, `fetched` the sha256 of a URL's file (fetching it if nothing knows it), `packages` what a
        statement about packages comes to (resolving it if nothing knows that)."""
        self._store = store
        self._context = context
        self._tree_of = tree_of
        self._fetched = fetched
        self._packages = packages

    def gather(self, step: Step, epoch: int) -> Inputs:
        """The inputs of `step`. Raises UsageError kinds for what is missing or may not be used."""
        match step.action:
            case CopyIn(origin=None) as action:
                return self._from_context(action, epoch)
            case CopyIn(origin=Origin()) as action:
                return self._from_tree(action)
            case Render() as action:
                text, mode = self._context(action.folder).read(action.template, "render")
                return Inputs((sha256_of(text), f"{mode & 0o755:o}"), text=text, mode=mode & 0o755)
            case FetchFile() as action:
                return Inputs((self._fetched(action),))
            case Execute() as action:
                return self._mounts(action, epoch)
            case InstallPackages() as action:
                return self._declared(step, action)
            case _:
                return Inputs()

    def _from_context(self, action: CopyIn, epoch: int) -> Inputs:
        exclude = compile_patterns(action.exclude) if action.exclude else None
        context = self._context(action.folder)
        found: list[Found] = []
        for source in action.sources:
            found += context.select(source, exclude, epoch)
        return Inputs(tuple(_line(one.entry) for one in found), found=tuple(found))

    def _from_tree(self, action: CopyIn) -> Inputs:
        assert action.origin is not None
        tree = self._tree_of(action.origin)
        entries = []
        for source in action.sources:
            path = source.strip("/").encode()
            # The last part too: copying a link that was named means copying what it shows, as for the context.
            entry = lookup(self._store.trees, tree, path, follow=True)
            if entry is None:
                raise NotInTree(source, action.origin.argument)
            name = path.rpartition(b"/")[2]
            entries.append((path, entry._replace(name=name)))
        return Inputs(tuple(_line(entry) for _, entry in entries), entries=tuple(entries))

    def _declared(self, step: Step, action: InstallPackages) -> Inputs:
        manager = manager_of(action.manager)
        contents = manager.files_of(action, lambda path, option: self._context(action.folder).read(path, option)[0])
        packages = self._packages(step, contents)
        digests = [sha256_of("\0".join(values(package)).encode()) for package in packages]
        if manager.installs_files:
            # They say more than which packages there are.
            digests += [sha256_of(content) for _, content in contents]
        return Inputs(tuple(digests), contents=contents, packages=packages)

    def _mounts(self, action: Execute, epoch: int) -> Inputs:
        if not action.mounts:
            return Inputs()
        context = self._context(action.folder)
        digests, binds = [], []
        for source, target in action.mounts:
            (found,) = context.select(source, None, epoch)
            digests.append(_line(found.entry))
            binds.append((context.real_path(source), target))
        return Inputs(tuple(digests), binds=tuple(binds))


def _line(entry: Entry) -> str:
    """One entry for a key. Of a folder's name nothing depends when its contents are copied, but much else may."""
    assert entry.kind in (DIRECTORY, LINK) or entry.digest or entry.target or entry.kind == "p"
    return sha256_of(encode([entry]))

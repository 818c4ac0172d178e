"""The way back of a recipe to an image: the commit that has the recipe, its lock and all that the build read, and the
git command that brings them back into the working tree."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from envbuild.build.context_ignore import IGNORE_FILES, ContextError, is_left_out_everywhere, read_ignored
from envbuild.errors import EnvbuildError
from envbuild.git.commit_of_image import LockCommits
from envbuild.git.content_ids import content_id
from envbuild.git.repository import NoSuchRevision, Repository
from envbuild.git.tracked_files import LINK, SUBMODULE, TrackedFile
from envbuild.git.working_files import as_committed
from envbuild.lockfile import lock_file
from envbuild.lockfile.lock import BadLock, path_of
from envbuild.record import Pairs, Record
from envbuild.store.images import Image
from envbuild.store.store import Store
from envbuild.store.tags import BUILD
from envbuild.tree.entry import DIRECTORY, FILE, Entry
from envbuild.tree.entry import LINK as LINK_KIND
from envbuild.tree.lookup import walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MAX_COMMITS = 20
"""Commits with the image in their lock that are looked at."""
_MAX_PATHS = 8
"""Paths that are brought back one by one; of more, the directories."""
_CHUNK = 1 << 20
_LOCK = ".lock"
_TAR = "tar:"


class Restoration(Record):
    """The way back to an image. `commit` has its lock, "" if no commit has; `paths` of the repository at `root` are to
    be brought back from there.

    `missing` are files that the build read and the commit does not have as they were, `extra` those of now that git
    does not know and a build would take too, and `uncommitted` those whose changes the way back would overwrite.
    `settings` are those of `--set`: no lock has such a build.
    """

    root: str
    commit: str = ""
    paths: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    uncommitted: tuple[str, ...] = ()
    settings: Pairs = ()


class _Sources(Record):
    """What a build read, by the paths of the repository: the `recipe`, the digest of the image in each of its `locks`
    ("" if that is not on record), `files` (None for an archive, which is not kept), and what statements name (`named`,
    with wildcards as they are)."""

    recipe: str
    locks: Mapping[str, str]
    files: Mapping[str, Entry | None]
    named: tuple[str, ...]


def restoration(store: Store, image: Image) -> Restoration | None:
    """Return the way back to an image; None if no build in a repository that can be read made it."""
    for build in store.tags.moves_to(image.digest):
        known = build.known
        if build.action != BUILD or not known.get("file"):
            continue
        root = str(known.get("root", ""))
        try:
            repository = Repository(root if os.path.isdir(root) else ".")
            settings = image.known.get("sources", {}).get("settings", {})
            if settings:
                return Restoration(repository.root, settings=tuple(settings.items()))
            return _Search(store, repository, image, _sources(store, image, str(known["file"]))).best_way()
        except (EnvbuildError, OSError):
            continue
    return None


def _sources(store: Store, image: Image, recipe: str) -> _Sources:
    """Return what is on record of the sources of an image, whose recipe is at this path; of old ones only the
    recipe."""
    known: dict[str, Any] = image.known.get("sources", {})
    inner = str(known.get("recipe", ""))
    if not inner or not f"/{recipe}".endswith(f"/{inner}") or not store.trees.has(known.get("tree", "")):
        return _Sources(recipe, {path_of(recipe): image.digest}, {}, (recipe,))
    prefix = recipe[: len(recipe) - len(inner)]
    kept = {os.fsdecode(path): entry for path, entry in walk(store.trees, known["tree"]) if entry.kind != DIRECTORY}
    archives = known.get("archives", [])
    named = [*known["named"], *archives] if "named" in known else [*kept, *_archives(image, inner)]
    files: dict[str, Entry | None] = {path: entry for path, entry in kept.items() if is_named(path, named)}
    files |= dict.fromkeys(archives if "named" in known else _archives(image, inner))
    locks = {path: _image_of(text, path) for path, text in known["locks"].items() if path.removesuffix(_LOCK) in files}
    return _Sources(
        recipe,
        {prefix + path: digest for path, digest in locks.items()},
        {prefix + path: entry for path, entry in files.items()},
        tuple(os.path.normpath(prefix + path) for path in named),
    )


def _archives(image: Image, recipe: str) -> list[str]:
    """Return the archives that stages start from, as far as the record of an old image says."""
    bases = (str(stage["base"]) for stage in image.known.get("stages", []))
    folder = os.path.dirname(recipe)
    return [os.path.normpath(os.path.join(folder, base.removeprefix(_TAR))) for base in bases if base.startswith(_TAR)]


def _image_of(text: str, path: str) -> str:
    try:
        return lock_file.parse(text, path).image
    except BadLock:
        return ""


class _Search:
    """The search for the commit of an image, and for what leads back to it."""

    def __init__(self, store: Store, repository: Repository, image: Image, sources: _Sources) -> None:
        self._store = store
        self._repository = repository
        self._image = image
        self._sources = sources
        self._head = self._tracked("HEAD")
        self._ignored = _Ignored(repository.root, sources)

    def best_way(self) -> Restoration:
        """Return the best way back. Raises what reading the repository raises."""
        best: tuple[tuple[bool, int], str, tuple[str, ...], frozenset[str]] | None = None
        expected = self._expected()
        for commit in self._commits():
            files = self._tracked(commit)
            locks = self._sources.locks.items()
            unlocked = frozenset(path for path, image in locks if not self._has_lock(commit, path, image))
            missing = tuple(path for path in self._sources.files if self._differs(path, files, expected))
            rank = not unlocked, -len(missing)
            if best is None or rank > best[0]:
                best = rank, commit, missing, unlocked
            if not unlocked and not missing:
                break
        return self._way(*best[1:]) if best is not None else Restoration(self._repository.root)

    def _way(self, commit: str, missing: tuple[str, ...], unlocked: frozenset[str]) -> Restoration:
        """Return the way to a commit, which has other files at `missing`, and other locks at `unlocked`."""
        root = self._repository.root
        files = self._tracked(commit)
        index = {str(file.path): file for file in self._repository.tracked(None)}
        named = (*self._sources.named, *self._sources.locks)
        changed = [
            path
            for path in sorted({*files, *index})
            if is_named(path, named)
            and path not in unlocked
            and not self._ignored(path)
            and (files.get(path) or index[path]).mode != SUBMODULE
            and not as_committed(root, path, index, files)
        ]
        uncommitted = [
            path
            for path in changed
            if path in index and path not in self._sources.locks and not as_committed(root, path, index, self._head)
        ]
        untracked = [
            path
            for path in self._repository.untracked(_folders(root, named))
            if is_named(path, named) and not is_left_out_everywhere(os.path.basename(path)) and not self._ignored(path)
        ]
        here = {path for path in untracked if path in self._sources.files and self._is_here(path)}
        return Restoration(
            root,
            commit,
            tuple(_short(changed, named)),
            (*(path for path in missing if path not in here), *sorted(unlocked)),
            tuple(path for path in untracked if path not in self._sources.files and path not in files),
            tuple(sorted({*uncommitted, *(path for path in untracked if path in files)})),
        )

    def _commits(self) -> Iterator[str]:
        """Yield commits that may have the sources, the likeliest first."""
        builds = self._builds()
        locks = LockCommits(self._repository, path_of(self._sources.recipe))
        try:
            candidates = [
                *(str(known["commit"]) for known in builds if not known.get("dirty")),
                *locks.all_of(self._image.digest)[:_MAX_COMMITS],
                *(str(known["commit"]) for known in builds if known.get("dirty")),
            ]
        finally:
            locks.close()
        for commit in list(dict.fromkeys(candidates))[: 2 * _MAX_COMMITS]:
            try:
                yield self._repository.commit_of(commit)
            except NoSuchRevision:
                continue  # of another clone

    def _builds(self) -> list[dict[str, Any]]:
        """Return what is known of the recipe's builds that made the image in a commit, the newest first."""
        moves = self._store.tags.moves_to(self._image.digest)
        known = [move.known for move in moves if move.action == BUILD]
        return [build for build in known if build.get("file") == self._sources.recipe and build.get("commit")]

    def _expected(self) -> dict[str, tuple[bool, str]]:
        """Return what git has of each file if it is as the build read it."""
        like = next((file.oid for file in self._head.values()), "")
        files = self._sources.files
        contents = {path: self._id(entry, like) for path, entry in files.items() if entry is not None}
        converted = self._repository.converted(list(contents)) if contents else {}
        clean = next((str(known["commit"]) for known in self._builds() if not known.get("dirty")), "")
        if converted and clean:
            # git stores them otherwise than they are: as in the commit that they were built from without changes.
            tracked = self._tracked(clean)
            contents |= {path: content for path in converted if (content := _content(tracked.get(path))) is not None}
        return contents

    def _id(self, entry: Entry, like: str) -> tuple[bool, str]:
        if entry.kind == LINK_KIND:
            return False, content_id(len(entry.target), [entry.target], like)
        descriptor = self._store.objects.open(entry)
        with open(descriptor, "rb") as file:
            chunks = iter(lambda: file.read(_CHUNK), b"")
            return bool(entry.mode & 0o100), content_id(os.fstat(descriptor).st_size, chunks, like)

    def _differs(self, path: str, files: Mapping[str, TrackedFile], expected: Mapping[str, tuple[bool, str]]) -> bool:
        tracked = files.get(path)
        return tracked is None or (path in expected and _content(tracked) != expected[path])

    def _is_here(self, path: str) -> bool:
        """Return whether the working tree has a file as the build read it."""
        entry = self._sources.files[path]
        full = os.path.join(self._repository.root, path)
        if entry is None or entry.kind != FILE or os.path.islink(full) or not os.path.isfile(full):
            return False
        with open(full, "rb") as file:
            chunks = iter(lambda: file.read(_CHUNK), b"")
            return content_id(os.path.getsize(full), chunks, "") == self._id(entry, "")[1]

    def _has_lock(self, commit: str, path: str, image: str) -> bool:
        try:
            text = self._repository.read(commit, path).decode("utf-8", "replace")
            images = lock_file.parse(text, path).results.images
            return not image or image in [known.digest for known in images]
        except EnvbuildError:
            return False

    def _tracked(self, commit: str) -> dict[str, TrackedFile]:
        return {str(file.path): file for file in self._repository.tracked(self._repository.commit_of(commit))}


class _Ignored:
    """What the patterns of the recipes' folders leave out of a `copy`, as they are now."""

    def __init__(self, root: str, sources: _Sources) -> None:
        folders = {os.path.dirname(sources.recipe)}
        folders |= {os.path.dirname(path) for path in sources.files if os.path.basename(path) in IGNORE_FILES}
        self._matchers = []
        for folder in sorted(folders):
            where = os.path.join(root, folder)
            try:
                matcher = read_ignored(os.path.realpath(where), root, where).own
            except ContextError:
                continue
            if matcher is not None:
                self._matchers.append((folder, matcher))

    def __call__(self, path: str) -> bool:
        for folder, matcher in self._matchers:
            if folder and not path.startswith(f"{folder}/"):
                continue
            parts = os.fsencode(path.removeprefix(f"{folder}/") if folder else path).split(b"/")
            above = (b"/".join(parts[:length]) for length in range(1, len(parts)))
            if any(matcher.matches(directory, True) for directory in above) or matcher.matches(b"/".join(parts), False):
                return True
        return False


def is_named(path: str, named: Iterable[str]) -> bool:
    """Return whether `path` is, or lies in, one of the paths that statements name."""
    parts = path.split("/")
    for name in named:
        if name == "." or path == name or path.startswith(f"{name}/"):
            return True
        if any(mark in name for mark in "*?[") and _matches(parts, name.split("/")):
            return True
    return False


def _matches(parts: list[str], patterns: list[str]) -> bool:
    """Return whether a path, or what it lies in, is matched as `copy` does: no wildcard means a dot at the beginning of
    a name."""
    return len(parts) >= len(patterns) and all(
        fnmatchcase(part, pattern) and (part[:1] != "." or pattern[:1] == ".")
        for part, pattern in zip(parts, patterns, strict=False)
    )


def _content(file: TrackedFile | None) -> tuple[bool, str] | None:
    """Return whether a tracked file can be executed, and the id of its content."""
    return None if file is None else (file.mode != LINK and bool(file.mode & 0o100), file.oid)


def _folders(root: str, named: Iterable[str]) -> list[str]:
    """Return the existing directories that statements name, or that their wildcards begin with."""
    folders = []
    for name in named:
        while any(mark in name for mark in "*?["):
            name = os.path.dirname(name)
        if os.path.isdir(os.path.join(root, name)):
            folders.append(name or ".")
    return sorted(set(folders))


def _short(paths: Sequence[str], named: Iterable[str]) -> Iterator[str]:
    """Yield the paths; of many, the named directories that they lie in."""
    if len(paths) <= _MAX_PATHS:
        yield from paths
        return
    tops = [next((name for name in named if path.startswith(f"{name}/") or name == "."), path) for path in paths]
    yield from dict.fromkeys(tops)

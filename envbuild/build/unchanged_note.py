"""Notes that a build found all as it was (unchanged.py): what it looked at, as far as that is known for certain.

A build that looks further is not noted: one with options that make it do more, or one that takes images, patterns,
archives or files for package managers. It is built in the ordinary way each time.
"""

from __future__ import annotations

import os
import stat

from envbuild.build.bases import DPKG_STATUS
from envbuild.build.context_ignore import IGNORE_FILES
from envbuild.build.context_scan import RACY_NANOSECONDS
from envbuild.build.publish import USE_NOTED_EVERY, USED
from envbuild.build.request import BuildRequest
from envbuild.build.unchanged import FOLDER, database_state, note, rough_state_of, state_of
from envbuild.language.base_kinds import Debian, Host, RecipeBase, RegistryBase, Scratch, StageBase, Tarball
from envbuild.linux.nofollow import Folder
from envbuild.linux.subids import MAPPERS, find_program, has_single_id
from envbuild.plan.step import CopyIn, Execute, InstallPackages
from envbuild.record import values
from envbuild.store.working_tree import WorkingTree, git_dir_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from envbuild.build.context import Context
    from envbuild.build.context_scan import ContextItem
    from envbuild.build.graph import PlannedRecipe, Stage
    from envbuild.build.job import BuildJob
    from envbuild.build.unchanged import Question, State, Watcher
    from envbuild.plan.step import Step

MAX_PATHS = 20_000
"""The note of more would take megabytes."""
MAX_NOTES = 200
"""In one store. They are small, and all but the last one of a recipe are of no use any more."""
_SUBIDS = ("/etc/passwd", "/etc/subuid", "/etc/subgid")
_WILDCARDS = frozenset("*?[")
_PLAIN = ("path", "settings", "stage", "locked", "exact", "offline", "jobs", "network", "home", "user", "epoch")
_PLAIN_LIMITS = ("fetch_limit", "output_limit", "snapshot", "registries")
"""The fields of a request that decide nothing which is not in the question already."""


class _LooksFurther(Exception):
    """The build looked at something whose state is not known here."""


class _Looks:
    """What a build looked at: the states of paths, those of directories in which others come and go, and directories
    whose paths have no links in them."""

    def __init__(self) -> None:
        self.states: dict[str, State] = {}
        self.rough: dict[str, State] = {}
        self.folders: set[str] = set()

    def at(self, path: str) -> None:
        """Take what lies at a path. Raises _LooksFurther for one that leads over a link."""
        path = os.path.abspath(path)
        state = state_of(path)
        if state is not None and stat.S_ISLNK(state[0]):
            raise _LooksFurther
        self.states[path] = state
        self.inside(os.path.dirname(path))

    def inside(self, folder: str) -> None:
        """Take a directory by its path alone."""
        if folder not in self.folders:
            if os.path.realpath(folder) != folder:
                raise _LooksFurther
            self.folders.add(folder)

    def items(self, items: Iterable[ContextItem]) -> None:
        """Take what statements copy, with all that is in it."""
        paths = [path for item in items for path in _paths(item)]
        if len(self.states) + len(paths) > MAX_PATHS:
            raise _LooksFurther
        self.states.update((path, state_of(path)) for path in paths)

    def repository(self, folder: str) -> None:
        """Take the repository that a directory lies in, and the branch that is checked out there."""
        mark = git_dir_of(folder)
        above = os.path.realpath(folder)
        while mark is None or above != os.path.dirname(mark):
            self.states[f"{above.rstrip('/')}/.git"] = None
            if above == os.path.dirname(above):
                return
            above = os.path.dirname(above)
        tree = WorkingTree.of(folder)
        if tree is None:
            raise _LooksFurther
        self.rough[mark] = rough_state_of(mark)
        self.rough[tree.root] = rough_state_of(tree.root)
        self.rough[tree.git_dir] = rough_state_of(tree.git_dir)
        if tree.git_dir != mark:
            self.at(mark)
            self.at(f"{tree.git_dir}/gitdir")
        self.at(f"{tree.git_dir}/HEAD")


def keep_note(question: Question, watcher: Watcher, word: str | None, missing: tuple[str, ...], progress: str) -> None:
    """Note what a build told, where the next one would tell the same.

    `word` is how the recipe was named, `missing` are settings that would have counted, had they been there, and
    `progress` says how its progress was shown.
    """
    job = watcher.job
    if job is None or not watcher.events or job.reporter.ran or job.store.database.read_only:
        return
    # What changed since the build began may have been read before it did.
    latest = question.asked * 1e9 - RACY_NANOSECONDS
    if not _before(latest, question.database) or database_state(question.store) != question.database:
        return  # it noted something itself, or another build does
    try:
        looks = _looks_of(job, word)
    except (_LooksFurther, OSError):
        return
    looks.states.update((path, state_of(path)) for path in missing)
    if not _before(latest, looks.states.values()):
        return
    plain = [(type(event).__name__, values(event)) for event in watcher.events]
    known = list(looks.states.items()), list(looks.rough.items()), sorted(looks.folders)
    _write(question, note((question.digest, question.asked, _until(job), question.database, *known, progress, plain)))


def _before(latest: float, states: Iterable[State]) -> bool:
    """Tell whether all of them were changed last before a moment, in nanoseconds since 1970."""
    return all(state is None or max(state[-2:]) < latest for state in states)


def _until(job: BuildJob) -> float:
    """Return when a build of these recipes notes again that their steps were used."""
    noted = [job.store.memo.get(USED, os.path.abspath(recipe.path)) for recipe in job.graph.recipes]
    return min(float(moment or b"0") for moment in noted) + USE_NOTED_EVERY


def _looks_of(job: BuildJob, word: str | None) -> _Looks:
    request = job.request
    same = {field: getattr(request, field) for field in (*_PLAIN, *_PLAIN_LIMITS)}
    if request != BuildRequest(**same) or has_single_id(os.geteuid()):
        raise _LooksFurther
    for recipe in job.graph.recipes:
        for stage in recipe.stages:
            for result in job.progress[stage].all_results:
                _look_at_step(result.step)
    looks = _Looks()
    if os.geteuid() != 0:
        for path in (*_SUBIDS, *filter(None, map(find_program, MAPPERS))):
            looks.states[path] = state_of(path)
    _look_for_recipe(looks, word)
    looks.repository(".")
    for recipe in job.graph.recipes:
        for path, _ in recipe.recipe.files:
            looks.at(path)
        looks.at(recipe.lock_path)
        if (looks.states[os.path.abspath(recipe.lock_path)] is None) != (recipe.lock_text is None):
            raise _LooksFurther
        looks.repository(os.path.dirname(recipe.path))
        for stage in recipe.stages:
            _look_at_base(looks, job, recipe, stage)
        for context in job.sources.contexts(recipe):
            _look_at_context(looks, context)
    return looks


def _look_for_recipe(looks: _Looks, word: str | None) -> None:
    """Take what decides which recipe a word means (cli/recipe_operand.py)."""
    if word is not None:
        looks.at(word)
        if os.path.isfile(word):
            return
    folder = "." if word is None else word
    if os.path.isdir(folder):
        looks.at(folder)
        for name in os.listdir(folder):
            if name.endswith(".env"):
                looks.at(os.path.join(folder, name))


def _look_at_base(looks: _Looks, job: BuildJob, recipe: PlannedRecipe, stage: Stage) -> None:
    match stage.base:
        case Scratch() | Debian() | RegistryBase() | StageBase() | RecipeBase():
            pass
        case Host():
            looks.states[DPKG_STATUS] = state_of(DPKG_STATUS)
        case Tarball(path=path, folder=folder):
            context = job.sources.context(recipe, folder)
            archive = os.path.normpath(os.path.join(context.folder, path))
            if context.archives != {archive}:
                raise _LooksFurther
            looks.at(archive)
        case _:
            raise _LooksFurther


def _look_at_step(step: Step) -> None:
    """Raise _LooksFurther for a step that takes more than its context knows."""
    match step.action:
        case CopyIn(include=(), exclude=(), optional=False, origin=None, sources=sources):
            plain = _WILDCARDS.isdisjoint("".join(sources))
        case CopyIn(origin=origin) if origin is not None:
            plain = origin.kind != "image"
        case CopyIn():
            plain = False
        case Execute(mounts=mounts, shown=shown):
            plain = not mounts and all(mount.origin.kind != "image" for mount in shown)
        case InstallPackages(files=files):
            plain = not files
        case _:
            plain = True
    if not plain:
        raise _LooksFurther


def _look_at_context(looks: _Looks, context: Context) -> None:
    looks.inside(context.folder)
    looks.inside(context.root)
    for name in IGNORE_FILES:
        looks.at(f"{context.folder}/{name}")
    ignored = context.ignored
    if ignored.reopens or (ignored.path and looks.states[ignored.path] is None):
        raise _LooksFurther
    for known, item in context.taken.items():
        _, source, _ = known.split("\0", 2)
        if item.path != os.path.normpath(os.path.join(context.folder, source)):
            raise _LooksFurther
        looks.inside(os.path.dirname(item.path))
    looks.items(context.taken.values())
    for path in context.texts:
        looks.at(path)


def _paths(item: ContextItem) -> Iterator[str]:
    yield item.path
    for child in item.children:
        yield from _paths(child)


def _write(question: Question, content: bytes) -> None:
    try:
        with Folder(os.path.realpath(question.store)) as store, store.folder(FOLDER, 0o700) as notes:
            names = notes.names()
            for name in names if len(names) >= MAX_NOTES else ():
                notes.remove(name)
            notes.replace(os.path.basename(question.path), content, 0o600)
    except OSError:
        pass  # a full disk, a link in its place, or another process that tidies: the next build is an ordinary one

"""What a build will need that its store does not have, as far as that can be told before anything runs.

The places are asked only if something is missing; an offline build ends here if they don't have it either.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from envbuild.build.fetch import has_content
from envbuild.build.file_sources import FileSources, NeedsNetwork, file_line
from envbuild.build.graph import Stage
from envbuild.build.job import BuildJob
from envbuild.build.statement_pins import pins_of
from envbuild.language.base_kinds import Debian, RegistryBase
from envbuild.language.model import Apt, Fetch, Npm, OfLock, Pip, Run, Statement, Test
from envbuild.language.statement_parts import Place
from envbuild.lockfile.lock import Package, first_line
from envbuild.packages.cache import Cache
from envbuild.packages.registry import manager_of
from envbuild.record import Record

MAX_NAMED = 5
"""Files of one statement that a message names; a base alone has a hundred."""


class Need(Record):
    """Something that the statement of this `text` takes from the network: the file of a `hash`, or with "" what no hash
    names. It is `vendored` if a place may have it."""

    text: str
    what: str
    hash: str = ""
    vendored: bool = True


def prepare_places(job: BuildJob, files: FileSources, stages: Sequence[Stage]) -> None:
    """Find out which places answer, if these stages need files. Called while this process has one thread. Raises
    NeedsNetwork for an offline build that needs what they don't have."""
    if files.places is None and not files.offline:
        return
    needs = list(dict.fromkeys(_Search(job).needs(stages)))
    if needs and files.places is not None:
        files.places.leave_out_silent()
    if files.offline:
        lacking = [need for need in needs if not (need.hash and files.has(need.hash))]
        if lacking:
            raise NeedsNetwork(files.recipe, _lines(lacking), any(need.vendored for need in lacking))


def _lines(needs: Sequence[Need]) -> list[str]:
    """Return what a message says of needs, a line for each statement."""
    by_text: dict[str, list[str]] = {}
    for need in sorted(needs, key=lambda need: need.vendored):
        by_text.setdefault(need.text, []).append(need.what)
    lines = []
    for text, whats in by_text.items():
        rest = len(whats) - MAX_NAMED
        shown = ", ".join(whats[:MAX_NAMED] if rest > 1 else whats)
        lines.append(f"{text}: {shown}{f' and {rest} more' if rest > 1 else ''}")
    return lines


class _Search:
    def __init__(self, job: BuildJob) -> None:
        self._job = job
        self._store = job.store
        self._cache = Cache(job.store.packages_path, job.store.work.exclusive)

    def needs(self, stages: Sequence[Stage]) -> Iterator[Need]:
        """Yield what stages that are not at their ends will need."""
        for stage in stages:
            at = self._job.progress.get(stage)
            if at is None and isinstance(stage.base, Debian):
                yield from self._base(stage)
            if at is None and isinstance(stage.base, RegistryBase):
                text = f"{_at(stage.base.place)}from {stage.base_text}"
                yield Need(text, "this store does not have the image", vendored=False)
            # A step that ran before, in whatever recipe, may be in the cache; the first one that is left is not.
            left = None if at is None else {step.text for step in (*at.steps[at.next_number :], *at.plan.tests)}
            first = at.next_step if at is not None else None
            for statement in stage.written.statements:
                if left is not None and statement.text not in left:
                    continue
                is_first = first is not None and statement.text == first.text
                if is_first or isinstance(statement, Fetch) or not self._store.steps.has_run(statement.text):
                    yield from self._statement(stage, statement)

    def _base(self, stage: Stage) -> Iterator[Need]:
        packages = stage.locked.packages.all if stage.locked is not None else ()
        if not packages:
            yield Need(
                f"{_at(stage.base.place)}from {stage.base_text}", "the lock does not list the packages of this base"
            )
        yield from self._missing(f"{_at(stage.base.place)}from {stage.base_text}", packages)

    def _statement(self, stage: Stage, statement: Statement) -> Iterator[Need]:
        text = f"{_at(statement.place)}{first_line(statement.text)}"
        match statement:
            case Run() | Test() if statement.options.network:
                yield Need(text, "it uses the network, and its result is not in this store", vendored=False)
            case Fetch():
                digest = statement.sha256 or self._job.sources.pinned_file(
                    self._job.graph.recipe_of(stage), statement.url
                )
                if digest is None:
                    yield Need(text, "neither the recipe nor the lock has its sha256")
                elif not has_content(self._store, digest):
                    yield Need(text, f"sha256:{digest}", f"sha256:{digest}")
            case Apt() | Pip() | Npm() | OfLock():
                packages = self._locked(stage, statement)
                if packages is None:
                    yield Need(text, "the lock does not say which packages it means")
                else:
                    yield from self._missing(text, packages)
            case _:
                pass

    def _locked(self, stage: Stage, statement: Statement) -> tuple[Package, ...] | None:
        installs = pins_of(stage.locked, stage, statement)
        if installs is None:
            return None
        return tuple(
            package
            for install in installs
            for package in install.packages
            if not manager_of(install.manager).is_in_tree(package)
        )

    def _missing(self, text: str, packages: Sequence[Package]) -> Iterator[Need]:
        for package in packages:
            if not self._cache.has(package):
                yield Need(text, file_line(package), package.hash)


def _at(place: Place) -> str:
    return f"{place.file}:{place.line}: "

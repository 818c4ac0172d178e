"""The writer of the lines that turn an image into an instance: packages before accounts before files.

Nothing is predicted that can be tried: each kind of line is built as soon as it is written, and the next kind is
written for the differences that are left. A line that can't be built is dropped, and files replace it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from envbuild.drift.account_lines import Names, account_lines
from envbuild.drift.command_lines import Command, CommandLines
from envbuild.drift.file_lines import FilePlan, plan_files
from envbuild.drift.package_lines import PackageLines, apt_line
from envbuild.drift.recipe_text import Dropped
from envbuild.drift.script_lines import SCRIPT, TOOLS
from envbuild.drift.statement_text import Line, has, programs
from envbuild.drift.trial_build import TrialBuild
from envbuild.drift.unexpressed import OTHER, ExpressionRules, Unexpressed, environments_of
from envbuild.errors import EnvbuildError, Interrupted
from envbuild.history.compare import Comparison
from envbuild.history.package_changes import PackageChange, package_changes
from envbuild.images.accounts import read_databases
from envbuild.packages.inventory.component import DPKG
from envbuild.plan.image_config import Facts
from envbuild.record import Record
from envbuild.store.store import Store
from envbuild.tree.diff import Change, diff, expanded
from envbuild.tree.entry import Digest, Entry
from envbuild.tree.lookup import lookup

MAX_SINGLE_TRIES = 20
"""Packages that are tried one by one if they can't be installed together."""
_MAX_REASON = 300
_ADDRESS = re.compile(r"[a-z]+://\S+")


class RecipeLines(Record):
    """The lines, the files that they copy, the lines that were dropped, and the paths that still differ from the
    instance. `tree` is the tree that they build, None if they were not tried."""

    lines: tuple[Line, ...]
    plan: FilePlan
    dropped: tuple[Dropped, ...]
    unexpressed: tuple[Unexpressed, ...]
    tree: Digest | None


class Writer:
    """The writer for one instance, whose tree is `target` and whose image has `tree` and `facts`. `report` gets the
    progress. `may_fetch` is called with the lines that would fetch something before that happens: which packages there
    are is the instance's own claim."""

    def __init__(
        self,
        store: Store,
        tree: Digest,
        target: Digest,
        facts: Facts,
        stem: str,
        rules: ExpressionRules,
        report: Callable[[str], None],
        may_fetch: Callable[[list[str]], bool],
    ) -> None:
        self._store = store
        self._tree = tree
        self._target = target
        self._facts = facts
        self._stem = stem
        self._rules = rules
        self._report = report
        self._may_fetch = may_fetch
        self._lines: list[Line] = []
        self._fetches = True
        self._dropped: list[Dropped] = []

    def write(self, trial: TrialBuild) -> RecipeLines:
        """Write the lines and build them. Raises what a build raises if not even copies of files can be built."""
        self._packages(trial)
        self._accounts(trial)
        self._commands(trial)
        plan = self._files(self._tree, self._expressed(self._tree))
        if plan.files:
            self._report(f"copying files and links: {len(plan.files)}")
        trial.write_files(plan.files)
        tree, plan = self._built(trial, plan)
        left = self._rules.between(tree, self._target)
        unexpressed = tuple(reason or Unexpressed(change, OTHER) for change, reason in left)
        return RecipeLines((*self._lines, *plan.lines), plan, tuple(self._dropped), unexpressed, tree)

    def write_untried(self, comparison: Comparison) -> RecipeLines:
        """Write the lines without building them; `comparison` is of the image and the instance."""
        changes = [difference.change for difference in comparison.packages]
        self._lines += self._package_lines(changes)
        unexpressed: list[Unexpressed] = []
        rest = []
        for change in comparison.rest:
            reason = self._rules.unexpressed(change)
            if reason is None:
                rest.append(change)
            else:
                unexpressed.append(reason)
        plan = self._files(self._tree, rest)
        return RecipeLines((*self._lines, *plan.lines), plan, (), tuple(unexpressed), None)

    # Packages

    def _package_lines(self, changes: list[PackageChange]) -> list[Line]:
        lines = PackageLines(self._store, self._target, self._facts, changes)
        requested = lines.apt(automatic=False)
        removed = lines.removed()
        installed = [apt_line(requested)] if requested else []
        commands = [command.line for command in self._commands_of(changes)]
        return [*installed, *([removed] if removed else []), *lines.python(), *lines.node(), *commands]

    def _packages(self, trial: TrialBuild) -> None:
        left = self._left()
        if not left:
            return
        lines = self._of(left)
        fetching = self._fetching(lines, left)
        self._fetches = not fetching or self._may_fetch([line.text for line in fetching])
        if not self._fetches:
            self._dropped += [Dropped(line, "fetching was not allowed") for line in fetching]
            self._without_fetching(trial, lines)
            return
        self._install(trial, lines)
        removed = self._of(self._removable(self._left())).removed()
        if removed is not None:
            self._try(trial, removed)
        self._rules.debian = any(change.package.kind == DPKG for change in left) and not any(
            change.package.kind == DPKG for change in self._left()
        )
        for line in self._of(self._left()).python():
            self._try(trial, line)
        for line in self._of(self._left()).node():
            self._try(trial, line)
        places = {change.package.where.partition("/lib/python3")[0] for change in left if change.package.where}
        filled = {place for place in places if any(_fills(line, place) for line in self._lines)}
        self._rules.environments = environments_of(self._store, self._target, sorted(filled))

    def _removable(self, changes: list[PackageChange]) -> list[PackageChange]:
        """Return those of the packages that differ that a line may remove, if the instance lacks them."""
        return changes

    def _install(self, trial: TrialBuild, lines: PackageLines) -> None:
        """Try the lines that install Debian packages; `lines` are for all packages that differ."""
        self._try_apt(trial, lines.apt(automatic=False), lines.downgraded())
        # Dependencies of requested packages are installed again by apt, unless they were only recommended.
        self._try_apt(trial, self._of(self._left()).apt(automatic=True))

    def _commands(self, trial: TrialBuild) -> None:
        """Try the lines that run pip and npm themselves: as users that an earlier line may have added."""
        if not self._fetches:
            return
        left = self._left()
        for command in self._commands_of(left):
            if self._try(trial, command.line):
                self._rules.environments = (*self._rules.environments, command.place)

    def _commands_of(self, changes: list[PackageChange]) -> list[Command]:
        return CommandLines(self._store, self._target, self._facts, changes).all()

    def _fetching(self, lines: PackageLines, changes: list[PackageChange]) -> list[Line]:
        """Return the lines whose packages would be fetched."""
        commands = [command.line for command in self._commands_of(changes)]
        apt = [*lines.apt(automatic=False), *lines.apt(automatic=True)]
        python = [line for line in lines.python() if line.text.startswith("pip(")]
        return [*([apt_line(apt)] if apt else []), *python, *lines.node(), *commands]

    def _without_fetching(self, trial: TrialBuild, lines: PackageLines) -> None:
        removed = lines.removed()
        if removed is not None:
            self._try(trial, removed)
        for line in lines.python():
            if not line.text.startswith("pip("):
                self._try(trial, line)

    def _left(self) -> list[PackageChange]:
        return list(package_changes(self._store, self._changes()).changes)

    def _changes(self) -> list[Change]:
        return list(expanded(self._store.trees, diff(self._store.trees, self._tree, self._target)))

    def _of(self, changes: list[PackageChange]) -> PackageLines:
        return PackageLines(self._store, self._target, self._facts, changes)

    def _try_apt(self, trial: TrialBuild, words: list[str], coupled: Iterable[str] = ()) -> None:
        """Try to install packages with one line; else with their dependencies of the older versions that only go with
        them (`coupled`), else one by one."""
        others = [package for package in coupled if package not in words]
        if not words or self._try(trial, apt_line(words), drop=len(words) == 1 and not others):
            return
        if others and self._try(trial, apt_line([*words, *others]), drop=len(words) == 1):
            return
        if len(words) == 1:
            return
        if len(words) > MAX_SINGLE_TRIES:
            self._try(trial, apt_line(words))
            return
        for package in words:
            self._try(trial, apt_line([package]))

    def _try(self, trial: TrialBuild, line: Line, *, drop: bool = True) -> bool:
        """Build one more line, keep it if that succeeds, and return whether it did."""
        error = self._attempt(trial, line)
        if error is not None and drop:
            self._dropped.append(Dropped(line, reason_of(error)))
        return error is None

    def _attempt(self, trial: TrialBuild, line: Line) -> EnvbuildError | None:
        """Build one more line and keep it if that succeeds; return what went wrong if it does not."""
        self._report(f"building {' '.join(line.text.split())}")
        try:
            self._tree = trial.tree([*self._lines, line])
        except Interrupted:
            raise
        except EnvbuildError as error:
            return error
        self._lines.append(line)
        return None

    # Accounts and files

    def _accounts(self, trial: TrialBuild) -> None:
        before, after = read_databases(self._store, self._tree), read_databases(self._store, self._target)
        shell = "/bin/bash" if has(self._store, self._tree, "bin/bash") else "/bin/sh"
        for line in account_lines(before, after, shell):
            self._try(trial, line)

    def _names(self, tree: Digest) -> Names:
        """Return the names of users and groups for the lines after those that build `tree`."""
        return Names(read_databases(self._store, tree))

    def _expressed(self, tree: Digest) -> list[Change]:
        return [change for change, reason in self._rules.between(tree, self._target) if reason is None]

    def _files(self, tree: Digest, changes: Iterable[Change], *, script: bool = True) -> FilePlan:
        names = self._names(tree)
        script = script and programs(self._store, tree, *TOOLS)

        def at(path: bytes) -> Entry | None:
            return lookup(self._store.trees, self._target, path)

        return plan_files(changes, self._stem, names, self._facts.user, at, script=script)

    def _built(self, trial: TrialBuild, plan: FilePlan) -> tuple[Digest, FilePlan]:
        try:
            return trial.tree([*self._lines, *plan.lines]), plan
        except Interrupted:
            raise
        except EnvbuildError as error:
            scripts = [line for line in plan.lines if line.about == SCRIPT]
            if not scripts:
                raise
            self._dropped += [Dropped(line, reason_of(error)) for line in scripts]
            plan = plan.replace(lines=tuple(line for line in plan.lines if line not in scripts))
            return trial.tree([*self._lines, *plan.lines]), plan


def _fills(line: Line, place: str) -> bool:
    return line.text.startswith("pip(") and f"/{place})" in line.text.partition(" ")[0].replace('"', "")


def reason_of(error: EnvbuildError) -> str:
    """Return why a line could not be built, in one line."""
    # Whoever reads the recipe must not see the addresses of this machine's mirrors.
    return _ADDRESS.sub("(an address)", " ".join(error.message.split()))[:_MAX_REASON]

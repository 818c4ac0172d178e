"""Writes the lines that lead from an image to an instance, packages before accounts before files.

Nothing is foretold where it can be tried: each kind of line is built as soon as it is written, and the next kind is
written for what still differs then. A line that can't be built is dropped, and files do its work.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from envbuild.drift.account_lines import Names, account_lines
from envbuild.drift.file_lines import FilePlan, plan_files
from envbuild.drift.package_lines import PackageLines, apt_line
from envbuild.drift.recipe_text import Dropped
from envbuild.drift.script_lines import SCRIPT, TOOLS
from envbuild.drift.statement_text import Line, has, programs
from envbuild.drift.trial_build import Builder
from envbuild.drift.unexpressed import Teller, Told, environments_of
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

MOST_SINGLE_TRIES = 20
"""Packages that are tried one by one where all of them together can't be installed."""
_LONGEST_REASON = 300
_ADDRESS = re.compile(r"[a-z]+://\S+")


class Written(Record):
    """The lines, what they copy, what was dropped, and what they leave other than the instance has it. `tree` is what
    they give, None where that was not tried."""

    lines: tuple[Line, ...]
    plan: FilePlan
    dropped: tuple[Dropped, ...]
    told: tuple[Told, ...]
    tree: Digest | None


class Writer:
    """Writes for one instance, whose tree is `target` and whose image has `tree` and `facts`. `say` is told what
    happens meanwhile. `may_fetch` is asked before anything is fetched, with the lines that want it: what packages there
    are is what the instance says of itself."""

    def __init__(
        self,
        store: Store,
        tree: Digest,
        target: Digest,
        facts: Facts,
        stem: str,
        teller: Teller,
        say: Callable[[str], None],
        may_fetch: Callable[[list[str]], bool],
    ) -> None:
        self._store = store
        self._tree = tree
        self._target = target
        self._facts = facts
        self._stem = stem
        self._teller = teller
        self._say = say
        self._may_fetch = may_fetch
        self._lines: list[Line] = []
        self._dropped: list[Dropped] = []

    def write(self, builder: Builder) -> Written:
        """The lines, built. Raises what a build raises if not even files can be."""
        self._packages(builder)
        self._accounts(builder)
        plan = self._files(self._tree, self._expressed(self._tree))
        if plan.files:
            self._say(f"copying {len(plan.files)} files and links")
        builder.lay_out(plan.files)
        tree, plan = self._built(builder, plan)
        told = []
        for change, why in self._teller.between(tree, self._target):
            told.append(why or Told(change, "other"))
        return Written((*self._lines, *plan.lines), plan, tuple(self._dropped), tuple(told), tree)

    def write_untried(self, comparison: Comparison) -> Written:
        """The lines as they should be; `comparison` is of the image and the instance."""
        changes = [one.change for one in comparison.packages]
        self._lines += self._package_lines(changes)
        told: list[Told] = []
        rest = []
        for change in comparison.rest:
            why = self._teller.told(change)
            if why is None:
                rest.append(change)
            else:
                told.append(why)
        plan = self._files(self._tree, rest)
        return Written((*self._lines, *plan.lines), plan, (), tuple(told), None)

    # Packages

    def _package_lines(self, changes: list[PackageChange]) -> list[Line]:
        lines = PackageLines(self._store, self._target, self._facts, changes)
        asked = lines.apt(automatic=False)
        removed = lines.removed()
        found = [apt_line(asked)] if asked else []
        return [*found, *([removed] if removed else []), *lines.python(), *lines.node()]

    def _packages(self, builder: Builder) -> None:
        left = self._left()
        if not left:
            return
        lines = self._of(left)
        wanting = self._fetching(lines)
        if wanting and not self._may_fetch([line.text for line in wanting]):
            self._dropped += [Dropped(line, "nothing was to be fetched") for line in wanting]
            self._without_fetching(builder, lines)
            return
        self._try_apt(builder, lines.apt(automatic=False))
        # What came along with packages that somebody asked for comes along again, unless it was only recommended.
        self._try_apt(builder, self._of(self._left()).apt(automatic=True))
        removed = self._of(self._left()).removed()
        if removed is not None:
            self._try(builder, removed)
        self._teller.debian = any(one.any.kind == DPKG for one in left) and not any(
            one.any.kind == DPKG for one in self._left()
        )
        for line in self._of(self._left()).python():
            self._try(builder, line)
        for line in self._of(self._left()).node():
            self._try(builder, line)
        places = {one.any.where.partition("/lib/python3")[0] for one in left if one.any.where}
        filled = {place for place in places if any(_fills(line, place) for line in self._lines)}
        self._teller.environments = environments_of(self._store, self._target, sorted(filled))

    def _fetching(self, lines: PackageLines) -> list[Line]:
        """The lines for whose packages something would be fetched."""
        asked = [*lines.apt(automatic=False), *lines.apt(automatic=True)]
        python = [line for line in lines.python() if line.text.startswith("pip(")]
        return [*([apt_line(asked)] if asked else []), *python, *lines.node()]

    def _without_fetching(self, builder: Builder, lines: PackageLines) -> None:
        removed = lines.removed()
        if removed is not None:
            self._try(builder, removed)
        for line in lines.python():
            if not line.text.startswith("pip("):
                self._try(builder, line)

    def _left(self) -> list[PackageChange]:
        return list(package_changes(self._store, self._changes()).found)

    def _changes(self) -> list[Change]:
        return list(expanded(self._store.trees, diff(self._store.trees, self._tree, self._target)))

    def _of(self, changes: list[PackageChange]) -> PackageLines:
        return PackageLines(self._store, self._target, self._facts, changes)

    def _try_apt(self, builder: Builder, words: list[str]) -> None:
        if not words or self._try(builder, apt_line(words), drop=len(words) == 1):
            return
        if len(words) == 1:
            return
        if len(words) > MOST_SINGLE_TRIES:
            self._try(builder, apt_line(words))
            return
        for one in words:
            self._try(builder, apt_line([one]))

    def _try(self, builder: Builder, line: Line, *, drop: bool = True) -> bool:
        """Builds one more line; keeps it if that goes well, and says whether."""
        self._say(f"building {' '.join(line.text.split())}")
        try:
            self._tree = builder.tree([*self._lines, line])
        except Interrupted:
            raise
        except EnvbuildError as error:
            if drop:
                self._dropped.append(Dropped(line, _reason(error)))
            return False
        self._lines.append(line)
        return True

    # Accounts and files

    def _accounts(self, builder: Builder) -> None:
        before, after = read_databases(self._store, self._tree), read_databases(self._store, self._target)
        shell = "/bin/bash" if has(self._store, self._tree, "bin/bash") else "/bin/sh"
        for line in account_lines(before, after, shell):
            self._try(builder, line)

    def _expressed(self, tree: Digest) -> list[Change]:
        return [change for change, why in self._teller.between(tree, self._target) if why is None]

    def _files(self, tree: Digest, changes: Iterable[Change], *, script: bool = True) -> FilePlan:
        names = Names(read_databases(self._store, tree))
        script = script and programs(self._store, tree, *TOOLS)

        def at(path: bytes) -> Entry | None:
            return lookup(self._store.trees, self._target, path)

        return plan_files(changes, self._stem, names, self._facts.user, at, script=script)

    def _built(self, builder: Builder, plan: FilePlan) -> tuple[Digest, FilePlan]:
        try:
            return builder.tree([*self._lines, *plan.lines]), plan
        except Interrupted:
            raise
        except EnvbuildError as error:
            scripts = [line for line in plan.lines if line.about == SCRIPT]
            if not scripts:
                raise
            self._dropped += [Dropped(line, _reason(error)) for line in scripts]
            plan = plan.replace(lines=tuple(line for line in plan.lines if line not in scripts))
            return builder.tree([*self._lines, *plan.lines]), plan


def _fills(line: Line, place: str) -> bool:
    return line.text.startswith("pip(") and f"/{place})" in line.text.partition(" ")[0].replace('"', "")


def _reason(error: EnvbuildError) -> str:
    # Addresses of a mirror are nobody's business who reads the recipe.
    return _ADDRESS.sub("(an address)", " ".join(error.message.split()))[:_LONGEST_REASON]

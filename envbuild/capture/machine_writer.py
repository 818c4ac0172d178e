"""The writer of the lines that make a machine like a captured one, on a base.

It differs from the writer for an instance in what it takes for granted: a machine is months old, so its packages have
versions that no source has any more, come from sources of other vendors, and its system users have other numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property

from envbuild.capture.apt_refusals import Refusals, refusals_of
from envbuild.capture.group_lines import group_lines, member_lines
from envbuild.capture.machine_rules import MachineRules
from envbuild.capture.other_sources import by_source, other_sources
from envbuild.capture.package_relations import needed_exactly, needing_exactly, not_needed, recommends_explain
from envbuild.capture.unit_lines import unit_lines
from envbuild.debian.deb822 import stanzas
from envbuild.drift.account_lines import Names
from envbuild.drift.file_lines import FilePlan
from envbuild.drift.package_lines import PackageLines, apt_line
from envbuild.drift.recipe_text import Dropped
from envbuild.drift.recipe_writer import Writer, reason_of
from envbuild.drift.script_lines import SCRIPT
from envbuild.drift.statement_text import Line, as_root, has, text_of
from envbuild.drift.trial_build import TrialBuild
from envbuild.history.package_changes import STATUS, PackageChange
from envbuild.images.accounts import Databases, read_databases
from envbuild.packages.inventory.component import DPKG
from envbuild.plan.image_config import Facts
from envbuild.store.store import Store
from envbuild.tree.diff import Change
from envbuild.tree.entry import Digest

_GENERATORS = (
    (b"etc/locale.gen", "usr/sbin/locale-gen"),
    (b"usr/local/share/ca-certificates/", "usr/sbin/update-ca-certificates"),
)
"""Settings that packages' programs make large files of, which are no part of a recipe."""
MAX_TRIES = 8
"""Times that apt is asked with less of a list; it names all that is missing at once."""


class MachineWriter(Writer):
    """The writer for one captured machine, on a base as a recipe has it after `from`, whose tree is `tree`."""

    def __init__(
        self,
        base: str,
        store: Store,
        tree: Digest,
        target: Digest,
        facts: Facts,
        stem: str,
        rules: MachineRules,
        report: Callable[[str], None],
        may_fetch: Callable[[list[str]], bool],
    ) -> None:
        super().__init__(store, tree, target, facts, stem, rules, report, may_fetch)
        self._base = base
        self.remarks: tuple[str, ...] = ()
        """What can't be said about sources of packages."""

    def _install(self, trial: TrialBuild, lines: PackageLines) -> None:
        words = lines.apt(automatic=False)
        self._recommends = recommends_explain(self._stanzas, lines.automatic)
        others, remarks = other_sources(self._store, self._base, self._target, self._stem)
        self.remarks = tuple(remarks)
        of_others = by_source(others, words)
        taken = {word for theirs in of_others.values() for word in theirs}
        self._resolve(trial, [word for word in words if word not in taken], self._options())
        for other in others:
            theirs = of_others.get(other, [])
            if theirs:
                trial.write_files([other.key])
                refused = self._resolve(trial, theirs, self._options(other.options), exact=True)
                self._resolve(trial, refused, self._options())
        left = self._of(self._left())
        self._go_back(trial, [*left.apt(automatic=False), *left.apt(automatic=True)])

    @cached_property
    def _stanzas(self) -> list[dict[str, str]]:
        """What dpkg of the machine says of its packages."""
        return list(stanzas(text_of(self._store, self._target, STATUS.decode()) or ""))

    def _options(self, *more: str) -> str:
        options = [*(("recommends",) if self._recommends else ()), *more]
        return f"({', '.join(options)})" if options else ""

    def _resolve(self, trial: TrialBuild, words: list[str], options: str, *, exact: bool = False) -> list[str]:
        """Try to install packages in their versions, those without such a version in another one, and return those that
        were not installed as they should be. With `exact` these are left out at once."""
        missing: list[str] = []
        present = self._names_in_tree()
        for _ in range(MAX_TRIES):
            if not words:
                return missing
            error = self._attempt(trial, apt_line(words, options))
            if error is None:
                return missing
            refused = refusals_of(error.message)
            strangers = refused.names - {word.partition("=")[0] for word in words}
            if strangers:
                refused = refused.replace(conflicts=refused.conflicts | needing_exactly(self._stanzas, strangers))
            fewer = [other for word in words if (other := with_less(word, refused, present, exact=exact))]
            missing += [word for word in words if word not in fewer]
            if fewer == words:
                if exact or all("=" not in word for word in words):
                    self._dropped.append(Dropped(apt_line(words, options), reason_of(error)))
                    return [*missing, *words]
                missing += [word for word in words if "=" in word]
                fewer = [word.partition("=")[0] for word in words if word.partition("=")[0] not in present]
            words = fewer
        return [*missing, *words]

    def _go_back(self, trial: TrialBuild, words: list[str]) -> None:
        """Try to give packages the versions that the machine has, as far as a source has them. apt removes what doesn't
        fit to them: what the machine has stays."""
        wanted = {stanza.get("package", "") for stanza in self._stanzas}
        for _ in range(MAX_TRIES):
            tree, number = self._tree, len(self._lines)
            before, names = self._status_of_tree(), self._names_in_tree()
            self._resolve(trial, words, "", exact=True)
            if len(self._lines) == number:
                return
            lost = (names & wanted) - self._names_in_tree()
            if not lost:
                return
            line = self._lines.pop()
            self._tree = tree
            holding = needed_exactly(before, lost)
            fewer = [word for word in line.about if word.partition("=")[0] not in holding]
            if len(fewer) == len(line.about):
                return
            words = fewer

    def _removable(self, changes: list[PackageChange]) -> list[PackageChange]:
        gone = {c.package.name.partition(":")[0] for c in changes if c.package.kind == DPKG and c.new is None}
        free = not_needed(self._status_of_tree(), gone)
        return [c for c in changes if c.new is not None or c.package.name.partition(":")[0] in free]

    def _status_of_tree(self) -> list[dict[str, str]]:
        """What dpkg says of the packages that the lines gave so far."""
        return list(stanzas(text_of(self._store, self._tree, STATUS.decode()) or ""))

    def _names_in_tree(self) -> set[str]:
        stanzas_here = self._status_of_tree()
        return {s.get("package", "") for s in stanzas_here if s.get("status", "").endswith(" installed")}

    def _accounts(self, trial: TrialBuild) -> None:
        if has(self._store, self._tree, "usr/sbin/groupadd"):
            for line in group_lines(self._databases(self._tree), self._databases(self._target), self._facts.user):
                self._try(trial, line)
        super()._accounts(trial)
        if has(self._store, self._tree, "usr/sbin/usermod"):
            for line in member_lines(self._databases(self._tree), self._databases(self._target), self._facts.user):
                self._try(trial, line)

    def _databases(self, tree: Digest) -> Databases:
        return read_databases(self._store, tree)

    def _commands(self, trial: TrialBuild) -> None:
        super()._commands(trial)
        if has(self._store, self._tree, "usr/bin/systemctl"):
            for line in unit_lines(self._store, self._tree, self._expressed(self._tree), self._facts.user):
                self._try(trial, line)

    def _files(self, tree: Digest, changes: Iterable[Change], *, script: bool = True) -> FilePlan:
        plan = super()._files(tree, changes, script=script)
        copied = [file.place.partition(b".files/")[2] for file in plan.files]
        head = f"run{as_root(self._facts.user)}"
        made = tuple(
            Line(f"{head} {program.rpartition('/')[2]}", SCRIPT)
            for settings, program in _GENERATORS
            if has(self._store, tree, program) and any(path.startswith(settings) for path in copied)
        )
        return plan.replace(lines=(*plan.lines, *made))

    def _names(self, tree: Digest) -> Names:
        # System users have other numbers in the tree of the lines, and are meant by their names.
        return Names(read_databases(self._store, self._target))


def with_less(word: str, refused: Refusals, present: Iterable[str], *, exact: bool) -> str:
    """Return what is asked for in place of NAME=VERSION after apt refused something, "" for nothing."""
    name = word.partition("=")[0]
    if name in refused.packages:
        return ""
    if name in refused.versions or name in refused.conflicts:
        return "" if exact or name in present or "=" not in word else name
    return word

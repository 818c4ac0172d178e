"""What has to hold of an image that nobody built: its tests pass, and its package managers find nothing wrong that they
did not find in the images that it was made of."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from envbuild.build.recipe_tests import RecipeTests, image_tests, recipe_tests
from envbuild.build.request import BuildRequest
from envbuild.build.tree_checks import TreeChecks, Verdict, audits_of, tree_checks
from envbuild.errors import EnvbuildError
from envbuild.plan.image_config import Facts
from envbuild.record import Pairs, Record
from envbuild.store.images import Image
from envbuild.store.store import Store
from envbuild.tree.entry import Digest


class Verification(Record):
    """What the checks of an image came to, tests first. `known` are findings that one of the images it was made of had
    already, by the names of the audits; `left_out` are tests that could not be run, each with the reason."""

    verdicts: tuple[Verdict, ...] = ()
    known: tuple[tuple[str, str], ...] = ()
    left_out: Pairs = ()

    @property
    def failures(self) -> list[Verdict]:
        """The checks that found something."""
        return [verdict for verdict in self.verdicts if not verdict.passed]


class TestsOf(Record):
    """Whose tests are run: those of the recipe at `path`, "" for none; of the images in whose records they stand."""

    path: str = ""
    images: tuple[Image, ...] = ()


def verify(
    store: Store, request: BuildRequest, tree: Digest, facts: Facts, tests: TestsOf, before: Sequence[Digest]
) -> Verification:
    """Run tests and audits on a tree, which was made of the trees `before`. `request` says what the user grants.

    The process has one thread; where there is something to run it enters the user namespace.
    """
    audits = audits_of(store, tree)
    with ExitStack() as held:
        wanted = _tests(store, tests, facts, held)
        if not audits and not wanted.checks:
            return Verification(left_out=wanted.left_out)
        checks = held.enter_context(tree_checks(store, request, tree))
        verdicts = checks.run(tree, wanted.checks, facts.epoch, tuple(before))
        known: list[tuple[str, str]] = []
        for audit in audits:
            (verdict,) = checks.run(tree, [audit], facts.epoch, tuple(before))
            if not verdict.passed and not verdict.reason:
                verdict, old = _without_known(store, checks, verdict, before, facts.epoch)
                known += old
            verdicts.append(verdict)
    return Verification(tuple(verdicts), tuple(known), wanted.left_out)


def _without_known(
    store: Store, checks: TreeChecks, verdict: Verdict, before: Sequence[Digest], epoch: int
) -> tuple[Verdict, list[tuple[str, str]]]:
    """Return a verdict without the lines that the same audit prints on the trees `before`, and these lines: what a side
    brought is not the merge's fault."""
    said: set[str] = set()
    for tree in dict.fromkeys(before):
        audits = [audit for audit in audits_of(store, tree) if audit.name == verdict.name]
        said.update(line for other in checks.run(tree, audits, epoch) for line in other.lines)
    new = tuple(line for line in verdict.lines if line not in said)
    old = [(verdict.name, line) for line in verdict.lines if line in said]
    passed = not new and bool(old)
    return verdict.replace(lines=new, status=0 if passed else verdict.status), old


def _tests(store: Store, tests: TestsOf, facts: Facts, held: ExitStack) -> RecipeTests:
    try:
        if tests.path:
            return recipe_tests(store, tests.path, facts)
    except EnvbuildError as error:
        return RecipeTests(left_out=((f"the tests of {tests.path}", error.message.splitlines()[0]),))
    kept: dict[str, RecipeTests] = {}
    for image in tests.images:
        of_image = held.enter_context(image_tests(store, image, facts))
        for check in of_image.checks:
            kept.setdefault(check.name, RecipeTests((check,)))
        for name, reason in of_image.left_out:
            kept.setdefault(name, RecipeTests(left_out=((name, reason),)))
    checks = tuple(check for each in kept.values() for check in each.checks)
    return RecipeTests(checks, tuple(pair for each in kept.values() for pair in each.left_out))

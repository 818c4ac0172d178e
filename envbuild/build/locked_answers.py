"""The locks of a build as what answers for package managers while it is walked."""

from __future__ import annotations

from envbuild.build.graph import Graph
from envbuild.build.progress import Answer, NotKnownYet, StageProgress
from envbuild.lockfile.lock import LockOutOfDate, first_line
from envbuild.lockfile.results import NO_RESULTS
from envbuild.store.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from envbuild.build.package_question import Question
    from envbuild.packages.manager import Contents


class LockedAnswers:
    """What the locks of a build say that statements about packages mean."""

    def __init__(self, graph: Graph, store: Store, *, renew: frozenset[str], strict: bool) -> None:
        """They say nothing of statements that came to packages named in `renew`. If `strict`, what they do not say is
        an error."""
        self._store = store
        self._graph = graph
        self._renew = renew
        self._strict = strict

    def find(self, stage: StageProgress, number: int, question: Question, contents: Contents) -> Answer:
        """Return the packages that step `number` of a stage asks for. Raises NotKnownYet, and LockOutOfDate if
        strict."""
        # Only where a recipe asks for packages.
        from envbuild.build.package_lock import locked_answer
        from envbuild.packages.plain_names import plain_name

        lock = self._graph.recipe_of(stage.stage).lock
        results = lock.results if lock is not None else NO_RESULTS
        answer = locked_answer(self._store, stage, number, question, contents, results, strict=self._strict)
        if answer is not None and self._renew.isdisjoint(plain_name(package.name) for package in answer.packages):
            return answer
        if self._strict:
            path = self._graph.recipe_of(stage.stage).lock_path
            text = first_line(stage.steps[number].text)
            raise LockOutOfDate(path, f"+ {text}  (it asks for more than the lock has)")
        raise NotKnownYet

"""The search in git's history, before the one in differences: the first commit whose image breaks the test."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from envbuild.bisect.halving import first_bad
from envbuild.bisect.judge import BadSucceeds, GoodFails
from envbuild.bisect.verdict import BAD, GOOD, UNRESOLVED, Failure, Observation, Verdict, failure_of, verdict_of
from envbuild.errors import WorkFailed, fields
from envbuild.record import Record
from envbuild.tree.entry import Digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from envbuild.bisect.bisect import Search

ImageOf = Callable[[str], "Digest | None"]
"""Returns the image of a commit, None if there is none and it can't be built."""
RunsOf = Callable[[Digest, int], Sequence[Observation]]
"""Runs the test so many times in an image."""


@fields
class CommitWithoutImage(WorkFailed):
    """An end of the row of commits that has no image."""

    commit: str

    def text(self) -> tuple[str, str]:
        return (
            f"there is no image of {self.commit[:12]}, and it can't be built",
            "name a commit of which there is one, or mend what the build says",
        )


class FirstBadCommit(Record):
    """The first bad commit, and the last good one before it, with their images. `skipped` are commits between the two
    that could not be tried; `tried` of `total` were, in `runs` runs of the test."""

    good: str
    bad: str
    good_image: Digest
    bad_image: Digest
    skipped: tuple[str, ...]
    tried: int
    total: int
    runs: int


def first_bad_commit(commits: Sequence[str], image_of: ImageOf, runs_of: RunsOf, search: Search) -> FirstBadCommit:
    """Return the first of a row of commits that breaks the test; it does not fail at the first of them, and fails at
    the last. Commits with one image are tried once. Raises CommitWithoutImage, GoodFails and BadSucceeds."""
    images: dict[str, Digest | None] = {}
    seen: dict[Digest, Sequence[Observation]] = {}

    def image_at(number: int) -> Digest | None:
        commit = commits[number]
        if commit not in images:
            images[commit] = image_of(commit)
        return images[commit]

    def observed(image: Digest, runs: int) -> Sequence[Observation]:
        if image not in seen:
            seen[image] = runs_of(image, runs)
        return seen[image]

    ends = []
    for number in (0, len(commits) - 1):
        image = image_at(number)
        if image is None:
            raise CommitWithoutImage(commits[number])
        # Whether a failure has always the same words shows in two runs.
        ends.append(observed(image, max(2 if number else 1, search.repeat)))
    if not search.probe.text and search.status is None and all(_succeeded(seen) for seen in ends[1]):
        raise BadSucceeds(commits[-1][:12], _how(ends[1][-1]))
    failure = _failure(ends[1], search)

    def verdict(number: int) -> Verdict:
        image = image_at(number)
        return UNRESOLVED if image is None else _verdict(observed(image, max(1, search.repeat)), failure)

    if _verdict(ends[0], failure) != GOOD:
        raise GoodFails(commits[0][:12], _how(ends[0][-1]))
    if _verdict(ends[1], failure) != BAD:
        raise BadSucceeds(commits[-1][:12], _how(ends[1][-1]))
    border = first_bad(len(commits), verdict)
    good, bad = images[commits[border.good]], images[commits[border.bad]]
    assert good is not None
    assert bad is not None
    return FirstBadCommit(
        commits[border.good],
        commits[border.bad],
        good,
        bad,
        tuple(commits[number] for number in border.skipped),
        len(images),
        len(commits),
        sum(map(len, seen.values())),
    )


def _failure(bad: Sequence[Observation], search: Search) -> Failure:
    failed = next((seen for seen in bad if seen.status or seen.timed_out), bad[0])
    failure = failure_of(failed, search.probe.text, search.status)
    if failure.text or search.status is not None or failure.timed_out:
        return failure
    words = {seen.last_words for seen in bad if seen.status == failed.status}
    return failure.replace(last_words=failed.last_words) if len(words) == 1 else failure


def _verdict(runs: Sequence[Observation], failure: Failure) -> Verdict:
    """Return bad if one run is: that is what a flaky test shows of a bad commit, the oftener the more runs."""
    verdicts = {verdict_of(seen, failure) for seen in runs}
    return BAD if BAD in verdicts else GOOD if verdicts == {GOOD} else UNRESOLVED


def _succeeded(seen: Observation) -> bool:
    return seen.started and not seen.timed_out and seen.status == 0


def _how(seen: Observation) -> str:
    if not seen.started:
        return "it could not be started"
    return "its time was up" if seen.timed_out else f"exit code {seen.status}"

"""The steps that an image was built by, with the numbers that they have everywhere: in a build's events, in `show` and
in `output`. What a stage starts from is a step too."""

from __future__ import annotations

from envbuild.record import Record
from envbuild.store.images import Image
from envbuild.tree.entry import Digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

MERGE, REBASE = "Merge", "Rebase"
"""The kinds of steps of images that were put together of others (merge/, rebase/)."""


class BuildStep(Record):
    """A step, or what a stage starts from (`base`). `known` is what is on record of the step or the stage, `before` the
    tree that it starts from, "" for a base. A test leaves the tree as it is."""

    number: int
    stage: str
    text: str
    before: Digest
    tree: Digest
    known: dict[str, Any]
    base: bool = False

    @property
    def kind(self) -> str:
        """The word of the step's statement, such as `run` or `apt`; what `envbuild commit` made is a `commit`."""
        word = self.text.lstrip()
        end = next((n for n, letter in enumerate(word) if not letter.isalpha()), len(word))
        return word[:end]


def build_steps(image: Image) -> Iterator[BuildStep]:
    """Yield the steps of all stages that an image was built by, in the order of their numbers.

    They are those of the events of a build of this recipe (build/loader.py).
    """
    number = 0
    for stage in image.known.get("stages", []):
        number += 1
        name, tree = stage["stage"], stage["tree"]
        # A stage without a name goes by its number.
        named = "" if name.isdigit() else f" as {name}"
        yield BuildStep(number, name, f"from {stage['base']}{named}", "", tree, stage, True)
        for step in stage["steps"]:
            number += 1
            yield BuildStep(number, name, step["text"], tree, step["tree"], step)
            if step["kind"] != "test":
                tree = step["tree"]


def put_together(image: Image) -> list[str]:
    """Return the kinds of steps by which an image was put together of others; none where a build made it."""
    stages = image.known.get("stages", [])
    return [step["kind"] for step in (stages[-1]["steps"][:1] if stages else []) if step["kind"] in (MERGE, REBASE)]

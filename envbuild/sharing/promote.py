"""Has a tag name the image that another one names: by its digest, with nothing built or unpacked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from envbuild.errors import WorkFailed, fields
from envbuild.store.images import Image
from envbuild.store.store import Store
from envbuild.store.tags import PROMOTE
from envbuild.tree.entry import Digest


@fields
class TargetMoved(WorkFailed):
    """The tag of a promotion names another image than was expected."""

    exit_code = 1

    target: str
    expected: str
    actual: str

    def text(self) -> tuple[str, str]:
        names = f"names {self.actual}" if self.actual else "names nothing"
        expected = f"not {self.expected}" if self.expected else "and was to name nothing"
        return (
            f"{self.target} {names}, {expected}: it was not moved",
            f"look at what it names now: envbuild log {self.target}; then promote with --expect and that digest",
        )


def promote_here(
    store: Store, names: Sequence[tuple[str, str]], image: Image, known: Mapping[str, Any], expected: str | None
) -> Digest:
    """Have tags of the store name an image, with what is known of the promotion on record, and return what the last of
    them named before, "" for nothing. Nothing is recorded where all name it already. `expected` are the first digits
    of what that has to be, "" for nothing, None for anything. Raises TargetMoved and TagRefuses."""
    with store.database.transaction():
        before = [store.tags.image_of(*name) or "" for name in names]
        check_expected(store.projects.shown(":".join(names[-1])), before[-1], expected)
        if any(digest != image.digest for digest in before):
            store.tags.move(names, image.digest, PROMOTE, {**known, "replaced": before[-1]})
    return before[-1]


def check_expected(target: str, actual: str, expected: str | None) -> None:
    """Raise TargetMoved unless a tag names what it is expected to."""
    digits = actual.removeprefix("sha256:")
    if expected is not None and not (digits.startswith(expected) if expected else not digits):
        raise TargetMoved(target, expected, digits)

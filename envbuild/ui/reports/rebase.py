"""A rebase of an image, as lines and as plain data (docs/merge.md has the forms)."""

from __future__ import annotations

from collections.abc import Iterator

from envbuild.rebase.image_base import BUILT, GIVEN, LAYERS, SAID
from envbuild.rebase.rebase import Rebased
from envbuild.ui.reports.git_merge import verification_lines, verification_plain
from envbuild.ui.reports.merge import conflict_lines, merge_plain
from envbuild.ui.sanitize import visible
from envbuild.ui.stream import Output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_KNOWN_BY = {
    GIVEN: "as you say",
    LAYERS: "its layers are those of this one",
    BUILT: "this store built it so",
    SAID: "as the image says, which nothing proves",
}


def rebase_lines(done: Rebased, image: str, tag: str, output: Output) -> Iterator[str]:
    """Return the lines for a rebase of an image that is called so; `tag` is that of the result."""
    base = done.base
    words = f"{base.kept:.0%} of it as it was ({_KNOWN_BY[base.known_by]})"
    yield f"base of {visible(image)}: {visible(base.name)}, {words}"
    if done.result.conflicts:
        yield from conflict_lines(merge_plain(done.result)["conflicts"], output)
        yield "hint: --ours NAME or --theirs NAME decides one, by the names in this list; theirs is the new base"
        return
    if done.finished is None:
        yield "no conflicts"
        return
    digest = done.finished.image.digest[:12]
    if done.is_good:
        yield f"rebased onto {visible(done.onto.name)}: {output.paint(visible(tag), 'strong')} is {digest}"
    else:
        yield output.paint(f"image {digest} is not tagged: it fails", "error")
    for name, reason in done.finished.left:
        yield f"    {visible(name)} is not made anew: {visible(reason)}"
    if done.verification is not None:
        yield from verification_lines(done.verification, output)


def rebase_plain(done: Rebased) -> dict[str, Any]:
    """Return the documented form of a rebase."""
    base, finished = done.base, done.finished
    return {
        "base": {
            "name": base.name,
            "tree": f"sha256:{base.tree}",
            "known_by": base.known_by,
            "kept": round(base.kept, 4),
        },
        "onto": {"name": done.onto.name, "tree": f"sha256:{done.onto.tree}"},
        **merge_plain(done.result),
        "image": f"sha256:{finished.image.digest}" if finished is not None else None,
        "tagged": done.is_good,
        "checks": verification_plain(done.verification) if done.verification is not None else None,
    }

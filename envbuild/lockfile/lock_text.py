"""A lock as text whose diff a person reads: what is in the environment, without the digests that follow from it."""

from __future__ import annotations

from envbuild.lockfile.lock import Lock
from envbuild.record import values


def readable(lock: Lock) -> str:
    """The lock with a line for each base, statement and package. Of digests only the first digits of the image's are
    there, so that two locks whose environments differ never look the same."""
    lines = [f"image {lock.image[:12] or 'not known until a build'} of {lock.recipe}, {lock.size} bytes"]
    lines += [f"parameter {name} = {value}" for name, value in lock.parameters]
    lines += [f"fetched {url} {digest[:12]}" for url, digest in lock.fetched]
    lines += [f"image {reference} = {digest[:12]}" for reference, digest in lock.images]
    for stage in lock.stages:
        lines += ["", f"stage {stage.name} from {stage.base} ({stage.origin})"]
        for step in stage.steps:
            lines.append(f"  {step.text}")
            manager = step.text.split()[0].partition("(")[0]
            lines += [f"      {manager} {one.name} {one.version}" for one in sorted(step.packages, key=values)]
    return "\n".join(lines) + "\n"

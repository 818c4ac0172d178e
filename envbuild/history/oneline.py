"""What changed from one image to the next, in one line: remembered, as neither image ever changes."""

from __future__ import annotations

from envbuild.errors import EnvbuildError
from envbuild.history.compare import Comparison, compare
from envbuild.history.operand import side_of_image
from envbuild.store.database import StoreDamaged
from envbuild.store.store import Store
from envbuild.tree.entry import Digest

KIND = "change 1"
"""Under which the store's memo keeps them; another form of the line has another number."""
_SHOWN = 3


def change_between(store: Store, old: Digest, new: Digest) -> str:
    """Packages and files that differ between two images, in one line; "" where one of them is gone, and nobody wrote
    down what it was. Raises PermissionError for files that only the image's users may read."""
    if old == new:
        return "the same image"
    key = f"{old} {new}"
    known = store.memo.get(KIND, key)
    if known is not None:
        return known.decode()
    one, other = store.images.get(old), store.images.get(new)
    if one is None or other is None:
        return ""
    try:
        text = _line(compare(store, side_of_image(store, "", one), side_of_image(store, "", other)))
    except StoreDamaged:
        return ""
    store.memo.put(KIND, key, text.encode())
    return text


def _line(found: Comparison) -> str:
    parts = []
    by_verb: dict[str, list[str]] = {}
    for one in found.packages:
        package = one.change.any
        name = package.name.partition(":")[0] if package.kind == "dpkg" else package.name
        verb = one.change.verb
        if verb in ("upgraded", "downgraded") and one.change.new is not None:
            name = f"{name} {one.change.new.version}"
        by_verb.setdefault(verb, []).append(name)
    for verb in ("upgraded", "downgraded", "added", "removed", "rebuilt"):
        names = by_verb.get(verb, [])
        if names:
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            parts.append(f"{verb} {', '.join(names[:_SHOWN])}{more}")
    if found.rest:
        paths = ["/" + change.path.decode("utf-8", "backslashreplace") for change in found.rest]
        more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
        parts.append(f"{len(paths)} path{'s' if len(paths) > 1 else ''}: {', '.join(paths[:_SHOWN])}{more}")
    if found.facts:
        names = [one.name for one in found.facts]
        parts.append(f"facts {', '.join(names[:_SHOWN])}")
    if not parts:
        count = len(found.times) + len(found.records)
        parts.append(f"{count} files that package managers keep, or with another time alone" if count else "nothing")
    return "; ".join(parts)


def remember_changes(store: Store, gone: set[Digest]) -> None:
    """Writes down what changed at each entry of the history that has one of these images, before they go."""
    for name, tag in store.tags.with_history():
        newer: Digest | None = None
        for entry in store.tags.history(name, tag):
            if entry.image is not None and newer is not None and (entry.image in gone or newer in gone):
                try:
                    change_between(store, entry.image, newer)
                except (EnvbuildError, PermissionError):
                    pass  # what can't be read can't be told later either
            newer = entry.image or newer

"""The difference between two images in one line, kept in the store since images never change."""

from __future__ import annotations

from envbuild.errors import EnvbuildError
from envbuild.history.compare import Comparison, compare
from envbuild.history.operand import operand_of_image
from envbuild.store.database import StoreDamaged
from envbuild.store.store import Store
from envbuild.tree.entry import Digest

KIND = "change 1"
"""The kind of the lines in the store's memo; a new form of the line needs a new number."""
_SHOWN = 3


def change_between(store: Store, old: Digest, new: Digest) -> str:
    """Return the packages and files that differ between two images in one line; "" if an image is gone and the line was
    not kept. Raises PermissionError for files that only the image's users may read."""
    if old == new:
        return "the same image"
    key = f"{old} {new}"
    known = store.memo.get(KIND, key)
    if known is not None:
        return known.decode()
    before, after = store.images.get(old), store.images.get(new)
    if before is None or after is None:
        return ""
    try:
        text = _line(compare(store, operand_of_image(store, "", before), operand_of_image(store, "", after)))
    except StoreDamaged:
        return ""
    store.memo.put(KIND, key, text.encode())
    return text


def _line(comparison: Comparison) -> str:
    parts = []
    by_verb: dict[str, list[str]] = {}
    for difference in comparison.packages:
        package = difference.change.package
        name = package.name.partition(":")[0] if package.kind == "dpkg" else package.name
        verb = difference.change.verb
        if verb in ("upgraded", "downgraded") and difference.change.new is not None:
            name = f"{name} {difference.change.new.version}"
        by_verb.setdefault(verb, []).append(name)
    for verb in ("upgraded", "downgraded", "added", "removed", "rebuilt"):
        names = by_verb.get(verb, [])
        if names:
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            parts.append(f"{verb} {', '.join(names[:_SHOWN])}{more}")
    if comparison.rest:
        paths = ["/" + change.path.decode("utf-8", "backslashreplace") for change in comparison.rest]
        more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
        parts.append(f"{len(paths)} path{'s' if len(paths) > 1 else ''}: {', '.join(paths[:_SHOWN])}{more}")
    if comparison.facts:
        names = [fact.name for fact in comparison.facts]
        parts.append(f"facts {', '.join(names[:_SHOWN])}")
    if not parts:
        count = len(comparison.times) + len(comparison.records)
        parts.append(f"{count} files of package managers, or with only another time" if count else "nothing")
    return "; ".join(parts)


def remember_changes(store: Store, gone: set[Digest]) -> None:
    """Keep the line for each entry of the history that has one of these images, before they are removed."""
    for name, tag in store.tags.with_history():
        newer: Digest | None = None
        for entry in store.tags.history(name, tag):
            if entry.image is not None and newer is not None and (entry.image in gone or newer in gone):
                try:
                    change_between(store, entry.image, newer)
                except (EnvbuildError, PermissionError):
                    pass  # what can't be read now can't be read later either
            newer = entry.image or newer

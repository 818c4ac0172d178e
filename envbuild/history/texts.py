"""The contents that differ between two environments, for one path, all below a folder, or everywhere."""

from __future__ import annotations

from envbuild.errors import UsageError
from envbuild.history.compare import Comparison
from envbuild.history.file_diff import text_changes
from envbuild.store.store import Store


class NotInStore(UsageError):
    """Contents of an image that the store doesn't have."""

    def __init__(self, label: str) -> None:
        super().__init__(
            f"{label} is not in this store, only its lock is known", "build it, then its files can be compared"
        )


class SameThere(UsageError):
    """A path that was asked for does not differ."""

    def __init__(self, path: str) -> None:
        super().__init__(f"nothing differs at {path}", "envbuild diff --files lists all that does")


def texts_of(store: Store, comparison: Comparison, path: str) -> list[str]:
    """The lines of a diff of all contents that differ at `path` or below it. Raises NotInStore and SameThere."""
    if not comparison.whole:
        raise NotInStore(next(one.label for one in (comparison.old, comparison.new) if one.tree is None))
    wanted = path.strip("/").encode("utf-8", "surrogateescape")
    # A record of the packages' own is no news on the whole, but may be what was asked for.
    folded = {change.path for change in comparison.records} if not wanted else set()
    chosen = [
        change
        for change in comparison.changes
        if not wanted or change.path == wanted or change.path.startswith(wanted + b"/")
    ]
    if not chosen and wanted:
        raise SameThere(path)
    return [line for change in chosen if change.path not in folded for line in text_changes(store, change)]

"""The amount of files that a commit would put beside its recipe: into a repository that keeps them for good."""

from __future__ import annotations

from collections.abc import Sequence

from envbuild.drift.file_lines import RecipeFile
from envbuild.errors import UsageError, fields
from envbuild.record import Record

MAX_UNASKED = 100 << 20
"""Bytes that are written without a warning."""
_MAX_SHOWN = 5


class CopiedFiles(Record):
    """Files to be written beside a recipe: their number and bytes, and the largest of them, each with its path in the
    environment and its bytes."""

    number: int
    size: int
    largest: tuple[tuple[str, int], ...]


@fields
class CopiesRefused(UsageError):
    """A commit that the user ended because of what it would have written."""

    files: CopiedFiles

    def text(self) -> tuple[str, str]:
        number = "1 file was" if self.files.number == 1 else f"{self.files.number} files were"
        return (
            f"nothing was committed: {number} not to be written beside the recipe",
            "remove what is not wanted in the instance, or make only the image: --no-recipe",
        )


def much_copied(files: Sequence[RecipeFile]) -> CopiedFiles | None:
    """Return the files if they are so large that a user should know before they are written, else None."""
    size = sum(file.entry.size for file in files)
    if size <= MAX_UNASKED:
        return None
    by_size = sorted(files, key=lambda file: (-file.entry.size, file.place))[:_MAX_SHOWN]
    # The first part is the directory beside the recipe.
    named = [(file.place.partition(b"/")[2].decode("utf-8", "backslashreplace"), file.entry.size) for file in by_size]
    return CopiedFiles(len(files), size, tuple((f"/{path}", size) for path, size in named))

"""Builds recipes that are being written, to see what they give: steps are kept, images, tags and locks are not."""

from __future__ import annotations

import os
from collections.abc import Sequence

from envbuild.build.build import build
from envbuild.build.context import IGNORE_FILE, MOST_IGNORED
from envbuild.build.events import Emit
from envbuild.build.project import UnreadableFile, read_inside
from envbuild.build.request import BuildRequest
from envbuild.drift.file_lines import RecipeFile
from envbuild.drift.recipe_text import lay_out, recipe_text
from envbuild.drift.statement_text import Line
from envbuild.store.store import Store
from envbuild.tree.entry import Digest


class Builder:
    """Builds lines on one image, in a folder of its own beside where the recipe will lie."""

    def __init__(self, store: Store, base: Digest, folder: str, stem: str, request: BuildRequest, emit: Emit) -> None:
        self._store = store
        self._base = base
        self._stem = stem
        self._request = request.replace(path=os.path.join(folder, f"{stem}.env"), publish=False, own_sources=True)
        self._emit = emit
        self._folder = folder
        # What it leaves out it would leave out of the recipe's folder, too.
        ignored = os.path.join(os.path.dirname(folder), IGNORE_FILE)
        if os.path.lexists(ignored):
            above = os.path.realpath(os.path.dirname(ignored))
            try:
                content = read_inside(above, ignored, MOST_IGNORED)
            except OSError as error:
                raise UnreadableFile(ignored, error.strerror or str(error)) from error
            with open(os.path.join(folder, IGNORE_FILE), "xb") as target:
                target.write(content)

    def tree(self, lines: Sequence[Line]) -> Digest:
        """The tree that the lines give. Raises what a build raises."""
        with open(self._request.path, "w", encoding="utf-8") as file:
            file.write(recipe_text([], self._base, lines, (), ()))
        return build(self._request, self._store, self._emit).tree

    def lay_out(self, laid: Sequence[RecipeFile]) -> None:
        """Writes the files that lines copy."""
        lay_out(self._store, self._folder, laid)

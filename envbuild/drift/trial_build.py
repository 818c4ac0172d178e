"""Trial builds of a recipe that is being written, to see its tree: steps are kept, images, tags and locks are not."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from envbuild.build.build import build
from envbuild.build.context_ignore import read_ignored
from envbuild.build.events import Emit
from envbuild.build.request import BuildRequest
from envbuild.drift.copied_files import CopiedFiles, CopiesRefused, much_copied
from envbuild.drift.file_lines import RecipeFile
from envbuild.drift.recipe_text import recipe_text, write_files
from envbuild.drift.statement_text import Line
from envbuild.errors import EnvbuildError
from envbuild.store.store import Store
from envbuild.tree.entry import Digest


class TrialBuild:
    """A builder of lines below one `from` line, in a directory beside the recipe's final place. `may_write` is asked
    before files are written that are large together."""

    def __init__(
        self,
        store: Store,
        base_line: str,
        folder: str,
        stem: str,
        request: BuildRequest,
        emit: Emit,
        may_write: Callable[[CopiedFiles], bool],
    ) -> None:
        self._store = store
        self._base_line = base_line
        self._stem = stem
        self._request = request.replace(path=os.path.join(folder, f"{stem}.env"), publish=False, own_sources=True)
        self._emit = emit
        self._may_write = may_write
        self._folder = folder
        # The recipe's directory has the same patterns.
        above = os.path.realpath(os.path.dirname(folder))
        ignored = read_ignored(above, above, above)
        if ignored.path:
            with open(os.path.join(folder, os.path.basename(ignored.path)), "xb") as target:
                target.write(ignored.content)

    def tree(self, lines: Sequence[Line]) -> Digest:
        """Build the lines and return their tree. Raises what a build raises."""
        with open(self._request.path, "w", encoding="utf-8") as file:
            file.write(recipe_text([], self._base_line, lines, (), ()))
        try:
            return build(self._request, self._store, self._emit).tree
        except EnvbuildError as error:
            error.excerpt = ""  # it shows a line of a file that nobody wrote, and that is gone when this is read
            raise

    def write_files(self, files: Sequence[RecipeFile]) -> None:
        """Write the files that lines copy. Raises CopiesRefused."""
        much = much_copied(files)
        if much is not None and not self._may_write(much):
            raise CopiesRefused(much)
        write_files(self._store, self._folder, files)

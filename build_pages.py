"""The manual pages in the wheel: made while it is built, from the same text as `--help`."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

MANUAL = "share/man/man1"


class ManualPages(BuildHookInterface):  # type: ignore[type-arg]
    """Writes the pages into a directory of its own, from where they go to the wheel's data."""

    _folder = ""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return  # a checkout has `envbuild man`, and its start should not wait for it
        sys.path.insert(0, self.root)
        try:
            from envbuild.cli.manual import pages
        finally:
            sys.path.remove(self.root)
        folder = self._folder = tempfile.mkdtemp(prefix="envbuild-man-")
        for name, text in pages().items():
            path = os.path.join(folder, name)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            build_data["shared_data"][path] = f"{MANUAL}/{name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if self._folder:
            shutil.rmtree(self._folder)

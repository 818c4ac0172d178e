"""Three images, `base`, `ours` and `theirs`, each made of a directory, and their merge."""

from __future__ import annotations

import json

from tests.conftest import Done, Project
from tests.history.conftest import Packages


class Sides:
    """The three sides of a merge in a project."""

    def __init__(self, project: Project) -> None:
        self.project = project

    def packages(self, side: str) -> Packages:
        """What is installed on a side, to be built as the directory of the side."""
        return Packages(self.project.folder / side)

    def write(self, side: str, files: dict[str, str]) -> None:
        """Have a side's image hold these files."""
        for path, text in files.items():
            self.packages(side).file(path, text)

    def build(self, *lines: str, base: str = "scratch", **own: tuple[str, ...]) -> None:
        """Build the three, each with `lines`, its directory and its own lines."""
        for side in ("base", "ours", "theirs"):
            (self.project.folder / side).mkdir(exist_ok=True)
            text = [f"from {base}", *lines, f"copy {side}/ -> /", *own.get(side, ())]
            done = self.project.build(*text, name=f"{side}.env")
            assert done.code == 0, done.err

    def merge(self, *words: str) -> Done:
        return self.project.command("merge", "base", "ours", "theirs", *words)

    def report(self, *words: str) -> dict:
        done = self.merge("--format", "json", *words)
        assert done.code in (0, 1), done.err
        return json.loads(done.out)

    def conflicts(self, *words: str) -> dict[str, str]:
        """The conflicts by their names, each with its kind."""
        return {conflict["name"]: conflict["kind"] for conflict in self.report(*words)["conflicts"]}

    def cat(self, path: str) -> str:
        return self.project.cat(path, "ours:merged")

    def ls(self, path: str = "/") -> dict[str, dict]:
        return self.project.ls(path, "ours:merged")

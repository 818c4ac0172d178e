"""Instances in which somebody changes things by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.conftest import Done, Project
from tests.packages.conftest import compiled_pip

__all__ = ["Hands", "compiled_pip", "hands"]
WAITING = "trap 'exit 0' TERM; sleep 1000000 & wait"


class Hands:
    """A project whose instances are changed by hand."""

    def __init__(self, project: Project) -> None:
        self.project = project

    def start(self, image: str = "web", name: str = "one", *options: str) -> None:
        done = self.project.command("run", "-d", "--name", name, *options, image, "--", "sh", "-c", WAITING)
        assert done.code == 0, done.err

    def change(self, script: str, name: str = "one", user: str = "root") -> None:
        done = self.project.command("exec", "-u", user, name, "--", "sh", "-ec", script)
        assert done.code == 0, done.out + done.err

    def diff(self, *words: str) -> dict[str, dict]:
        """What differs, by path."""
        done = self.project.command("diff", *words, "--files", "--format", "json")
        assert done.code in (0, 1), done.err
        return {file["path"]: file for file in json.loads(done.out)["files"]}

    def commit(self, *words: str, **variables: str) -> dict:
        done = self.project.command("commit", "one", *words, "--format", "json", **variables)
        assert done.code == 0, done.err
        return json.loads(done.out)

    def recipe(self, name: str = "web-one") -> list[str]:
        """The lines of a written recipe without its comments."""
        text = (self.project.folder / f"{name}.env").read_text()
        return [line for line in text.splitlines() if not line.startswith("#")]

    def rebuilt(self, committed: dict, name: str = "web-one") -> dict[str, dict]:
        """Builds the written recipe as somebody else would, and returns what differs from the committed image."""
        done = self.project.command("build", f"{name}.env", "--no-cache", "--progress", "plain")
        assert done.code == 0, done.err
        return self.diff(committed["tag"], name)

    def drift(self, *words: str) -> tuple[int, list[dict]]:
        done = self.project.command("drift", *words, "--format", "json")
        assert done.code in (0, 1), done.err
        return done.code, json.loads(done.out)

    def read(self, name: str = "web-one") -> str:
        """The whole text of a written recipe."""
        return (self.project.folder / f"{name}.env").read_text()

    def refused(self, *words: str) -> Done:
        done = self.project.command(*words)
        assert done.code != 0
        assert "hint:" in done.err
        return done

    def end(self) -> None:
        if instances := json.loads(self.project.command("ps", "--all", "--format", "json").out):
            self.project.command("rm", "--force", *(instance["id"] for instance in instances))


@pytest.fixture
def hands(project: Project) -> Iterator[Hands]:
    """Instances of busybox; whatever runs in the end is ended."""
    made = project.build(
        "run",
        "    mkdir -p /srv/app/old /data /tmp /var/log && echo a > /srv/app/a && echo b > /srv/app/b",
        "    ln -s a /srv/app/link && chmod 750 /data && echo 1 > /file",
        "volume /data",
    )
    assert made.code == 0, made.err
    drift_hands = Hands(project)
    yield drift_hands
    drift_hands.end()

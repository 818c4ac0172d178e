"""The people of the story, each with a clone and a store, and the web page on which branches are merged."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tests.year.machine import Machine


@dataclass
class Built:
    """How a build ended."""

    code: int
    events: list[dict]
    said: str

    @property
    def image(self) -> str:
        return next(event["image"] for event in self.events if event["event"] == "build-finished")


class Person:
    """Somebody with a clone of the project, a store and a name in git."""

    program = ("/usr/bin/python3", "-m", "envbuild")

    def __init__(self, name: str, machine: Machine, variables: dict[str, str], user: str = "root") -> None:
        self.name = name
        self.machine = machine
        self.user = user
        self.home = machine.folder / name
        self.clone = self.home / "project"
        self.day = "2025-11-03"
        self.image = ""
        self.home.mkdir()
        self._variables = {
            **variables,
            "HOME": str(self.home),
            "ENVBUILD_STORE": str(self.home / "store"),
            "GIT_AUTHOR_NAME": name,
            "GIT_COMMITTER_NAME": name,
            "GIT_AUTHOR_EMAIL": f"{name}@example.test",
            "GIT_COMMITTER_EMAIL": f"{name}@example.test",
        }
        self._own()

    def clones(self, address: Path) -> None:
        """Clones the project, and sets envbuild up in it."""
        self.clone_only(address)
        self.envbuild("git", "install")

    def clone_only(self, address: Path, commit: str = "") -> None:
        """Clones the project as anybody does who never heard of envbuild."""
        self.git("clone", "--quiet", str(address), str(self.clone), folder=self.home)
        if commit:
            self.git("checkout", "--quiet", commit)

    def writes(self, path: str, *lines: str) -> None:
        where = self.clone / path
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_text("\n".join(lines) + "\n")
        self._own()

    def replaces(self, path: str, old: str, new: str) -> None:
        text = (self.clone / path).read_text()
        assert old in text, text
        (self.clone / path).write_text(text.replace(old, new))

    def run(self, *words: str, folder: Path | None = None, offline: bool = False) -> subprocess.CompletedProcess[str]:
        variables = {
            **self._variables,
            "GIT_AUTHOR_DATE": f"{self.day}T10:00:00Z",
            "GIT_COMMITTER_DATE": f"{self.day}T10:00:00Z",
        }
        began = time.monotonic()
        done = self.machine.run(self.user, words, folder or self.clone, variables, offline)
        took = f"{datetime.now():%H:%M:%S}, {time.monotonic() - began:.1f} s"
        print(f"{self.name}, {self.day}: {' '.join(words)} -> {done.returncode} ({took})")
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def git(self, *words: str, folder: Path | None = None) -> str:
        done = self.run("git", *words, folder=folder)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def envbuild(self, *words: str, fails: bool = False) -> str:
        """Runs a command; all that it printed."""
        done = self.run(*self.program, *words)
        said = done.stdout + done.stderr
        assert (done.returncode != 0) == fails, said
        return said

    def locks(self) -> dict[str, str]:
        """Return what `status` says of the recipes' locks."""
        return {state["recipe"]: state["lock"] for state in json.loads(self.envbuild("status", "--format", "json"))}

    def tries_to_build(self, recipe: str, *options: str, offline: bool = False) -> Built:
        words = ["build", recipe, "--progress", "json", *options]
        done = self.run(*self.program, *words, offline=offline)
        events = [json.loads(line) for line in done.stdout.splitlines()]
        messages = [event.get("message") or event.get("data", "") for event in events]
        return Built(done.returncode, events, "".join(messages)[-4000:] + done.stderr)

    def builds(self, recipe: str, *options: str, offline: bool = False) -> str:
        """Builds a recipe; its image."""
        built = self.tries_to_build(recipe, *options, offline=offline)
        assert built.code == 0, built.said
        return built.image

    def refused(self, recipe: str, statement: str) -> str:
        """Try a further statement at the end of a recipe, which fails, and take it back; what is said of it."""
        before = self.git("status", "--porcelain")
        text = (self.clone / recipe).read_text()
        (self.clone / recipe).write_text(f"{text}{statement}\n")
        built = self.tries_to_build(recipe)
        assert built.code != 0, built.said
        (self.clone / recipe).write_text(text)
        assert self.git("status", "--porcelain") == before
        return built.said

    def commits(self, message: str) -> str:
        self.git("add", "-A")
        self.git("commit", "--quiet", "-m", message)
        return self.head()

    def head(self) -> str:
        return self.git("rev-parse", "HEAD")

    def commits_built(self, message: str, recipe: str) -> str:
        """Builds a recipe and commits it with its lock; `image` is then what it gave."""
        self.image = self.builds(recipe)
        return self.commits(message)

    def branches(self, name: str) -> None:
        self.git("checkout", "--quiet", "-b", name)

    def goes_to(self, name: str) -> None:
        self.git("checkout", "--quiet", name)

    def pushes(self, branch: str) -> None:
        self.git("push", "--quiet", "origin", f"HEAD:{branch}")

    def pulls(self, branch: str = "main") -> None:
        # The hook may have filled in results after the pull before; they are known again at once.
        self.git("checkout", "--quiet", "--", ".")
        self.git("checkout", "--quiet", branch)
        self.git("pull", "--quiet", "--ff-only", "origin", branch)

    def starts_anew(self, address: Path) -> None:
        """Loses the store and the clone, and clones again."""
        shutil.rmtree(self.home / "store")
        shutil.rmtree(self.clone)
        self.clones(address)

    def _own(self) -> None:
        if self.user != "root":
            # Not the store, whose files have owners of their own.
            subprocess.run(["chown", f"{self.user}:", str(self.home)], check=True)
            subprocess.run(["chown", "-Rf", f"{self.user}:", str(self.clone)], check=False)


class WebPage:
    """The host of the project: it merges by itself, without a driver, and knows `merge=union` at most."""

    def __init__(self, machine: Machine) -> None:
        self.worker = Person("web-page", machine, {})
        self.address = machine.folder / "host.git"
        # People push as users of their own.
        self.worker.git(
            "init",
            "--quiet",
            "--bare",
            "--initial-branch=main",
            "--shared=0666",
            str(self.address),
            folder=machine.folder,
        )

    def merges(self, branch: str, day: str) -> bool:
        """Merges a branch into main, as the button of a pull request does; whether that could be done."""
        worker = self.worker
        worker.day = day
        shutil.rmtree(worker.clone, ignore_errors=True)
        worker.clone_only(self.address)
        done = worker.run("git", "merge", "--no-ff", "--no-edit", f"origin/{branch}")
        if done.returncode == 0:
            worker.pushes("main")
        return done.returncode == 0

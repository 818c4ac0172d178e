"""What the story remembers: its people, what each commit gave those who made it, and how all is built once more."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from tests.year.conftest import Year
from tests.year.people import Person

Images = dict[str, str]
"""The image of each recipe."""


@dataclass
class Story:
    """A year, its people by name, and the images of commits."""

    year: Year
    ordinary: str
    """A user who is not root, if this machine has one with a range of ids; else root."""
    people: dict[str, Person] = field(default_factory=dict)
    images: dict[str, Images] = field(default_factory=dict)
    """What each commit's recipes gave those who made it."""

    def person(self, name: str, day: str, user: str = "root") -> Person:
        person = self.people[name] = self.year.person(name, user)
        person.day = day
        return person

    def pinned(self, person: Person) -> Images:
        """Build all recipes of somebody's clone as their locks have them, which changes no file."""
        before = person.git("status", "--porcelain")
        images = {recipe: person.builds(recipe, "--locked") for recipe in recipes_of(person)}
        assert person.git("status", "--porcelain") == before
        return images

    def remember(self, commit: str, before: Images, **changed: str) -> Images:
        """Keep what a commit gave: the images of before, but for some recipes."""
        self.images[commit] = {**before, **{f"{name}.env": image for name, image in changed.items()}}
        return self.images[commit]

    def commits(self) -> list[str]:
        """All that the host has, the oldest first."""
        return self.year.web_page.worker.git(
            "rev-list", "--all", "--reverse", "--topo-order", folder=self.year.web_page.address
        ).split()

    def build_each_from_nothing(self, user: str) -> int:
        """Build each commit in a clone and a store of its own; how many gave what they gave those who made them."""
        with ThreadPoolExecutor(os.cpu_count()) as executor:
            return sum(executor.map(lambda at: self._build_from_nothing(*at, user), enumerate(self.commits())))

    def build_all_from_nothing(self, user: str) -> int:
        """Build each commit, the newest first, in one clone and one store that is empty before; how many it were."""
        nobody = self.year.person(f"newcomer-{user}", user)
        nobody.clone_only(self.year.web_page.address)
        return sum(self._built_as_before(nobody, commit) for commit in reversed(self.commits()))

    def _build_from_nothing(self, number: int, commit: str, user: str) -> bool:
        nobody = self.year.person(f"nobody-{number}-{user}", user)
        nobody.clone_only(self.year.web_page.address)
        try:
            return self._built_as_before(nobody, commit)
        finally:
            shutil.rmtree(nobody.home)

    def _built_as_before(self, person: Person, commit: str) -> bool:
        began = time.monotonic()
        person.git("checkout", "--quiet", "--detach", commit)
        pinned = self.pinned(person)
        subject = person.git("log", "-1", "--format=%h %s")
        same = self.images.get(commit) == pinned
        print(f"{person.user}: {subject}: {'as recorded' if same else pinned} ({time.monotonic() - began:.0f} s)")
        return same


def recipes_of(person: Person) -> Iterable[str]:
    return sorted(path.name for path in person.clone.glob("*.env"))

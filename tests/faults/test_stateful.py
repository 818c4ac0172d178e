"""Random builds, kills, collections, tags and untags against a model that knows what each name has to show."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.conftest import Project, busybox_tar
from tests.faults.kept import text_in
from tests.in_namespace import own

pytestmark = [pytest.mark.namespaces, pytest.mark.slow]

RECIPES = ("one", "two")
VERSIONS = ("a", "b", "c")


class StoreMachine(RuleBasedStateMachine):
    """`tags` is what the store has to have: the version that each name shows; `digests` what each version came to."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="envbuild-stateful-"))
        (self.folder / "project").mkdir()
        busybox_tar(self.folder / "project/busybox.tar")
        self.project = Project(self.folder / "project", self.folder / "store")
        self.tags: dict[str, tuple[str, str]] = {}
        self.digests: dict[tuple[str, str], str] = {}

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            # What a killed build left may belong to users of the image, or to nobody's eyes.
            own(self.folder / "store")
            shutil.rmtree(self.folder)

    def write(self, name: str, version: str) -> None:
        """A file that is copied, a step that reads it, one that all share, and one of its own."""
        self.project.write(f"app-{name}/file", f"{name} {version}")
        self.project.write(
            f"{name}.env",
            "from tar:busybox.tar",
            "run echo shared > /shared; mkdir /d; cp /bin/busybox /d/copy",
            f"copy app-{name}/ -> /app/",
            "run cat /app/file /shared > /both; rm -r /d",
            f"run echo {name} {version} > /own",
        )

    @rule(name=st.sampled_from(RECIPES), version=st.sampled_from(VERSIONS))
    def build(self, name: str, version: str) -> None:
        self.write(name, version)
        done = self.project.build(name=f"{name}.env")
        assert done.code == 0, done.err
        key = (name, version)
        assert self.digests.setdefault(key, done.image) == done.image
        self.tags[f"{name}:latest"] = key

    @rule(name=st.sampled_from(RECIPES), version=st.sampled_from(VERSIONS), after=st.floats(0.03, 0.5))
    def killed_build(self, name: str, version: str, after: float) -> None:
        self.write(name, version)
        build = self.project.start("build", f"{name}.env")
        time.sleep(after)
        build.kill()
        build.communicate()
        tag = f"{name}:latest"
        # It may have come to its end before. What the name shows now it has to show from here on.
        if tag in self.tags and self.shown(tag) == f"{name} {version}\n":
            self.tags[tag] = (name, version)

    @rule()
    def collect(self) -> None:
        done = self.project.command("gc")
        assert done.code in (0, 3), done.err

    @rule(name=st.sampled_from(RECIPES))
    def forget_the_lock(self, name: str) -> None:
        (self.project.folder / f"{name}.env.lock").unlink(missing_ok=True)

    @precondition(lambda self: self.tags)
    @rule(data=st.data(), other=st.sampled_from(["kept:v1", "kept:v2"]))
    def tag(self, data: st.DataObject, other: str) -> None:
        source = data.draw(st.sampled_from(sorted(self.tags)))
        assert self.project.command("tag", source, other).code == 0
        self.tags[other] = self.tags[source]

    @precondition(lambda self: self.tags)
    @rule(data=st.data())
    def untag(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.tags)))
        assert self.project.command("untag", name).code == 0
        del self.tags[name]

    @precondition(lambda self: self.tags)
    @rule(data=st.data())
    def run(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.tags)))
        done = self.project.command("run", name, "--", "cat", "/own", "/both")
        recipe, version = self.tags[name]
        assert done.out == f"{recipe} {version}\n{recipe} {version}\nshared\n", done.err

    @rule()
    def check(self) -> None:
        done = self.project.command("fsck")
        assert done.code in (0, 3), done.out

    @invariant()
    def names_show_what_they_have_to(self) -> None:
        if not getattr(self, "tags", None):
            return
        for name, (recipe, version) in self.tags.items():
            assert self.shown(name) == f"{recipe} {version}\n"

    def shown(self, name: str) -> str | None:
        return text_in(self.project, name, "/own")


TestStore = StoreMachine.TestCase
TestStore.settings = settings(
    max_examples=12, stateful_step_count=10, deadline=None, suppress_health_check=list(HealthCheck), database=None
)

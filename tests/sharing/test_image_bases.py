"""`from oci:PATH`: recipes that begin with an image of other tools."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Project, pins_of
from tests.sharing.images import Layout, descriptor, digest, docker_archive, layer

pytestmark = pytest.mark.namespaces

BASE = layer(("etc", None), ("etc/a", b"a"))
SETTINGS = {"Env": ["A=1"], "User": "7", "Cmd": ["serve"], "ExposedPorts": {"80/tcp": {}}}


@pytest.mark.user
def test_its_facts_come_along_and_the_lock_pins_it(project: Project):
    Layout(BASE, **SETTINGS).write(project.folder / "layout")
    assert project.build("from oci:layout", "copy more -> /more", "env B=2").code == 2  # there is no such file yet
    project.write("more", "more")
    done = project.build()
    assert done.code == 0, done.out + done.err
    facts = project.show()["facts"]
    assert (facts["env"], facts["user"], facts["start"]) == ({"A": "1", "B": "2"}, "7", {"argv": ["serve"]})
    assert project.cat("/etc/a") == "a"
    pinned = pins_of(project.folder / "web.env.lock")["stages"][0]
    assert pinned["origin"].startswith("image sha256:")
    again = project.build(options=("--locked",))
    assert again.code == 0
    assert again.ran == []
    assert project.command("verify", "web").code == 0
    assert "lock up to date" in project.command("status").out


def test_a_store_that_never_saw_it_gives_the_same_image(project: Project, tmp_path: Path):
    docker_archive(project.folder / "saved.tar", BASE, **SETTINGS)
    project.write("more", "more")
    first = project.build("from oci:saved.tar", "copy more -> /more")
    assert first.code == 0, first.err
    there = Project(project.folder, tmp_path / "other-store")
    second = there.build(options=("--locked",))
    assert second.code == 0, second.out + second.err
    assert second.image == first.image


def test_another_image_in_its_place_is_told(project: Project):
    docker_archive(project.folder / "saved.tar", BASE)
    assert project.build("from oci:saved.tar", "env A=1").code == 0
    docker_archive(project.folder / "saved.tar", BASE, layer(("etc/b", b"b")))
    refused = project.build(options=("--locked",))
    assert refused.code == 1
    assert "oci:saved.tar" in refused.err
    assert project.build().code == 0
    assert project.cat("/etc/b") == "b"


def test_one_of_several_is_chosen_by_its_tag(project: Project):
    first, second = Layout(BASE), Layout(layer(("two", b"2")))
    manifests = []
    for tag, layout in (("one", first), ("two", second)):
        content = json.dumps(layout.manifest).encode()
        kind = "application/vnd.oci.image.manifest.v1+json"
        manifests.append(
            {**descriptor(content, kind), "annotations": {"org.opencontainers.image.ref.name": tag}},
        )
        first.blobs |= {digest(blob): blob for blob in (layout.config, content, *layout.layers)}
    first.index["manifests"] = manifests
    first.write(project.folder / "layout")
    refused = project.build("from oci:layout", "env A=1")
    assert refused.code == 2
    assert "oci:PATH:TAG" in refused.out + refused.err
    assert project.build("from oci:layout:two", "env A=1").code == 0
    assert project.cat("/two") == "2"


def test_a_bad_one_fails_as_its_statement(project: Project):
    layout = Layout(BASE)
    blob = layout.layers[0]
    layout.write(project.folder / "layout", {digest(blob): blob[:-9] + b"x" + blob[-8:]})
    done = project.command("build", str(project.write("web.env", "from oci:layout", "env A=1")))
    assert done.code in (1, 2)
    assert "web.env:1" in done.err
    assert "layout" in done.err
    assert project.command("images").out.count("\n") <= 1


def test_what_is_outside_of_the_project_is_not_taken(project: Project, tmp_path: Path):
    Layout(BASE).write(tmp_path / "layout")
    done = project.build("from oci:../layout", "env A=1")
    assert done.code == 2
    assert "../layout" in done.out + done.err

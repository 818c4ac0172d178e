"""What an image was built on: what proves it, and what only says so."""

import json

import pytest

from envbuild.errors import EnvbuildError
from envbuild.images.find import resolve
from envbuild.oci.descriptor import CONFIG
from envbuild.oci.manifest import read_manifest
from envbuild.rebase.image_base import BUILT, GIVEN, LAYERS, SAID, BaseUnknown, ImageBase, UnlikeBase, base_of
from envbuild.sharing.base_record import note_said
from envbuild.sharing.known_manifests import note_image
from envbuild.store.store import Store
from tests.conftest import Project
from tests.sharing.images import Layout, descriptor, layer

pytestmark = pytest.mark.namespaces

LOWEST = layer(("etc", None), ("etc/a", b"a"), ("etc/b", b"b"), ("usr/c", b"c"))
MIDDLE = layer(("opt/d", b"d"))
TOP = layer(("opt/e", b"e"))
BASE_NAME, BASE_DIGEST = "org.opencontainers.image.base.name", "org.opencontainers.image.base.digest"


def imported(project: Project, name: str, *layers: bytes, **settings: object) -> None:
    path = Layout(*layers, **settings).write(project.folder / name.replace(":", "-"))
    done = project.command("import", str(path), name)
    assert done.code == 0, done.err


def base(project: Project, name: str, given: str = "") -> ImageBase:
    with Store.open(str(project.store)) as store:
        folder = str(project.folder)
        return base_of(store, resolve(store, name, folder), name, resolve(store, given, folder) if given else None)


def refused(project: Project, name: str) -> EnvbuildError:
    with pytest.raises(EnvbuildError) as caught:
        base(project, name)
    return caught.value


def tree(project: Project, name: str) -> str:
    return project.show(name)["tree"].removeprefix("sha256:")


def test_the_layers_of_an_image_prove_its_base(project):
    imported(project, "web:1", LOWEST, MIDDLE, TOP)
    assert type(refused(project, "web:1")) is BaseUnknown
    imported(project, "distribution:1", LOWEST)
    assert (base(project, "web:1").tree, base(project, "web:1").known_by) == (tree(project, "distribution:1"), LAYERS)
    imported(project, "runtime:1", LOWEST, MIDDLE)
    assert base(project, "web:1").tree == tree(project, "runtime:1"), "the nearest one"
    imported(project, "other:1", MIDDLE, TOP)
    assert base(project, "web:1").tree == tree(project, "runtime:1")
    assert type(refused(project, "distribution:1")) is BaseUnknown


def test_an_image_that_was_built_here_has_it_on_record(project):
    assert project.build("run echo 1 > /a", "run echo 2 > /b").code == 0
    known = base(project, "web")
    assert (known.name, known.known_by, known.kept) == ("tar:busybox.tar", BUILT, 1.0)
    assert project.build("from image:web", "run rm /a /bin/busybox", name="above.env").code == 0
    known = base(project, "above")
    assert (known.name, known.tree, known.known_by) == ("image:web", tree(project, "web"), BUILT)
    assert 0.9 < known.kept < 1


def test_a_stage_is_no_base(project):
    lines = ["from tar:busybox.tar as first", "run echo 1 > /a", "from first as second", "run echo 2 > /b"]
    assert project.build(*lines, "from second", "run echo 3 > /c").code == 0
    assert base(project, "web").name == "tar:busybox.tar"


def test_the_user_may_say_it(project):
    imported(project, "web:1", LOWEST, TOP)
    imported(project, "like:1", MIDDLE)
    known = base(project, "web:1", "like:1")
    assert (known.tree, known.known_by, known.kept) == (tree(project, "like:1"), GIVEN, 0.0)


def test_a_label_is_only_the_word_of_who_made_it(project):
    manifest = "sha256:" + "1" * 64
    labels = {BASE_NAME: "registry.example/distribution:1", BASE_DIGEST: manifest}
    imported(project, "true:1", LOWEST, TOP, Labels=labels)
    imported(project, "lie:1", MIDDLE, TOP, Labels=labels)
    error = refused(project, "true:1")
    assert type(error) is BaseUnknown
    assert "registry.example/distribution:1" in error.message
    # Squashed, so that its layers are not how the other image begins.
    squashed = layer(("etc", None), ("etc/a", b"a"), ("etc/b", b"b"), ("usr/c", b"c"), ("x", b""))
    imported(project, "distribution:1", squashed)
    with Store.open(str(project.store)) as store:
        note_image(store, manifest, resolve(store, "distribution:1", str(project.folder)).digest)
    known = base(project, "true:1")
    assert (known.tree, known.known_by, known.kept) == (tree(project, "distribution:1"), SAID, 0.75)
    assert type(refused(project, "lie:1")) is UnlikeBase


def test_the_record_that_came_with_an_image_is_a_word_too(project, tmp_path):
    assert project.build("run echo 1 > /a").code == 0
    assert project.command("export", "web", "-o", str(tmp_path / "layout"), "--format", "oci").code == 0
    away = Project(project.folder, tmp_path / "away")
    done = away.command("import", str(tmp_path / "layout"), "web:came")
    assert done.code == 0, done.err
    assert "tar:busybox.tar" in refused(away, "web:came").message
    assert away.build("run true", name="plain.env").code == 0
    assert base(away, "web:came").known_by == SAID


def test_annotations_of_a_manifest_are_a_word_as_labels_are(project):
    imported(project, "distribution:1", layer(("etc", None), ("etc/a", b"a"), ("etc/b", b"b")))
    imported(project, "web:1", LOWEST, TOP)
    manifest = {"schemaVersion": 2, "config": descriptor(b"{}", CONFIG), "layers": []}
    manifest["annotations"] = {BASE_NAME: "registry.example/distribution:1", BASE_DIGEST: "sha256:" + "2" * 64, "x": 1}
    read = read_manifest(json.dumps(manifest).encode(), "x")
    folder = str(project.folder)
    with Store.open(str(project.store)) as store:
        note_said(store, resolve(store, "web:1", folder).digest, read.annotations)
        note_image(store, "sha256:" + "2" * 64, resolve(store, "distribution:1", folder).digest)
    known = base(project, "web:1")
    assert (known.name, known.tree, known.known_by) == (
        "registry.example/distribution:1",
        tree(project, "distribution:1"),
        SAID,
    )


@pytest.mark.parametrize("digest", ["", "sha256:", "../../x", "x" * 5000, "sha256:" + "0" * 64])
def test_odd_labels_name_nothing(project, digest):
    imported(project, "web:1", LOWEST, Labels={BASE_NAME: "\x1b[2J\n" + "x" * 5000, BASE_DIGEST: digest})
    assert type(refused(project, "web:1")) is BaseUnknown
    assert json.dumps(refused(project, "web:1").message)

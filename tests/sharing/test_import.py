"""Images of other tools: what becomes of their layers and configurations, and what is refused."""

from __future__ import annotations

import gzip
import json
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from envbuild.archive import tar
from envbuild.archive.limits import ArchiveError, Limits
from envbuild.sharing.image_file import ImageFile
from envbuild.sharing.import_image import import_image
from envbuild.store.store import Store
from tests.conftest import Project
from tests.sharing.images import Layout, descriptor, digest, docker_archive, layer, special

pytestmark = pytest.mark.namespaces

BASE = layer(("etc", None), ("etc/a", b"a"), ("etc/b", b"b"), ("opt/x/1", b"1"), ("opt/x/2", b"2"), ("usr/f", b"f"))


def files(project: Project, image: str = "web:1") -> dict[str, str]:
    """All files of an image with the kind or the content of each."""
    done = project.command("ls", image, "/", "-R", "--format", "json")
    assert done.code == 0, done.err
    return {entry["name"]: entry["kind"] for entry in json.loads(done.out)}


def taken(project: Project, path: Path, *words: str) -> dict[str, Any]:
    done = project.command("import", str(path), *words, "--format", "json")
    assert done.code == 0, done.err
    return json.loads(done.out)


@pytest.mark.user
def test_whiteouts_hide_what_lies_below_and_nothing_of_their_own_layer(project: Project, tmp_path: Path):
    hidden = layer(("etc/.wh.a", b""), ("etc/a", b"new"), ("etc/.wh.b", b""), ("usr/.wh.f", b""), ("usr/g", b"g"))
    taken(project, Layout(BASE, hidden).write(tmp_path / "layout"))
    assert set(files(project)) == {"etc", "etc/a", "opt", "opt/x", "opt/x/1", "opt/x/2", "usr", "usr/g"}
    assert project.command("cat", "web:1", "/etc/a").out == "new"


@pytest.mark.parametrize("behind", [False, True])
def test_an_opaque_directory_may_be_said_before_and_behind_its_files(project: Project, tmp_path: Path, behind: bool):
    members = [("opt/x/.wh..wh..opq", b""), ("opt/x/3", b"3")]
    taken(project, Layout(BASE, layer(*(reversed(members) if behind else members))).write(tmp_path / "layout"))
    assert {path for path in files(project) if path.startswith("opt")} == {"opt", "opt/x", "opt/x/3"}


@pytest.mark.user
def test_hard_links_lead_to_layers_below(project: Project, tmp_path: Path):
    linked = layer(special("etc/c", tarfile.LNKTYPE, "etc/a"), special("etc/d", tarfile.LNKTYPE, "etc/c"))
    taken(project, Layout(BASE, linked).write(tmp_path / "layout"))
    assert project.command("cat", "web:1", "/etc/d").out == "a"


def test_a_file_takes_the_place_of_a_directory_and_the_other_way_round(project: Project, tmp_path: Path):
    other = layer(("opt/x", b"now a file"), ("usr/f/inner", b"i"), special("etc", tarfile.SYMTYPE, "usr"))
    taken(project, Layout(BASE, other).write(tmp_path / "layout"))
    assert files(project) == {
        "etc": "link",
        "opt": "directory",
        "opt/x": "file",
        "usr": "directory",
        "usr/f": "directory",
        "usr/f/inner": "file",
    }


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_all_forms_of_tar(project: Project, tmp_path: Path, form: int):
    long = "d/" * 40 + "n" * (80 if form == tarfile.USTAR_FORMAT else 180)
    taken(project, Layout(layer(("etc/a", b"a"), (long, b"long"), form=form)).write(tmp_path / "layout"))
    assert project.command("cat", "web:1", f"/{long}").out == "long"


def test_the_configuration_becomes_facts(project: Project, tmp_path: Path):
    settings = {
        "Env": ["PATH=/opt/bin:/bin", "LANG=C.UTF-8", "A=b=c"],
        "User": "app:staff",
        "WorkingDir": "/srv",
        "Entrypoint": ["/entry"],
        "Cmd": ["serve", "--all"],
        "StopSignal": "SIGQUIT",
        "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
        "Volumes": {"/data": {}},
        "Labels": {"k": "v"},
        "Healthcheck": {"Test": ["CMD-SHELL", "curl -f x"], "Interval": 5_000_000_000, "Retries": 2},
    }
    taken(project, Layout(BASE, **settings).write(tmp_path / "layout"))
    facts = project.show("web:1")["facts"]
    assert facts == {
        "arch": "amd64",
        "epoch": 1714979289,
        "env": {"A": "b=c", "PATH": "/opt/bin:/bin"},
        "user": "app:staff",
        "workdir": "/srv",
        "entry": {"argv": ["/entry"]},
        "start": {"argv": ["serve", "--all"]},
        "stop": "QUIT",
        "expose": ["53/udp", "80/tcp"],
        "volumes": ["/data"],
        "labels": {"k": "v"},
        "health": {"argv": ["/bin/sh", "-c", "curl -f x"], "every": 5.0, "timeout": 30.0, "retries": 2},
    }


@pytest.mark.user
def test_archives_of_docker(project: Project, tmp_path: Path):
    path = docker_archive(
        tmp_path / "saved.tar", BASE, layer(("etc/n", b"n")), BASE, name="host.example:5000/shop/web:1"
    )
    named = taken(project, path)["name"]
    assert named == "web:1"
    assert project.command("cat", "web:1", "/etc/n").out == "n"
    (tmp_path / "saved.tar.gz").write_bytes(gzip.compress(path.read_bytes()))
    assert taken(project, tmp_path / "saved.tar.gz", "again:2")["image"] == project.show("web:1")["digest"]


def test_the_image_for_this_machine_is_taken(project: Project, tmp_path: Path):
    here, there = Layout(BASE), Layout(layer(("etc/arm", b"arm")))
    manifests = []
    for layout, platform in ((there, {"architecture": "arm64", "os": "linux", "variant": "v8"}), (here, None)):
        content = json.dumps(layout.manifest).encode()
        kind = "application/vnd.oci.image.manifest.v1+json"
        manifests.append(
            {**descriptor(content, kind), "platform": platform or {"architecture": "amd64", "os": "linux"}}
        )
        here.blobs |= {digest(blob): blob for blob in (layout.config, content, *layout.layers)}
    inner = json.dumps({"schemaVersion": 2, "manifests": manifests}).encode()
    here.blobs[digest(inner)] = inner
    outer = descriptor(inner, "application/vnd.oci.image.index.v1+json")
    attestation = {**manifests[0], "annotations": {"vnd.docker.reference.type": "attestation-manifest"}}
    here.index = {"schemaVersion": 2, "manifests": [{**outer, "annotations": here.annotations}, attestation]}
    path = here.write(tmp_path / "layout")
    taken(project, path)
    assert "etc/a" in files(project)
    taken(project, path, "other:1", "--platform", "linux/arm64")
    assert set(files(project, "other:1")) == {"etc", "etc/arm"}
    refused = project.command("import", str(path), "x:1", "--platform", "riscv64")
    assert refused.code == 2
    assert "no image for riscv64" in refused.err


@pytest.mark.user
def test_devices_are_left_out_with_what_they_hide(project: Project, tmp_path: Path):
    """As docker without root and podman do: nobody but the machine's root can make one."""
    other = layer(
        special("etc/a", tarfile.CHRTYPE, devmajor=1, devminor=3),
        special("dev/sda", tarfile.BLKTYPE, devmajor=8, devminor=0),
        special("srv/disk", tarfile.BLKTYPE, devmajor=8, devminor=0),
        special("srv/pipe", tarfile.FIFOTYPE),
    )
    done = project.command("import", str(Layout(BASE, other).write(tmp_path / "layout")))
    assert done.code == 0
    assert done.err == "note: 2 devices were left out, as no sandbox can have it: /etc/a\n"
    assert set(files(project)) == {
        *("etc", "etc/b", "opt", "opt/x", "opt/x/1", "opt/x/2", "srv", "srv/pipe", "usr", "usr/f")
    }


def _of_layers(*members: Any) -> Callable[[], Layout]:
    return lambda: Layout(BASE, layer(*members))


def _manifest(**changes: Any) -> Callable[[], Layout]:
    def make() -> Layout:
        made = Layout(BASE)
        made.manifest.update(changes)
        return made

    return make


def _other_blob() -> Layout:
    made = Layout(BASE)
    made.blobs[digest(made.layers[0])] = gzip.compress(layer(("etc/evil", b"evil")), mtime=0).ljust(len(made.layers[0]))
    return made


def _other_content() -> Layout:
    made = Layout(BASE)
    blob = gzip.compress(layer(("etc/evil", b"evil")), mtime=0)
    made.layers = [blob]
    made.manifest["layers"] = [descriptor(blob, "application/vnd.oci.image.layer.v1.tar+gzip")]
    return made


def _other_size() -> Layout:
    made = Layout(BASE)
    made.manifest["layers"][0]["size"] += 1
    return made


def _bomb() -> Layout:
    made = Layout(BASE)
    blob = zstandard.ZstdCompressor().compress(bytes(300 << 20))
    made.layers = [blob]
    made.manifest["layers"] = [descriptor(blob, "application/vnd.oci.image.layer.v1.tar+zstd")]
    return made


def _with_attribute(name: str, value: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo("x")
    info.pax_headers = {f"SCHILY.xattr.{name}": value}
    return info


def _nested() -> Layout:
    made = Layout(BASE)
    content = json.dumps(made.manifest).encode()
    named = descriptor(content, "application/vnd.oci.image.manifest.v1+json")
    for _ in range(5):
        inner = json.dumps({"schemaVersion": 2, "manifests": [named]}).encode()
        made.blobs[digest(inner)] = inner
        named = descriptor(inner, "application/vnd.oci.image.index.v1+json")
    made.index = {"schemaVersion": 2, "manifests": [named]}
    return made


HOSTILE = {
    "up": (_of_layers(("../../etc/evil", b"x")), "leads out of the archive"),
    "link up": (_of_layers(special("l", tarfile.LNKTYPE, "../../etc/passwd")), "leads out of the archive"),
    "link to nothing": (_of_layers(special("l", tarfile.LNKTYPE, "etc/gone")), "did not come before"),
    "whiteout device": (
        _of_layers(special("etc/a", tarfile.CHRTYPE, devmajor=0, devminor=0)),
        "a device 0:0",
    ),
    "whiteout of ..": (_of_layers(("etc/.wh...", b"")), "a whiteout of no name"),
    "inside a whiteout": (_of_layers(("etc/.wh.a/b", b"")), "inside of a whiteout"),
    "overlayfs": (
        _of_layers(special("o", tarfile.DIRTYPE, pax_headers={"SCHILY.xattr.trusted.overlay.opaque": "y"})),
        "belongs to overlayfs",
    ),
    "deep": (_of_layers(("d/" * 300 + "x", b"")), "too long or too deep"),
    "long name": (_of_layers(("n" * 300, b"")), "too long or too deep"),
    "blob": (_other_blob, "is not what its digest says"),
    "content": (_other_content, "is not what the configuration says"),
    "size": (_other_size, "and not"),
    "bomb": (_bomb, "unpacks to far more than it holds"),
    "a damaged capability": (
        _of_layers(("bin/ping", _with_attribute("security.capability", "x"))),
        "attributes that can't be set here",
    ),
    "an attribute of overlayfs in a user namespace": (
        _of_layers(("bin/ping", _with_attribute("user.overlay.redirect", "/etc"))),
        "belongs to overlayfs",
    ),
    "nested": (_nested, "indexes that name indexes"),
    "no layers": (_manifest(layers=[]), "0 layers, and its configuration speaks of 1"),
    "type": (_manifest(layers=[{"mediaType": "text/x", "digest": "sha256:" + "0" * 64, "size": 1}]), "unknown type"),
    "digest as a path": (
        _manifest(config={"mediaType": "x", "digest": "sha256:../../../etc/passwd", "size": 1}),
        "no sha256 digest",
    ),
    "artifact": (
        _manifest(config={"mediaType": "application/x+json", "digest": "sha256:" + "0" * 64, "size": 1}),
        "it is no image",
    ),
    "schema 1": (_manifest(schemaVersion=1), "has schema 1"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_wrong_is_one_error_and_leaves_nothing(project: Project, tmp_path: Path, name: str):
    make, words = HOSTILE[name]
    path = make().write(tmp_path / "layout")
    done = project.command("import", str(path), "web:1")
    assert done.code == 2
    assert words in done.err
    assert len(done.err.strip().splitlines()) <= 3
    assert project.command("images").out.count("\n") <= 1
    assert not (tmp_path / "etc").exists()
    assert not [path for path in (project.store / "objects").rglob("*") if path.is_file()]
    assert not list((project.store / "work").iterdir())


def test_what_all_layers_hold_is_counted_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Else a small blob that is named a thousand times would be a bomb."""
    monkeypatch.setattr(tar, "Limits", lambda: Limits(members=20))
    file = ImageFile(str(Layout(*[BASE] * 4).write(tmp_path / "layout")), str(tmp_path / "scratch"))
    with Store.open(str(tmp_path / "store")) as store, pytest.raises(ArchiveError, match="more than 20 members"):
        import_image(store, file, file.images("amd64", "")[0], lambda *_: None)


@pytest.mark.parametrize("content", [b"", b"\x1f\x8bxxxx", b"PK\3\4", b"\0" * 4096, b"{}" * 600])
def test_a_file_that_is_no_image(project: Project, tmp_path: Path, content: bytes):
    path = tmp_path / "x.tar"
    path.write_bytes(content)
    done = project.command("import", str(path), "web:1")
    assert done.code == 2
    assert "x.tar" in done.err


def test_an_archive_of_files_is_sent_to_the_base_of_that_name(project: Project):
    done = project.command("import", "base/busybox.tar", "web:1")
    assert done.code == 2
    assert "from tar:FILE" in done.err


def test_which_of_several(project: Project, tmp_path: Path):
    first, second = Layout(BASE), Layout(layer(("two", b"2")))
    manifests = []
    for tag, layout in (("one", first), ("two", second)):
        content = json.dumps(layout.manifest).encode()
        kind = "application/vnd.oci.image.manifest.v1+json"
        named = {"org.opencontainers.image.ref.name": tag}
        manifests.append({**descriptor(content, kind), "annotations": named})
        first.blobs |= {digest(blob): blob for blob in (layout.config, content, *layout.layers)}
    first.index["manifests"] = manifests
    path = first.write(tmp_path / "layout")
    refused = project.command("import", str(path), "x")
    assert refused.code == 2
    assert "one, two" in refused.err
    taken(project, path, "x", "--image", "two")
    assert set(files(project, "x")) == {"two"}
    assert "no image 'three'" in project.command("import", str(path), "x", "--image", "three").err


def test_names_that_can_not_be_names_here(project: Project, tmp_path: Path):
    layout = Layout(BASE)
    layout.annotations = {}
    path = layout.write(tmp_path / "layout")
    done = project.command("import", str(path))
    assert done.code == 2
    assert "give it a name" in done.err
    assert project.command("import", str(path), "../x").code == 2


@pytest.mark.user
def test_umoci_makes_one(project: Project, tmp_path: Path):
    """Edits a layout with umoci, whose layers have whiteouts and attributes of its own."""
    if subprocess.run(["which", "umoci"], capture_output=True, check=False).returncode:
        pytest.skip("umoci is not installed")
    path = Layout(BASE).write(tmp_path / "layout")
    bundle = tmp_path / "bundle"
    for words in (
        ["umoci", "unpack", "--rootless", "--image", f"{path}:web:1", str(bundle)],
        ["umoci", "repack", "--image", f"{path}:web:1", str(bundle)],
    ):
        if words[1] == "repack":
            (bundle / "rootfs/etc/a").unlink()
            (bundle / "rootfs/etc/umoci").write_text("by umoci\n")
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    taken(project, path)
    assert project.command("cat", "web:1", "/etc/umoci").out == "by umoci\n"
    assert "etc/a" not in files(project)

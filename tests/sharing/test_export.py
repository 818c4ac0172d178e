"""Images that leave the store: what other tools find in them, and that they come back as what they were."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from pwd import getpwuid

import pytest

from tests.conftest import Project
from tests.made_once import MadeOnce

pytestmark = pytest.mark.namespaces

RECIPE = (
    "env A=1",
    "run mkdir -p /srv/data /opt/x && echo 1 > /opt/x/1 && chmod 1777 /srv/data && rm /etc/group",
    "run rm -r /var/tmp && ln -s /srv/data /data && mkfifo /srv/pipe && chmod 4755 /bin/busybox",
    "copy app/ -> /srv/app/",
    'entry ["/bin/sh"]',
    'start ["-c", "cat /srv/app/main"]',
    "health(every=3s) true",
    "expose 8080",
    "label k=v",
)


def web(project: Project) -> None:
    """Makes an image."""
    project.write("app/main", "one")
    done = project.build(*RECIPE)
    assert done.code == 0, done.out + done.err


@pytest.fixture
def built(project: Project, made_once: MadeOnce, tmp_path: Path) -> Iterator[Project]:
    with made_once.again(project, web, tmp_path / "made"):
        yield project


def blobs(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "blobs/sha256").iterdir()}


def exported(project: Project, *words: str) -> None:
    done = project.command("export", *words)
    assert done.code == 0, done.err


def needs(tool: str) -> str:
    path = shutil.which(tool)
    if path is None:
        pytest.skip(f"{tool} is not installed")
    return path


@pytest.mark.user
def test_an_image_comes_back_with_its_digest_its_recipe_and_its_steps(built: Project, tmp_path: Path):
    exported(built, "web", "-o", str(tmp_path / "web.tar"))
    there = Project(built.folder, tmp_path / "other-store")
    done = there.command("import", str(tmp_path / "web.tar"))
    assert done.code == 0, done.err
    assert "as it was exported" in done.out
    before, after = built.show(), there.show()
    assert after["digest"] == before["digest"]
    steps = [[(step["text"], step["tree"]) for step in shown["steps"]] for shown in (before, after)]
    assert steps[0] == steps[1]
    ran = there.command("run", "web")
    assert ran.out == "one\n", ran.err
    logged = there.command("log", "web").out
    assert "import of web.tar" in logged
    assert f"by       {getpwuid(os.getuid()).pw_name}\n" in logged


def test_in_a_project_it_is_called_as_there(built: Project, tmp_path: Path):
    subprocess.run(["git", "init", "-q", "-b", "main", str(built.folder)], check=True)
    exported(built, "web", "-o", str(tmp_path / "web.tar"))
    done = built.command("import", str(tmp_path / "web.tar"), "copy")
    assert done.out.startswith("copy:latest = ")
    assert built.command("run", "copy").out == "one\n"


def test_the_same_bytes_whatever_the_number_of_threads_and_the_store(built: Project, tmp_path: Path):
    exported(built, "web", "-o", str(tmp_path / "one.tar"), "-j", "1")
    there = Project(built.folder, tmp_path / "other-store")
    assert there.build().code == 0
    exported(there, "web", "-o", str(tmp_path / "three.tar"), "-j", "3")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "three.tar").read_bytes()


def test_an_edit_of_the_application_makes_one_small_new_layer(built: Project, tmp_path: Path):
    exported(built, "web", "-o", f"{tmp_path}/layout/")
    before = blobs(tmp_path / "layout")
    built.write("app/main", "two")
    assert built.build().code == 0
    exported(built, "web", "-o", f"{tmp_path}/layout/")
    new = {name: content for name, content in blobs(tmp_path / "layout").items() if name not in before}
    assert len(new) == 3  # the layer, the configuration and the manifest
    index = json.loads((tmp_path / "layout/index.json").read_text())
    assert len(index["manifests"]) == 1


def test_a_layer_that_was_made_once_is_linked(built: Project, tmp_path: Path):
    exported(built, "web", "-o", f"{tmp_path}/one/")
    exported(built, "web", "-o", f"{tmp_path}/two/")
    manifest = json.loads((tmp_path / "one/index.json").read_text())["manifests"][0]["digest"][7:]
    for layer in json.loads((tmp_path / "one/blobs/sha256" / manifest).read_text())["layers"]:
        paths = [tmp_path / name / "blobs/sha256" / layer["digest"][7:] for name in ("one", "two")]
        assert os.stat(paths[0]).st_ino == os.stat(paths[1]).st_ino


def test_a_blob_that_somebody_changed_is_made_anew(built: Project, tmp_path: Path):
    exported(built, "web", "-o", f"{tmp_path}/one/")
    before = blobs(tmp_path / "one")
    for path in (built.store / "blobs").iterdir():
        path.chmod(0o600)
        path.write_bytes(b"x" + path.read_bytes()[1:])
    exported(built, "web", "-o", f"{tmp_path}/two/")
    assert blobs(tmp_path / "two") == before


def test_the_configuration_says_what_docker_knows_of(built: Project, tmp_path: Path):
    exported(built, "web", "-o", f"{tmp_path}/layout/")
    manifest = json.loads((tmp_path / "layout/index.json").read_text())["manifests"][0]
    assert manifest["annotations"]["io.containerd.image.name"] == "web:latest"
    blob = tmp_path / "layout/blobs/sha256"
    content = json.loads((blob / manifest["digest"][7:]).read_text())
    config = json.loads((blob / content["config"]["digest"][7:]).read_text())
    assert config["architecture"] in ("amd64", "arm64")
    settings = config["config"]
    assert settings["Entrypoint"] == ["/bin/sh"]
    assert settings["Cmd"] == ["-c", "cat /srv/app/main"]
    assert "A=1" in settings["Env"]
    assert settings["ExposedPorts"] == {"8080/tcp": {}}
    assert settings["Labels"] == {"k": "v"}
    assert settings["Healthcheck"]["Interval"] == 3_000_000_000
    assert settings["StopSignal"] == "SIGTERM"
    lines = [line["created_by"] for line in config["history"] if not line.get("empty_layer")]
    assert len(lines) == len(content["layers"])
    assert lines[0] == "from tar:busybox.tar"
    assert "copy app/ -> /srv/app/" in lines


@pytest.mark.parametrize("layers", ["60", "steps", "3", "1"])
@pytest.mark.user
def test_umoci_unpacks_what_the_image_has(built: Project, tmp_path: Path, layers: str):
    """Each way to lay it out gives the same files, in the words of another tool."""
    umoci = needs("umoci")
    exported(built, "web", "-o", f"{tmp_path}/layout/", "--compression", "gzip", "--layers", layers)
    rootless = ["--rootless"] if os.geteuid() else []
    words = [umoci, "unpack", *rootless, "--image", f"{tmp_path}/layout:latest", f"{tmp_path}/bundle"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    root = tmp_path / "bundle/rootfs"
    listed = json.loads(built.command("ls", "web", "/", "-R", "--format", "json").out)
    if rootless:  # it makes no pipes without root
        listed = [entry for entry in listed if entry["kind"] != "named pipe"]
    unpacked = {str(path.relative_to(root)) for path in root.rglob("*")}
    if rootless:
        unpacked.discard("srv/pipe")
    assert unpacked == {entry["name"] for entry in listed}
    for entry in listed:
        status = os.lstat(root / entry["name"])
        if entry["kind"] != "link":
            assert f"{status.st_mode & 0o7777:04o}" == entry["mode"], entry["name"]


def test_skopeo_takes_it_and_gives_it_back(built: Project, tmp_path: Path):
    skopeo = needs("skopeo")
    exported(built, "web", "-o", str(tmp_path / "web.tar"))
    exported(built, "web", "-o", str(tmp_path / "docker.tar"), "--format", "docker")
    for source, target in (
        (f"oci-archive:{tmp_path}/web.tar", f"oci:{tmp_path}/layout:latest"),
        (f"docker-archive:{tmp_path}/docker.tar", f"docker-archive:{tmp_path}/back.tar:web:back"),
    ):
        words = [skopeo, "--insecure-policy", "copy", "-q", source, target]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    there = Project(built.folder, tmp_path / "other-store")
    for path in ("layout", "back.tar"):
        assert there.command("import", str(tmp_path / path), f"web:{path[:4]}").code == 0
        assert there.show(f"web:{path[:4]}")["digest"] == built.show()["digest"]


def test_a_plain_archive_has_all_files(built: Project, tmp_path: Path):
    exported(built, "web", "--format", "tar", "-o", str(tmp_path / "files.tar"))
    with tarfile.open(tmp_path / "files.tar") as archive:
        members = {member.name: member for member in archive.getmembers()}
    assert members["bin/busybox"].mode == 0o4755
    assert members["data"].linkname == "/srv/data"
    assert "var/tmp" not in members


@pytest.mark.user
def test_a_file_system_to_mount(built: Project, tmp_path: Path):
    needs("sqfstar")
    for name in ("one", "two"):
        exported(built, "web", "--format", "squashfs", "-o", str(tmp_path / name))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    words = [needs("unsquashfs"), "-n", "-ll", str(tmp_path / "one")]
    listed = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert "-rwsr-xr-x root/root" in listed
    assert "squashfs-root/data -> /srv/data" in listed
    assert "squashfs-root/var/tmp" not in listed
    refused = built.command("export", "web", "--format", "squashfs")
    assert refused.code == 2


def test_what_can_not_be_written_is_said_and_leaves_nothing(built: Project, tmp_path: Path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other/x").write_text("mine")
    done = built.command("export", "web", "-o", f"{tmp_path}/other/")
    assert done.code == 2
    assert "not an OCI image layout" in done.err
    assert os.listdir(tmp_path / "other") == ["x"]
    done = built.command("export", "web", "-o", "/nowhere/web.tar")
    assert done.code == 2
    assert "error: /nowhere/web.tar: No such file" in done.err
    assert built.command("export", "web", "--layers", "0").code == 2
    assert built.command("export", "web", "-o", f"{tmp_path}/other/", "--format", "docker").code == 2
    assert built.command("export", "nothing", "-o", str(tmp_path / "x")).code == 2
    assert not (tmp_path / "x").exists()

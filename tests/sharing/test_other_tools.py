"""Images go to docker, podman and buildah and run there; theirs come here and run. Real tools, and an image with all
that layers know. Both sides run the same program, which writes down what it sees.

Nightly, as root: CI's machine has skopeo and umoci alone (test_export.py, test_import.py). Under a root of Debian sid
the same tests see today's versions (docs/sharing.md says which were tried).
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Project, busybox_tar
from tests.registry.debian_registry import DebianRegistry
from tests.sharing.other_tools import TOOLS, Tool

pytestmark = [pytest.mark.namespaces, pytest.mark.root, pytest.mark.nightly]

NET_RAW = bytes.fromhex("0100000200200000000000000000000000000000")
"""`cap_net_raw+ep` as a file has it (capabilities(7), version 2)."""
# stat has no time: what a tool's RUN makes is of now.
LOOK = """\
busybox id -u; busybox id -g; busybox pwd; echo $KEY
for top in a b c srv data opt; do busybox find /$top; done | busybox sort | while read path; do
busybox stat -c '%n %F %a %u:%g %N' "$path"; done
busybox md5sum /a/* /b/* /c/l* /srv/* 2>&1 | busybox sort"""

DOCKERFILE = """\
FROM scratch
ADD root.tar /
ENV PATH=/bin KEY="a b"
RUN busybox mkdir -p /a /b/deep /c /data /opt/gone/x && echo 1 > /a/1 && echo 2 > /a/2 && echo b > /b/deep/b
RUN echo o > /opt/gone/x/o && busybox ln /a/1 /b/same && busybox chown 1000:50 /data && busybox chmod 1777 /data
RUN rm /a/2 && rm -r /b/deep && busybox mkdir /b/deep && echo new > /b/deep/new && rm -r /opt/gone
RUN busybox ln /a/1 /c/linked && busybox ln -s ../a/1 /c/link && busybox mkfifo /c/pipe
RUN busybox truncate -s 40M /srv/holes && echo end >> /srv/holes && busybox chmod 4755 /srv/setuid
USER 1000:50
WORKDIR /data
EXPOSE 8080/udp
VOLUME /vol
LABEL k=v
STOPSIGNAL SIGQUIT
HEALTHCHECK --interval=7s --retries=2 CMD ["/bin/busybox", "true"]
ENTRYPOINT ["/bin/busybox"]
CMD ["sh", "/bin/look"]
""".replace("'sh", '"sh')

RECIPE = (
    'env KEY="a b"',
    "env PATH=/bin",
    "run busybox mkdir -p /a /b/deep /c /data /opt/gone/x /srv && echo 1 > /a/1 && echo 2 > /a/2 && echo b > /b/deep/b",
    "run busybox ln /a/1 /b/same && busybox chown 1000:50 /data && busybox chmod 1777 /data",
    "run rm /a/2 && rm -r /b/deep && busybox mkdir /b/deep && echo new > /b/deep/new && rm -r /opt/gone",
    "run busybox ln -s ../a/1 /c/link && busybox mkfifo /c/pipe && busybox truncate -s 40M /srv/holes",
    "run cp /bin/busybox /srv/setuid && busybox chmod 4755 /srv/setuid",
    "copy look -> /bin/look",
    "user 1000:50",
    "workdir /data",
    "expose 8080",
    "label k=v",
    "health(every=7s) true",
    'entry ["/bin/busybox"]',
    'start ["sh", "/bin/look"]',
)


def root_tar(path: Path) -> None:
    """Busybox with a program that has a capability, and a file that belongs to a user."""
    busybox_tar(path)
    with tarfile.open(path, "a", format=tarfile.PAX_FORMAT) as archive:
        for name, owner, xattrs in (
            ("srv/ping", 0, {"SCHILY.xattr.security.capability": NET_RAW.decode("latin-1")}),
            ("srv/setuid", 0, {}),
            ("srv/owned", 1000, {}),
            ("bin/look", 0, {}),
        ):
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.uid, info.gid, info.pax_headers = len(LOOK), 0o755, owner, owner, xattrs
            archive.addfile(info, io.BytesIO(LOOK.encode()))


@pytest.fixture(scope="module", params=TOOLS, ids=lambda kind: kind.name)
def tool(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tool]:
    if os.geteuid() != 0:
        pytest.skip("docker and podman's storage here need root")
    made = request.param(tmp_path_factory.mktemp("t") / "t")
    yield made
    made.close()


@pytest.fixture(scope="module")
def theirs(tool: Tool, busybox: Path) -> str:
    """The name of an image that the tool built."""
    context = tool.folder / "context"
    context.mkdir()
    root_tar(context / "root.tar")
    (context / "Dockerfile").write_text(DOCKERFILE)
    tool.build(context, "theirs")
    return "theirs"


@pytest.fixture
def ours(project: Project) -> Project:
    project.write("look", LOOK)
    done = project.build(*RECIPE)
    assert done.code == 0, done.out + done.err
    return project


def test_their_images_run_here_and_look_the_same(tool: Tool, theirs: str, project: Project, tmp_path: Path):
    expected = tool.run(theirs)
    assert "/data directory 1777 1000:50" in expected
    for number, (form, words) in enumerate(tool.forms.items()):
        path = tmp_path / f"image{number}"
        tool.call(*(word.format(path, name=theirs) for word in words))
        done = project.command("import", str(path), f"theirs:{number}")
        assert done.code == 0, f"{form}: {done.err}"
        ran = project.command("run", f"theirs:{number}")
        assert ran.code == 0, ran.err
        assert ran.out == expected, form
        facts = project.show(f"theirs:{number}")["facts"]
        known = {"user": "1000:50", "workdir": "/data", "stop": "QUIT", "expose": ["8080/udp"], "volumes": ["/vol"]}
        assert {name: facts[name] for name in known} == known
        assert facts["labels"]["k"] == "v"
        if not form.startswith("oci"):  # OCI's configuration has no health check
            assert facts["health"]["every"] == 7.0
        archive = tmp_path / "files.tar"
        assert project.command("export", f"theirs:{number}", "--format", "tar", "-o", str(archive)).code == 0
        with tarfile.open(archive) as members:
            header = members.getmember("srv/ping").pax_headers["SCHILY.xattr.security.capability"]
        assert header.encode("utf-8", "surrogateescape") == NET_RAW


def test_our_archives_run_there_and_look_the_same(tool: Tool, ours: Project, tmp_path: Path):
    expected = ours.command("run", "web")
    assert expected.code == 0, expected.err
    assert "/data directory 1777 1000:50" in expected.out
    for form in tool.loads:
        path = tmp_path / f"{form}.tar"
        words = ["--compression", "gzip"] if form == "oci" else []
        done = ours.command("export", "web", "--format", form, "-o", str(path), "--name", f"{form}:1", *words)
        assert done.code == 0, done.err
        tool.load(path)
        name = f"{form}:1" if tool.name == "docker" else f"localhost/{form}:1"
        assert tool.run(name) == expected.out, form


def test_what_we_push_is_run_there_and_theirs_is_pulled_here(tool: Tool, theirs: str, ours: Project, tmp_path: Path):
    registry = DebianRegistry(tmp_path / "registry")
    try:
        reference = f"{registry.host}/shop/web:1"
        assert ours.command("push", "web", reference).code == 0
        plain = [] if tool.name == "docker" else ["--tls-verify=false"]
        if tool.name == "docker" and int(tool.version.partition(".")[0]) < 23:  # type: ignore[attr-defined]
            assert ours.command("push", "web", reference, "--compression", "gzip").code == 0
        tool.call("pull", "-q", *plain, reference)
        assert tool.run(reference) == ours.command("run", "web").out
        back = f"{registry.host}/shop/theirs:1"
        tool.call("tag", theirs, back)
        tool.call("push", "-q", *plain, back)
        done = ours.command("pull", back, "theirs")
        assert done.code == 0, done.err
        assert ours.command("run", "theirs").out == tool.run(theirs)
    finally:
        registry.close()


def test_zstd_chunked_layers_of_podman(project: Project, tmp_path: Path, busybox: Path):
    """Layers with a table of contents in frames that other readers skip."""
    tool = TOOLS[1](tmp_path / "t")
    try:
        if int(tool.call("--version").split()[-1].partition(".")[0]) < 5:
            pytest.skip("podman before 5 writes no zstd:chunked layers")
        context = tmp_path / "context"
        context.mkdir()
        root_tar(context / "root.tar")
        (context / "Dockerfile").write_text(DOCKERFILE)
        tool.build(context, "theirs")
        tool.call("push", "-q", "--compression-format", "zstd:chunked", "theirs", f"oci:{tmp_path}/layout:theirs")
        assert project.command("import", f"{tmp_path}/layout").code == 0
        assert project.command("run", "theirs").out == tool.run("theirs")
    finally:
        tool.close()


def test_skopeo_and_umoci_have_the_same_files(ours: Project, tmp_path: Path):
    for name in ("skopeo", "umoci"):
        if shutil.which(name) is None:
            pytest.skip(f"{name} is not installed")
    assert ours.command("export", "web", "--format", "docker", "-o", str(tmp_path / "web.tar")).code == 0
    for words in (
        ["skopeo", "copy", "-q", f"docker-archive:{tmp_path}/web.tar", f"oci:{tmp_path}/layout:web"],
        ["umoci", "unpack", "--image", f"{tmp_path}/layout:web", f"{tmp_path}/bundle"],
    ):
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    files = ours.command("export", "web", "--format", "tar")
    assert files.code == 0
    root = tmp_path / "bundle/rootfs"
    paths = {str(path.relative_to(root)) for path in root.rglob("*")}
    assert {"a/1", "b/same", "b/deep/new", "c/pipe", "srv/setuid"} <= paths
    assert not {"a/2", "opt/gone"} & paths
    assert (root / "srv/setuid").stat().st_mode & 0o7777 == 0o4755
    assert (root / "srv/holes").stat().st_size == 40 << 20

"""The recipe of a Debian machine that is older than its sources."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Project
from tests.packages.conftest import Server
from tests.packages.repository import Repository

pytestmark = [pytest.mark.namespaces, pytest.mark.mirror, pytest.mark.root]
CONFIGURED = {"etc/tool.conf": "a=1\n", "DEBIAN/conffiles": "/etc/tool.conf\n"}


@pytest.fixture
def mirror(debian: Project, tmp_path: Path) -> Iterator[Repository]:
    """The only mirror of the machine that `debian` runs on."""
    server, settings = Server(), tmp_path / "apt"
    repository = Repository(server, tmp_path / "mirror", "debian", "bookworm")
    settings.mkdir()
    (settings / "sources.list").write_text(f"{repository.source}\n")
    debian.entry = "tests.poor_machines:with_own_apt"
    debian.environment["ENVBUILD_TESTS_APT"] = str(settings)
    yield repository
    server.close()


def installed(
    debian: Project, mirror: Repository, tmp_path: Path, packages: list[tuple[str, str]], script: str
) -> None:
    """Build the image `machine`, on which somebody installed files of packages and ran a script."""
    (debian.folder / "debs").mkdir()
    for name, version in packages:
        shutil.copy(tmp_path / f"mirror/{name}_{version}_all.deb", debian.folder / "debs")
    install = "dpkg -i /debs/*.deb && rm -r /debs"
    done = debian.build("from image:python", "copy debs/ -> /debs/", f"run {install} && {script}", name="machine.env")
    assert done.code == 0, done.err


def test_versions_that_no_source_has_are_named_and_their_files_not_copied(debian, mirror, tmp_path):
    mirror.add("tool", "1.0", files=CONFIGURED)
    mirror.add("dep", "1.0")
    mirror.add("web", "1.0", "dep")
    mirror.add("mine", "1.0")
    packages = [("tool", "1.0"), ("dep", "1.0"), ("web", "1.0"), ("mine", "1.0")]
    edits = "echo b=2 >> /etc/tool.conf && echo c > /etc/own.conf && groupadd -g 1500 makers && useradd -m -u 1000 ada"
    installed(debian, mirror, tmp_path, packages, f"apt-mark auto dep >/dev/null && {edits}")
    mirror.add("tool", "2.0", files=CONFIGURED)
    mirror.remove("tool", "1.0")
    mirror.remove("mine", "1.0")
    done = debian.command(
        "recipe", "machine", "--from", "image:python", "--fetch", "-o", "like.env", "--format", "json"
    )
    assert done.code == 0, done.err
    written = json.loads(done.out)
    assert written["packages"] == ["mine:all 1.0: no source here has it", "tool:all 1.0: the lines give 2.0"]
    lines = (debian.folder / "like.env").read_text().splitlines()
    assert lines[3:6] == ["recipe like", "from image:python", "apt tool web=1.0"]
    assert "run groupadd --gid 1500 makers" in lines
    assert "adduser ada uid=1000 shell=/bin/sh" in lines
    (copied,) = (line for line in lines if line.startswith("copy like.files/etc/"))
    assert {"like.files/etc/own.conf", "like.files/etc/tool.conf"} < set(copied.split())
    assert "copy like.files/usr/share/mine/ -> /usr/share/mine/" in lines
    assert not (debian.folder / "like.files/usr/share/tool").exists()
    assert debian.build(name="like.env").code == 0
    said = {row["path"] for row in written["not_expressed"]}
    done = debian.command("diff", "machine", "like", "--files", "--format", "json")
    differing = {row["path"] for row in json.loads(done.out)["files"] if row["what"] != ["time"]}
    assert {
        path for path in differing - said if not path.startswith(("/home", "/var/log")) and path[-1] != "-"
    } == set()

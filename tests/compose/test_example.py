"""recipes/group/: a web service that counts its visits in PostgreSQL."""

import json
import shutil
import socket
from pathlib import Path
from urllib.request import urlopen

import pytest

from envbuild.compose.file.load import load_group
from tests.conftest import Project

EXAMPLE = Path(__file__).parents[2] / "recipes" / "group"


def test_it_is_read_without_a_remark():
    group = load_group(str(EXAMPLE / "services.yaml"), {}, "/home/ada")
    assert (group.name, group.notes) == ("visits", ())
    assert [(service.name, service.network, service.aliases) for service in group.services] == [
        ("db", "visits", ("db",)),
        ("web", "visits", ("web",)),
    ]


@pytest.mark.namespaces
@pytest.mark.mirror
@pytest.mark.nightly
def test_it_counts_and_goes_on_counting_after_it_was_down(tmp_path, debian_store):
    folder = tmp_path / "group"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("*.lock", ".gitattributes"))
    project = Project(folder, debian_store)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])

    def visit() -> bytes:
        return urlopen(f"http://127.0.0.1:{port}/", timeout=20).read()

    try:
        up = project.command("up", PORT=port, timeout=900)
        assert up.code == 0, up.err
        assert (visit(), visit()) == (b"1 visits\n", b"2 visits\n")
        assert project.command("up", PORT=port).err.splitlines()[:2] == ["db   unchanged", "web  unchanged"]
        assert project.command("down", PORT=port).code == 0
        assert project.command("up", PORT=port).code == 0
        assert visit() == b"3 visits\n"
    finally:
        done = project.command("down", "--volumes", PORT=port)
    assert done.code == 0, done.err
    assert json.loads(project.command("ps", "--all", "--format", "json").out) == []

"""A Debian environment with packages, built again on an empty machine without a network."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from envbuild.build.inputs import declared_inputs
from envbuild.lockfile.lock import Package
from envbuild.plan.step import InstallPackages
from tests.conftest import PYTHON, Project
from tests.packages.wheels import Index


def test_a_step_is_the_same_in_whatever_order_its_packages_are_named():
    """A lock sorts them, and a resolver has an order of its own."""
    action = InstallPackages("pip", ("a",), (), (("into", "/x"),), (), "/")
    hash = f"sha256:{'0' * 64}"
    names = [("a", "index/a-1.0.tar.gz"), ("pip", "build/index/pip-26.0-py3-none-any.whl"), ("b", "build/index/b.whl")]
    packages = tuple(Package(name, "1.0", hash, origin) for name, origin in names)
    assert declared_inputs(action, (), packages) == declared_inputs(action, (), packages[::-1])


@pytest.mark.nightly
@pytest.mark.root  # makes a network namespace that an ordinary user's ids would not reach
@pytest.mark.mirror
@pytest.mark.slow
def test_a_vendored_debian_is_built_without_a_network(debian, server, tmp_path):
    index = Index(server)
    index.add("alpha", "1.0", ("beta",))
    index.add("beta", "2.0")
    server.files["/tool"] = b"tool"
    lines = ("pip(into=/opt/venv) alpha", f"fetch {server.address}/tool -> /tool", "run /opt/venv/bin/alpha")
    settings = {"PIP_INDEX_URL": index.url, "PIP_EXTRA_INDEX_URL": "", "PIP_FIND_LINKS": ""}
    done = debian.build(*PYTHON, *lines, **settings)
    assert done.code == 0, done.out
    filled = debian.command("vendor", "-o", "v", **settings)
    assert filled.code == 0, filled.err
    server.close()
    empty = Project(debian.folder, tmp_path / "empty")
    words = ["build", "web.env", "--locked", "--offline", "--vendor", "v", "--progress", "json"]
    built = subprocess.run(
        ["unshare", "--net", sys.executable, "-m", "envbuild", *words],
        cwd=empty.folder,
        env=empty.environment,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    assert json.loads(built.stdout.splitlines()[-1])["image"] == done.image

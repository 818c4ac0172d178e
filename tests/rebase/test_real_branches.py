"""Two branches of a recipe that each add packages of apt, pip and npm and change a file of settings, as git merges
them: the images are merged at once, and the real build of the merged recipe comes to the same packages."""

import json

import pytest

from tests.conftest import DEBIAN
from tests.history.conftest import Git

pytestmark = [pytest.mark.namespaces, pytest.mark.mirror, pytest.mark.nightly]

APT = ["  nodejs", "  npm", "  python3", "  python3-venv"]
SETTINGS = ["  port = 80", "  # how much is told", "  level = info", "  # how long", "  timeout = 30", "  workers = 2"]


def recipe(apt=(), pip=(), npm=(), settings=SETTINGS):
    return [
        DEBIAN,
        "apt",
        *sorted([*APT, *apt]),
        "pip(into=/opt/venv)",
        *sorted(["  packaging==24.0", *pip]),
        "npm(into=/srv/app)",
        *sorted(["  is-number@7.0.0", *npm]),
        "file /etc/app.conf",
        *settings,
        "test /opt/venv/bin/python -c 'import packaging'",
    ]


def test_apt_pip_npm_and_a_file_of_settings(debian):
    git = Git(debian)
    git("init", "--quiet", "--initial-branch=main")
    branches = {
        "main": recipe(),
        "right": recipe(["  unzip"], ["  zipp==3.19.2"], ["  left-pad@1.3.0"], [*SETTINGS[:-1], "  workers = 8"]),
        "left": recipe(["  jq"], ["  click==8.1.7"], ["  has-flag@4.0.0"], ["  port = 8080", *SETTINGS[1:]]),
    }
    for branch, lines in branches.items():
        if branch != "main":
            git("checkout", "--quiet", "-b", branch, "main")
        done = debian.build(*lines)
        assert done.code == 0, done.out + done.err
        git.commit(branch)
    git("merge", "--quiet", "--no-commit", "right")
    done = debian.command("merge", "--wait", "--format", "json", timeout=1800)
    assert done.code == 0, done.out + done.err
    (merged,) = json.loads(done.out)["recipes"]
    names = [check["name"] for check in merged["checks"]["checks"] if check["passed"]]
    assert names == [branches["main"][-1], "dpkg --audit", "apt-get check", "pip check in /opt/venv"]
    assert merged["rebuild"]["state"] in ("same", "same but for times"), merged["rebuild"]
    packages = json.loads(debian.command("diff", "web:merged", "web", "--format", "json").out)["packages"]
    assert packages == [], packages
    settings = debian.cat("/etc/app.conf", "web:merged")
    assert settings == debian.cat("/etc/app.conf")
    assert ("port = 8080" in settings, "workers = 8" in settings) == (True, True)
    for command in (
        "jq --version",
        "/opt/venv/bin/python -c 'import click, zipp'",
        "ls /srv/app/node_modules/left-pad",
    ):
        assert debian.command("run", "--rm", "web:merged", "--", "sh", "-c", command).code == 0, command

"""Eight real environments with one fault each, and some 150 to 300 packages that have nothing to do with it."""

from __future__ import annotations

from dataclasses import dataclass

from tests.conftest import Project

PACKAGES = (
    "nginx-light redis-server git openssh-server python3-requests python3-flask python3-venv curl less sudo rsync"
    " build-essential man-db locales ca-certificates sqlite3 tzdata perl"
)
SAME = (
    "adduser app uid=1500",
    "file /etc/sudoers.d/app\n    app ALL=(ALL) NOPASSWD: ALL",
    "run sed -i 's/^# *de_DE.UTF-8/de_DE.UTF-8/' /etc/locale.gen && locale-gen",
)
SMALL = "from debian:bookworm\napt python3 python3-venv"
PYTHON = "/opt/venv/bin/python"
CLIENT = "from fastapi import FastAPI; from fastapi.testclient import TestClient; TestClient(FastAPI()).get('/')"


@dataclass(frozen=True)
class Environment:
    """A good and a bad environment, each by its statements (`from ...` first), and a shell test that the bad one fails;
    `words` are what an answer needs."""

    name: str
    good: tuple[str, ...]
    bad: tuple[str, ...]
    test: str
    words: tuple[str, ...]


OLD, NEW = ("from image:old",), ("from image:new",)
ENVIRONMENTS = (
    Environment(
        "library",
        NEW,
        OLD,
        'python3 -c \'import sqlite3; sqlite3.connect(":memory:").execute("select concat(1, 2)")\'',
        ("libsqlite3-0", "3.46.1", "3.40.1"),
    ),
    Environment(
        "configuration",
        OLD,
        (*NEW, "run sed -i 's/worker_connections 768;/worker_connections many;/' /etc/nginx/nginx.conf"),
        "nginx -t",
        ("/etc/nginx/nginx.conf", "worker_connections many;"),
    ),
    Environment(
        "locale",
        OLD,
        (*NEW, "run rm /usr/lib/locale/locale-archive"),
        "python3 -c 'import locale; locale.setlocale(locale.LC_ALL, \"de_DE.UTF-8\")'",
        ("/usr/lib/locale/locale-archive",),
    ),
    Environment(
        "variable",
        OLD,
        (*NEW, "env PYTHONHOME=/opt/python APP_LEVEL=debug"),
        "python3 -c 'import requests'",
        ("PYTHONHOME", "/opt/python"),
    ),
    Environment(
        "pair",
        (SMALL, "pip(into=/opt/venv) flask==2.3.3 werkzeug==2.3.8"),
        (*OLD, "pip(into=/opt/venv) flask==2.2.2 werkzeug==3.0.6"),
        f"{PYTHON} -c 'import flask'",
        ("Flask", "2.3.3", "2.2.2", "Werkzeug", "2.3.8", "3.0.6"),
    ),
    Environment(
        "transitive",
        (SMALL, "pip(into=/opt/venv) fastapi==0.110.0 httpx jupyter-server==2.14.0 -c constraints.txt"),
        (*OLD, "pip(into=/opt/venv) fastapi==0.110.0 jupyterlab"),
        f'{PYTHON} -c "{CLIENT}"',
        ("httpx", "0.27.2", "0.28"),
    ),
    Environment(
        "set-user-id",
        OLD,
        (*NEW, "run chmod u-s /usr/bin/sudo"),
        "setpriv --reuid app --regid app --clear-groups sudo -n true",
        ("/usr/bin/sudo",),
    ),
    Environment(
        "time zone",
        OLD,
        (*NEW, "run cp /usr/share/zoneinfo/Asia/Tokyo /usr/share/zoneinfo/Europe/Berlin"),
        '[ "$(TZ=Europe/Berlin date -d @0 +%H)" = 01 ]',
        ("/usr/share/zoneinfo/Europe/Berlin",),
    ),
)


def build_sides(project: Project) -> None:
    """Build `old` and `new`: two releases of Debian with the same programs."""
    project.write("constraints.txt", "httpx<0.28")
    for name, suite in (("old", "bookworm"), ("new", "trixie")):
        build(project, name, (f"from debian:{suite}\napt {PACKAGES}", *SAME))


def build(project: Project, name: str, statements: tuple[str, ...]) -> None:
    """Build a recipe with these statements as the image `name`."""
    done = project.build(*statements, name=f"{name}.env", timeout=1800)
    assert done.code == 0, done.out[-2000:] + done.err

"""Two releases of Debian with the same programs, and five faults in the newer one: what a user sees first."""

from __future__ import annotations

import re

import pytest

from tests.conftest import Project
from tests.history.test_notices import first_screen

pytestmark = [pytest.mark.namespaces, pytest.mark.mirror, pytest.mark.nightly]

PROGRAMS = (
    "nginx redis-server git openssh-server python3-requests python3-flask curl less sudo vim-tiny rsync"
    " build-essential man-db locales ca-certificates"
)
FAULTS = (
    "chmod 4755 /usr/bin/less",
    "chown www-data:www-data /usr/share/nginx/html",
    "echo 'fastcgi_param X y;' >> /etc/nginx/fastcgi_params",
    "cp /usr/bin/true /usr/bin/openssl",
)


def test_five_faults_among_three_hundred_moved_packages(project: Project):
    for tag, suite, mode in (("old", "bookworm", "production"), ("new", "trixie", "debug")):
        lines = [f"from debian:{suite}", f"apt {PROGRAMS}", f"env APP_MODE={mode}"]
        if tag == "new":
            lines += ["run", *(f"    {fault}" for fault in FAULTS), "run seq 70 | xargs -I N touch /srv/N"]
        done = project.build(*lines, options=("--tag", f"web:{tag}"), timeout=3000)
        assert done.code == 0, done.out[-2000:] + done.err
    screen = first_screen(project, "diff", "web:old", "web:new")
    text = "\n".join(screen)
    assert all(len(row) <= 100 for row in screen)
    for path in ("/usr/bin/less", "/usr/share/nginx/html", "/etc/nginx/fastcgi_params", "/usr/bin/openssl"):
        assert any(path in row.split() for row in screen), text
    assert any(row.split() == ["env.APP_MODE", "production", "->", "debug"] for row in screen), text
    assert "set-user-id gained (less)" in text
    assert "not as openssl brought it" in text
    assert "not as nginx-common brought it" in text
    assert sum(map(int, re.findall(r"(\d+) (?:upgraded|added|removed)", text))) >= 300, text
    explained = re.search(r"(\d+) other paths that no package explains", text)
    assert explained is not None
    assert 70 <= int(explained[1]) <= 200, text

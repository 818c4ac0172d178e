"""Some weeks of the year, with a Debian that is made in seconds."""

from __future__ import annotations

import time

import pytest

from tests.year import small_debian

pytestmark = [pytest.mark.namespaces, pytest.mark.mirror, pytest.mark.root]


def test_some_weeks(year, tmp_path):
    t = time.time()

    def say(*words):
        print(f"{time.time() - t:6.1f}", *words, flush=True)

    mirror, page = year.mirror, year.web_page
    mirror.opens("bookworm", "2025-11-01", small_debian.versions(tmp_path / "debian"), "12.1")
    say("mirror")
    ada = year.person("ada")
    ada.clones(page.address)
    ada.writes("app.env", "from debian:bookworm", "copy text -> /srv/", "run cat /etc/state /srv/text > /srv/said")
    ada.writes("text", "one")
    first = ada.builds("app.env")
    say("built")
    begin = ada.commits("An environment")
    ada.pushes("main")
    ben = year.person("ben")
    ben.clones(page.address)
    ben.branches("text")
    ben.writes("text", "two")
    say(ben.tries_to_build("app.env").said)
    ben.commits("Another text")
    say(ben.git("show"))
    ben.pushes("text")
    say(mirror.security_update("bookworm", "2025-12-01"))
    mirror.point_release("bookworm", "2025-12-02", "12.2")
    ada.branches("update")
    say(ada.envbuild("update", "app.env"))
    say(ada.git("diff"))
    ada.commits("update")
    ada.pushes("update")
    say(page.merges("text", "2025-12-05"), page.merges("update", "2025-12-05"))
    say(page.worker.git("show"))

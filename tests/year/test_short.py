"""Some weeks of the year, with a Debian that is made in seconds."""

from __future__ import annotations

import pytest

from tests.year import small_debian
from tests.year.conftest import Year

pytestmark = [pytest.mark.namespaces, pytest.mark.mirror, pytest.mark.root, pytest.mark.slow]


@pytest.mark.nightly  # a Debian of its own; test_year.py has all of it
def test_a_lock_holds_when_the_mirror_has_moved_on(year: Year, tmp_path):
    mirror, page = year.mirror, year.web_page
    mirror.opens("bookworm", "2025-11-01", small_debian.versions(tmp_path / "debian"), "12.1")
    ada = year.person("ada")
    ada.clones(page.address)
    ada.writes("text", "one")
    ada.writes("app.env", "from debian:bookworm", "copy text -> /srv/", "run cat /etc/state /srv/text > /srv/said")
    image = ada.builds("app.env")
    ada.commits("An environment")
    ada.pushes("main")

    assert mirror.security_update("bookworm", "2025-12-01") == ["tiny"]
    mirror.point_release("bookworm", "2025-12-06", "12.2")
    mirror.expires("bookworm", "2025-12-13")

    ben = year.person("ben")
    ben.clones(page.address)
    assert ben.builds("app.env", "--locked") == image
    said = ben.envbuild("update", "app.env", "tiny", fails=True)
    assert "'tiny' is a package of the base debian:bookworm" in said
    assert "is expired" in ben.envbuild("update", "app.env", fails=True)
    assert ben.envbuild("status", "--exit-code")

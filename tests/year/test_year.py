"""The year as it goes, and at its end every commit, built by somebody who has nothing."""

from __future__ import annotations

import pytest

from tests.year.conftest import Year
from tests.year.real_packages import RealPackages
from tests.year.story import Story

pytestmark = [pytest.mark.namespaces, pytest.mark.mirror, pytest.mark.root, pytest.mark.slow, pytest.mark.nightly]
WANTED = ("python3", "python3-venv", "nodejs", "jq", "less", "tzdata")
GOOD = {"up to date", "incomplete"}
"""What may be said of a lock that nobody has to touch: an incomplete one lacks results only."""


def test_a_year(year: Year, tmp_path):
    story = Story(year, year.machine.ordinary_user())
    year.mirror.opens(
        "bookworm", "2025-11-01", RealPackages(tmp_path / "bookworm", "bookworm", WANTED).versions, "12.1"
    )
    trixie = RealPackages(tmp_path / "trixie", "trixie", ("jq",)).versions
    november(story)
    december(story)
    february(story)
    april(story)
    may(story)
    year.mirror.opens("trixie", "2026-06-01", trixie, "13.0")
    june(story)
    july(story)
    august(story)
    october(story)
    november_again(story)
    commits = len(story.commits())
    assert commits > 20
    assert story.build_each_from_nothing("root") == commits
    assert story.build_all_from_nothing(story.ordinary) == commits
    check_where_files_are(story)


def november(story: Story) -> None:
    """Ada begins: three environments in one commit."""
    year = story.year
    year.index.publish("click==8.1.7", "markupsafe==2.1.5", "jinja2==3.1.4")
    year.registry.publish("npm@9.9.4", "is-number@6.0.0", "is-odd@3.0.1")
    ada = story.person("ada", "2025-11-03")
    ada.clones(year.web_page.address)
    ada.writes("tools.env", "from debian:bookworm", "apt jq less")
    service = ("pip(into=/opt/venv) jinja2", "copy app/ -> /srv/", "run python3 /srv/main.py > /srv/said")
    ada.writes("web.env", "from debian:bookworm", "apt python3 python3-venv", *service)
    ada.writes("front.env", "from debian:bookworm", "apt nodejs", "npm(into=/srv) is-odd@^3.0.0")
    ada.writes("app/main.py", "print('one')")
    images = {f"{name}.env": ada.builds(f"{name}.env") for name in ("front", "tools", "web")}
    story.images[ada.commits("Three environments")] = images
    ada.pushes("main")


def december(story: Story) -> None:
    """Security updates. Ben comes, who has nothing and isn't root. Two pull requests touch one recipe."""
    year, ada = story.year, story.people["ada"]
    moved = year.mirror.security_update("bookworm", "2025-12-10", "util-linux", "perl", "tzdata")
    assert {"perl-base", "mount", "tzdata"} <= set(moved)
    ben = story.person("ben", "2025-12-12", story.ordinary)
    ben.clones(year.web_page.address)
    first = story.images[ben.head()]
    assert set(ben.locks().values()) == {"up to date"}
    assert story.pinned(ben) == first
    ben.envbuild("status", "--exit-code")
    ben.branches("louder")
    ben.writes("app/main.py", "print('one!')")
    louder = ben.builds("web.env")
    assert louder != first["web.env"]
    story.remember(ben.commits("Louder"), first, web=louder)
    assert "web.env" in ben.envbuild("git", "check", "origin/main...HEAD")
    ben.pushes("louder")

    ada.day = "2025-12-13"
    ada.branches("lines")
    ada.replaces("web.env", "apt python3 ", "apt jq python3 ")
    story.remember(ada.commits_built("jq in the service", "web.env"), first, web=ada.image)
    ada.pushes("lines")
    assert year.web_page.merges("louder", "2025-12-14")
    story.images[year.web_page.worker.head()] = story.images[ben.head()]
    assert year.web_page.merges("lines", "2025-12-15")


def february(story: Story) -> None:
    """A point release, and what it replaced is gone from the mirror. Cleo comes, and updates everything; meanwhile Ada
    takes only jq, and git merges both."""
    year, ada = story.year, story.people["ada"]
    first = story.images[ada.git("rev-parse", "main")]
    gone = set(year.mirror.files)
    year.mirror.point_release("bookworm", "2026-02-01", "12.2")
    assert any("/perl-base_" in path for path in gone - set(year.mirror.files))
    cleo = story.person("cleo", "2026-02-03")
    cleo.clones(year.web_page.address)
    year.mirror.snapshot_is_up = False
    lost = cleo.tries_to_build("tools.env", "--locked")
    assert lost.code != 0
    assert ("404 Not Found" in lost.said, "ENVBUILD_DEBIAN_SNAPSHOT" in lost.said) == (True, True), lost.said
    year.mirror.snapshot_is_up = True
    assert set(cleo.locks().values()) <= GOOD
    now = story.pinned(cleo)
    assert now == {**first, "web.env": now["web.env"]}
    assert cleo.git("show", "HEAD:app/main.py") == "print('one!')"
    assert cleo.envbuild("run", "web@HEAD", "--", "cat", "/srv/said") == "one!\n"
    story.images[cleo.head()] = now
    cleo.branches("february")
    assert "perl-base" in cleo.envbuild("update")
    commit = cleo.commits("Update of February")
    updated = story.images[commit] = story.pinned(cleo)
    assert all(updated[recipe] != image for recipe, image in now.items())
    cleo.pushes("february")

    assert year.mirror.security_update("bookworm", "2026-02-04", "jq") == ["jq", "libjq1"]
    ada.day = "2026-02-05"
    ada.pulls()
    ada.branches("jq")
    said = ada.envbuild("update", "tools.env", "jq")
    assert ("libjq1" in said, "perl-base" in said) == (True, False)
    story.remember(ada.commits("jq of today"), now, tools=ada.builds("tools.env", "--locked"))
    ada.git("fetch", "--quiet")
    ada.git("merge", "--no-edit", "origin/february")
    assert set(ada.locks().values()) <= GOOD
    merged = story.images[ada.head()] = story.pinned(ada)
    assert {**merged, "tools.env": updated["tools.env"]} == updated
    assert merged["tools.env"] not in (now["tools.env"], updated["tools.env"])
    ada.pushes("main")


def april(story: Story) -> None:
    """The mirror stands still, and its Release file expires. Locks hold, and an update says why it fails."""
    year, ben = story.year, story.people["ben"]
    year.mirror.security_update("bookworm", "2026-04-01", "openssl", "glibc", "nodejs", "expat")
    year.mirror.expires("bookworm-security", "2026-04-08")
    ben.day = "2026-04-20"
    ben.starts_anew(year.web_page.address)
    merged = story.images[ben.head()]
    assert story.pinned(ben) == merged
    assert "expired" in ben.envbuild("update", "front.env", fails=True)
    assert ben.git("status", "--porcelain") == ""
    year.mirror.expires("bookworm-security", "")
    assert "nodejs" in ben.envbuild("update", "front.env", "nodejs")
    story.remember(ben.commits("nodejs of April"), merged, front=ben.builds("front.env", "--locked"))


def may(story: Story) -> None:
    """A wheel is yanked, which its index still has for those who pin it. Ben rebases what he did in April."""
    year, ben, cleo = story.year, story.people["ben"], story.people["cleo"]
    year.index.publish("jinja2==3.1.5", "markupsafe==3.0.2")
    year.index.yank("jinja2-3.1.4", "broken")
    cleo.day = "2026-05-20"
    cleo.starts_anew(year.web_page.address)
    merged = story.images[cleo.head()]
    assert cleo.builds("web.env", "--locked") == merged["web.env"]
    cleo.replaces("web.env", "jinja2", "jinja2 click")
    story.remember(cleo.commits_built("click", "web.env"), merged, web=cleo.image)
    assert '"jinja2", version: "3.1.4"' in (cleo.clone / "web.env.lock").read_text()
    assert "3.1.5" in cleo.envbuild("update", "web.env", "jinja2")
    web = cleo.builds("web.env", "--locked")
    story.remember(cleo.commits("jinja2 of May"), merged, web=web)
    cleo.pushes("main")
    ben.day = "2026-05-21"
    front = story.images[ben.head()]["front.env"]
    ben.git("pull", "--quiet", "--rebase", "origin", "main")
    assert set(ben.locks().values()) <= GOOD
    assert story.pinned(ben) == story.remember(ben.head(), merged, web=web, front=front)
    ben.pushes("main")


def june(story: Story) -> None:
    """Debian 13 comes out beside the third point release. Two pull requests meet on the web page: an environment of the
    new suite, and a step that has a server listed."""
    year, ada, cleo = story.year, story.people["ada"], story.people["cleo"]
    year.mirror.point_release("bookworm", "2026-06-06", "12.3")
    year.server.files["/terms"] = b"Be kind.\n"
    ada.day = "2026-06-10"
    ada.pulls()
    before = story.images[ada.head()]
    ada.branches("trixie")
    ada.writes("next.env", "from debian:trixie", "apt jq")
    story.remember(ada.commits_built("The next Debian", "next.env"), before, next=ada.image)
    ada.pushes("trixie")
    cleo.day = "2026-06-11"
    cleo.pulls()
    cleo.branches("terms")
    host = year.server.address.removeprefix("http://")
    download = "/usr/lib/apt/apt-helper download-file"
    cleo.writes(
        "tools.env",
        "from debian:bookworm",
        "apt jq less",
        f'run(network="{host}") {download} http://{host}/terms /terms',
    )
    story.remember(cleo.commits_built("Terms", "tools.env"), before, tools=cleo.image)
    assert host in cleo.envbuild("show", "tools")
    assert "refused 127.0.0.1:9" in cleo.refused(
        "tools.env", f'run(network="{host}") {download} http://127.0.0.1:9/terms /x'
    )
    cleo.pushes("terms")
    assert year.web_page.merges("trixie", "2026-06-12")
    story.images[year.web_page.worker.head()] = story.images[ada.head()]
    assert year.web_page.merges("terms", "2026-06-13")
    cleo.pulls()
    assert story.pinned(cleo) == story.remember(cleo.head(), before, next=ada.image, tools=cleo.image)


def july(story: Story) -> None:
    """The application is edited without a word to its lock, something breaks, and git finds out when."""
    ada = story.people["ada"]
    ada.day = "2026-07-01"
    ada.pulls()
    before = story.pinned(ada)
    good = ada.head()
    assert before == story.images[good]
    for number, word in enumerate(("two", "three", "fuor", "fuor, five")):
        ada.day = f"2026-07-{2 + number:02}"
        ada.writes("app/main.py", f"print('{word}')")
        edited = ada.commits(f"Say {word}")
        before = story.remember(edited, before, web=ada.builds("web.env", "--locked"))
    ada.git("bisect", "start", "HEAD", good)
    said = ada.git("bisect", "run", *ada.program, "run", "web@HEAD", "--", "sh", "-c", "! grep fuor /srv/said")
    assert "Say fuor\n" in said.partition("is the first bad commit")[2]
    ada.git("bisect", "reset")
    assert "Say three" in ada.git("log", "-1", "--format=%s", "HEAD~2")
    ada.pushes("main")
    ada.pushes("release")


def august(story: Story) -> None:
    """Security updates of the new suite, and a folder with all that the locks need, from which Cleo builds without a
    network."""
    year, ada, cleo = story.year, story.people["ada"], story.people["cleo"]
    assert year.mirror.security_update("trixie", "2026-08-10")
    ada.day = "2026-08-12"
    before = story.images[ada.head()]
    ada.envbuild("update", "next.env")
    after = story.remember(ada.commits("The next Debian of August"), before, next=ada.builds("next.env", "--locked"))
    assert after["next.env"] != before["next.env"]
    ada.pushes("main")
    folder = year.machine.folder / "vendored"
    recipes = ("front.env", "next.env", "web.env")
    ada.envbuild("vendor", *recipes, "-o", str(folder))
    assert "no lock says what it takes from the network" in ada.envbuild("vendor", "tools.env", "--check")
    cleo.day = "2026-08-13"
    cleo.starts_anew(year.web_page.address)
    for recipe in recipes:
        vendored = cleo.builds(recipe, "--locked", "--offline", "--vendor", str(folder), offline=True)
        assert vendored == after[recipe]


def october(story: Story) -> None:
    """All that is left moves. Ben updates what main has, and the release takes it over by cherry-pick."""
    year, ben = story.year, story.people["ben"]
    moved = year.mirror.security_update("bookworm", "2026-10-01")
    assert {"python3.11-minimal", "apt"} <= set(moved)
    year.mirror.point_release("bookworm", "2026-10-02", "12.4")
    ben.day = "2026-10-05"
    ben.pulls()
    before = story.images[ben.head()]
    ben.envbuild("update", "web.env")
    web = ben.builds("web.env", "--locked")
    picked = ben.commits("Python of October")
    story.remember(picked, before, web=web)
    ben.pushes("main")
    ben.git("fetch", "--quiet")
    ben.git("checkout", "--quiet", "-b", "release", "origin/release")
    released = story.images[ben.head()]
    assert released["web.env"] == before["web.env"]
    ben.git("cherry-pick", picked)
    assert set(ben.locks().values()) <= GOOD
    assert story.pinned(ben) == story.remember(ben.head(), released, web=web)
    ben.pushes("release")


def november_again(story: Story) -> None:
    """Cleo asks for a version that vanished: the lock that has it holds, and nobody can pin it anew."""
    year, cleo = story.year, story.people["cleo"]
    cleo.day = "2026-11-02"
    cleo.pulls()
    tools = story.images[cleo.head()]["tools.env"]
    vanished = year.mirror.versions_of("bookworm", "jq")[0]
    assert f'"jq", version: "{vanished}"' not in (cleo.clone / "tools.env.lock").read_text()
    said = cleo.refused("tools.env", f"apt jq={vanished}")
    assert vanished in said
    assert cleo.builds("tools.env", "--locked") == tools


def check_where_files_are(story: Story) -> None:
    """Each file of the locks can be had, from the mirror, the indexes or the archive of past states."""
    nobody = story.year.person("nobody")
    nobody.clone_only(story.year.web_page.address)
    said = nobody.envbuild("vendor", "front.env", "next.env", "web.env", "--check")
    assert "archive" in said
    assert "nowhere" not in said

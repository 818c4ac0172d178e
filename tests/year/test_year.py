"""The year, as it goes; and at its end every commit, rebuilt by somebody who has nothing."""

from __future__ import annotations

import re
import shutil

import pytest

from tests.year.people import Person
from tests.year.real_packages import RealPackages

pytestmark = [pytest.mark.namespaces, pytest.mark.mirror, pytest.mark.root, pytest.mark.slow, pytest.mark.nightly]
BOOKWORM = ("python3", "python3-venv", "nodejs", "jq", "less", "tzdata")
TRIXIE = ("jq",)


@pytest.fixture(scope="module")
def real(tmp_path_factory) -> dict[str, RealPackages]:
    folder = tmp_path_factory.mktemp("real")
    return {"bookworm": RealPackages(folder / "bookworm", "bookworm", BOOKWORM)}


RECIPES = ("tools.env", "web.env", "front.env")


def rebuilt(person: Person, recipes: tuple[str, ...], *options: str) -> dict[str, str]:
    """Builds recipes as their locks have them; their images."""
    return {recipe: person.builds(recipe, "--locked", *options) for recipe in recipes}


def test_the_year(year, real):
    import time

    begun = time.time()

    def say(*words):
        print(f"{time.time() - begun:6.1f}", *words, flush=True)

    mirror, page = year.mirror, year.web_page
    mirror.opens("bookworm", "2025-11-01", real["bookworm"].versions, "12.1")
    year.machine.sources(
        (f"{mirror.server.address}/debian", "bookworm"),
        (f"{mirror.server.address}/debian-security", "bookworm-security"),
    )
    year.index.publish("click==8.1.7", "markupsafe==2.1.5", "jinja2==3.1.4")
    year.registry.publish("npm@9.9.4", "is-number@6.0.0", "is-odd@3.0.1")

    # November: Ada begins.
    ada = year.person("ada")
    ada.clones(page.address)
    ada.writes("tools.env", "from debian:bookworm", "apt jq less tzdata")
    ada.writes(
        "web.env",
        "from debian:bookworm",
        "apt python3 python3-venv",
        "pip(into=/opt/venv) jinja2",
        "copy app/ -> /srv/",
        "run python3 /srv/main.py > /srv/said",
    )
    ada.writes("front.env", "from debian:bookworm", "apt nodejs", "npm(into=/srv) is-odd@^3.0.0")
    ada.writes("app/main.py", "print('one')")
    ada.first = {recipe: ada.builds(recipe) for recipe in RECIPES}
    say(ada.first)
    assert rebuilt(ada, RECIPES) == ada.first
    ada.commits("Three environments")
    ada.pushes("main")
    say(ada.git("show", "--stat"))

    # December: security updates. Ben comes, with an empty store.
    say(mirror.security_update("bookworm", "2025-12-10", "util-linux", "perl", "tzdata"))
    ben = year.person("ben")
    ben.day = "2025-12-12"
    ben.clones(page.address)
    assert rebuilt(ben, RECIPES) == ada.first
    say("ben has the same")
    ben.branches("louder")
    ben.writes("app/main.py", "print('one!')")
    say("app edited, locked:", ben.tries_to_build("web.env", "--locked").said[-600:])
    ben.builds("web.env")
    ben.commits("Louder")
    ben.pushes("louder")
    ada.day = "2025-12-13"
    ada.branches("lines")
    ada.replaces("web.env", "apt python3 ", "apt jq python3 ")
    ada.builds("web.env")
    ada.commits("jq in the service")
    say(ada.git("show", "-U0"))
    ada.pushes("lines")
    say("page merges", page.merges("louder", "2025-12-14"), page.merges("lines", "2025-12-15"))
    ben.pulls()
    say(ben.git("log", "--oneline", "--graph", "--all"))
    tried = ben.tries_to_build("web.env", "--locked")
    say("merged, locked:", tried.code, tried.said[-1500:])
    if tried.code:
        ben.builds("web.env")
        say(ben.git("diff", "-U0"))
        ben.commits("The lock of both")
        ben.pushes("main")

    # February: a point release; what it replaced is gone.
    say(mirror.point_release("bookworm", "2026-02-01", "12.2"))
    cleo = year.person("cleo")
    cleo.day = "2026-02-03"
    cleo.clones(page.address)
    say("cleo", rebuilt(cleo, RECIPES))
    cleo.branches("renewed")
    say(cleo.envbuild("update", "tools.env", "--dry-run"))
    say(cleo.envbuild("update"))
    cleo.commits("Update of February")
    cleo.pushes("renewed")
    ada.day = "2026-02-04"
    ada.pulls()
    ada.branches("jq")
    say(mirror.security_update("bookworm", "2026-02-04", "jq"))
    say(ada.envbuild("update", "tools.env", "jq"))
    ada.commits("jq of today")
    say(ada.git("show", "-U0"))
    ada.run("git", "fetch")
    done = ada.run("git", "merge", "--no-edit", "origin/renewed")
    say(done)
    ada.run("git", "add", "-A")
    ada.run("git", "commit", "--no-edit")
    tried = ada.tries_to_build("tools.env", "--locked")
    say("merged by git, locked:", tried.code, tried.said[-1500:])
    if tried.code:
        for r in RECIPES:
            t = ada.tries_to_build(r)
            say(r, t.code, t.said[-1500:] if t.code else t.image)
        ada.commits("The locks of both")
    ada.pushes("main")
    # April: expired
    mirror.security_update("bookworm", "2026-04-01", "openssl", "glibc", "nodejs", "expat")
    mirror.expires("bookworm-security", "2026-04-08")
    ben.day = "2026-04-20"
    ben.pulls()
    ben.loses_the_store()
    ben.clones(page.address)
    say("expired, locked", rebuilt(ben, RECIPES))
    say(ben.envbuild("update", "front.env", fails=True))
    ben.writes("new.env", "from debian:bookworm", "apt less")
    say(ben.tries_to_build("new.env").said[-1500:])
    mirror.expires("bookworm-security", "")
    say(ben.envbuild("update", "front.env"))
    # May: yanked
    ben.day = "2026-05-20"
    year.index.publish("jinja2==3.1.5", "markupsafe==3.0.2")
    year.index.yank("jinja2-3.1.4", "broken")
    cleo.loses_the_store()
    cleo.clones(page.address)
    say("yanked, locked", rebuilt(cleo, ("web.env",)))
    cleo.replaces("web.env", "jinja2", "jinja2 click")
    cleo.builds("web.env")
    say(cleo.git("diff", "-U0"))
    say(cleo.envbuild("update", "web.env", "jinja2"))
    say(cleo.git("diff", "-U0"))
    cleo.commits("click")
    cleo.pushes("main")
    ben.run("rm", "new.env", "new.env.lock")
    ben.commits("front updated")
    done = ben.run("git", "pull", "--rebase", "origin", "main")
    say(done.stdout, done.stderr)
    say(ben.tries_to_build("front.env", "--locked").said[-1000:])
    ben.pushes("main")
    mirror.point_release("bookworm", "2026-06-01", "12.3")
    say(mirror.security_update("bookworm", "2026-10-01"))
    mirror.point_release("bookworm", "2026-10-02", "12.4")
    # the end
    nobody = year.person("nobody")
    nobody.clone_only(page.address)
    commits = nobody.git("rev-list", "--all", "--reverse").split()
    bad = 0
    for commit in commits:
        for user in ("root",):
            who = year.person(f"{user}-{commit[:8]}", user)
            who.clone_only(page.address, commit)
            for recipe in sorted(p.name for p in who.clone.glob("*.env")):
                text = (who.clone / f"{recipe}.lock").read_text()
                images = re.findall(r"^image: sha256:(.*)$", text, re.M)
                tried = who.tries_to_build(recipe, "--locked")
                ok = tried.code == 0 and [tried.image] == images
                bad += not ok
                say(
                    commit[:8],
                    who.git("log", "-1", "--format=%s"),
                    recipe,
                    "ok" if ok else (tried.code, images, tried.said[-1500:]),
                )
            shutil.rmtree(who.home)
    assert not bad

"""Installations of Debian packages in stages: what was unpacked before for a part of a list comes from the store, and
the image is that of an installation from nothing."""

import os
import re
from base64 import b64encode
from pathlib import Path

import pytest

from envbuild.build.staged_installer import LEAST
from tests.packages.conftest import DEBIAN
from tests.packages.repository import Repository

pytestmark = [pytest.mark.namespaces, pytest.mark.mirror, pytest.mark.slow]
SCRIPT = "#!/bin/sh\nset -e\n"


@pytest.fixture
def own(server, tmp_path, small_mirror) -> Repository:
    return Repository(server, tmp_path / "own")


@pytest.fixture
def build(debian, own):
    """Builds a list of packages, of which one is large enough to be kept; returns the image and how many packages were
    there. `build.afresh` installs all of the list at once."""
    noise = b64encode(os.urandom(LEAST + (100 << 10))).decode()
    own.add("own-large", "1.0", files={"usr/share/own-large/noise": noise})

    def run(words: str, options: tuple[str, ...] = ()) -> tuple[str, str]:
        done = debian.build("from image:python", f'apt(source="{own.source}") own-large {words}', options=options)
        assert done.code == 0, done.out + done.err
        counted = re.search(r"(\d+ of \d+) packages? as unpacked here before", done.printed)
        return done.image, counted[1] if counted else ""

    run.afresh = lambda words: run(words, ("--no-cache",))[0]
    return run


def test_what_a_list_gains_is_unpacked_alone_and_the_image_is_that_of_all_at_once(build, own, debian):
    own.add("own-mid", "1.0", files={"etc/own-mid.conf": "a = 1\n", "DEBIAN/conffiles": "/etc/own-mid.conf\n"})
    own.add("own-zed", "1.0", "own-mid", files={"DEBIAN/postinst": f"{SCRIPT}ls /usr/share > /var/lib/own-zed\n"})
    assert build("own-zed")[1] == ""
    own.add("own-also", "1.0", "own-base")
    own.add("own-base", "1.0", files={"etc/own-base.conf": "b = 1\n", "DEBIAN/conffiles": "/etc/own-base.conf\n"})
    image, known = build("own-zed own-also")
    assert known == "3 of 5"
    assert build.afresh("own-zed own-also") == image
    # A script that configures sees what was added.
    assert "own-also" in debian.cat("/var/lib/own-zed").split()
    assert debian.command("run", "web", "--", "dpkg", "--audit").out == ""
    assert debian.command("run", "web", "--", "apt-mark", "showauto", "own-base").out == "own-base\n"
    assert debian.cat("/etc/own-base.conf") == "b = 1\n"
    assert not {"envbuild-plan", "status-old", "lock"} & debian.ls("/var/lib/dpkg").keys()


def test_fewer_packages_and_others_are_told_apart(build, own):
    for name in ("own-also", "own-mid", "own-zed"):
        own.add(name, "1.0")
    # The largest of the small ones: to add it in the middle it has to be unpacked twice.
    own.add("own-other", "1.0", files={"usr/share/own-other/noise": os.urandom(2000).hex()})
    assert build("own-also own-mid own-zed")[1] == ""
    assert build("own-also own-mid")[1] == "", "fewer than in the only stage"
    image, known = build("own-also own-mid own-other own-zed")
    assert known == "3 of 5", "of two ways the one with less to unpack"
    assert build.afresh("own-also own-mid own-other own-zed") == image
    image, known = build("own-also own-zed")
    assert known == ""
    assert build.afresh("own-also own-zed") == image


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("added", "there", "known"),
    [
        ({"files": {"DEBIAN/preinst": f"{SCRIPT}[ ! -e /usr/share/own-mid ] || touch /etc/saw\n"}}, {}, ""),
        ({}, {"files": {"DEBIAN/preinst": f"{SCRIPT}[ ! -e /usr/share/own-also ] || touch /etc/saw\n"}}, "1 of 3"),
        ({"files": {"DEBIAN/preinst": f"{SCRIPT}rm -f /etc/nothing\n"}}, {}, "2 of 3"),
        ({"files": {"DEBIAN/preinst": f"{SCRIPT}rm -f /usr/share/own-mid/text\n"}}, {}, ""),
        ({}, {"files": {"DEBIAN/preinst": f"{SCRIPT}rm -f /usr/share/own-also/text\n"}}, ""),
        ({"private": ("usr/share/both",), "files": {"usr/share/both/a": ""}}, {"files": {"usr/share/both/m": ""}}, ""),
        ({"files": {"usr/share/both/a": ""}}, {"private": ("usr/share/both",), "files": {"usr/share/both/m": ""}}, ""),
        ({"files": {"usr/share/both/a": ""}}, {"files": {"usr/share/both/m": ""}}, "2 of 3"),
        ({"files": {"DEBIAN/triggers": "interest-noawait /usr/share/own-mid\n"}}, {}, ""),
        ({}, {"files": {"DEBIAN/triggers": "interest-noawait /usr/share/own-also\n"}}, "2 of 3"),
        ({"files": {"DEBIAN/triggers": "activate-noawait ldconfig\n"}}, {}, ""),
        ({}, {"files": {"DEBIAN/triggers": "activate-noawait ldconfig\n"}}, "2 of 3"),
        ({"files": {"etc/dpkg/dpkg.cfg.d/own": "path-exclude=/usr/share/own-mid/*\n"}}, {}, ""),
        (
            {"files": {"DEBIAN/postinst": f"{SCRIPT}useradd --system own-also\n"}},
            {"files": {"DEBIAN/postinst": f"{SCRIPT}useradd --system own-mid\n"}},
            "2 of 3",
        ),
    ],
)
def test_where_the_order_could_count_the_image_is_that_of_all_at_once(build, own, added, there, known):
    own.add("own-mid", "1.0", **there)
    build("own-mid")
    own.add("own-also", "1.0", **added)
    image, rebuilt = build("own-mid own-also")
    assert build.afresh("own-mid own-also") == image
    assert rebuilt == known


@pytest.mark.nightly
def test_a_package_that_runs_something_before_it_is_unpacked_is_so_in_its_place(build, own):
    """A stage ends before it, so that what comes first is there."""
    for name in ("own-odd", "own-zed"):
        own.add(name, "1.0", files={"DEBIAN/preinst": f"{SCRIPT}ls /usr/share > /var/lib/{name}\n"})
    own.add("own-kilo", "1.0", files={"usr/share/own-kilo/noise": os.urandom(5 << 20).hex()})
    build("own-kilo own-odd own-zed")
    own.add("own-also", "1.0")
    image, known = build("own-kilo own-odd own-zed own-also")
    assert known == "2 of 5"
    assert build.afresh("own-kilo own-odd own-zed own-also") == image


@pytest.mark.nightly
def test_hooks_of_apt_see_all_of_the_installation(debian, own):
    own.add("own-large", "1.0", files={"usr/share/own-large/noise": os.urandom(5 << 20).hex()})
    hook = ("file /etc/apt/apt.conf.d/90hook", '    DPkg::Post-Invoke { "ls /usr/share > /var/lib/seen"; };')
    done = debian.build("from image:python", *hook, f'apt(source="{own.source}") own-large')
    assert done.code == 0, done.err
    assert "own-large" in debian.cat("/var/lib/seen").split()


LISTS = {
    "tools": "python3 curl git build-essential ca-certificates openssh-client vim less nano jq rsync unzip zip htop"
    " tmux wget sqlite3",
    "web": "nginx-light postgresql-client redis-tools python3-venv ca-certificates",
    "java": "default-jre-headless maven git",
}
ADDITIONS = (
    "tree cowsay libpng-dev postgresql-client nginx-light python3-requests man-db locales libgl1 openssh-server"
    " fontconfig dbus tzdata cron emacs-nox nodejs ruby ncdu libffi-dev supervisor"
)


@pytest.mark.nightly
@pytest.mark.parametrize("words", LISTS.values(), ids=LISTS)
def test_additions_to_real_lists_come_to_the_same_as_from_nothing(debian, words):
    def image(*words: str, options: tuple[str, ...] = ()) -> str:
        done = debian.build(DEBIAN, f"apt {' '.join(words)}", options=options)
        assert done.code == 0, (words, done.out + done.err)
        return done.image

    image(words)
    lock = Path(debian.folder / "web.env.lock")
    text = lock.read_text()
    for added in ADDITIONS.split():
        lock.write_text(text)
        assert image(words, added) == image(words, added, options=("--no-cache",)), added
        assert debian.command("run", "web", "--", "dpkg", "--audit").out == "", added

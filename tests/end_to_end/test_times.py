"""The times of files: what make, ninja and web servers go by, in trees and beside caches."""

from __future__ import annotations

import os
import shutil

import pytest

pytestmark = pytest.mark.namespaces

MAKE = "if [ ! -e out ] || [ in -nt out ]; then cp in out; echo made $(cat out); fi"
"""What make does, for a tree that has none."""
IN_CACHE = MAKE.replace("out", "/build/out")
MAKEFILE = "/out/prog: main.c part.h\n\tcat main.c part.h > $@; echo made\n"
NINJA = "rule join\n  command = cat $in > $out\nbuild /out/prog: join main.c part.h\n"


def mtimes(project, path: str) -> dict[str, str]:
    return {name: entry["mtime"] for name, entry in project.ls(path).items()}


def test_what_takes_the_place_of_another_file_is_made_again(project):
    project.write("dummy", "dummy")
    project.write("real", "one")
    lines = (
        "copy dummy -> /src/in",
        f"run cd /src; {MAKE}",
        "copy real -> /src/in",
        f"run cd /src; {MAKE}; cat out",
        f"run cd /src; {MAKE}; echo nothing to do",
    )
    assert project.build(*lines).printed == "made dummy\nmade one\none\nnothing to do\n"
    project.write("real", "two")
    assert project.build(*lines).printed == "made two\ntwo\nnothing to do\n"


def test_so_is_what_comes_where_a_step_took_the_dummy_away(project):
    project.write("real", "one")
    lines = (
        f"run mkdir /src; cd /src; echo dummy > in; {MAKE}; rm in",
        "copy real -> /src/in",
        f"run cd /src; {MAKE}",
        "run echo written > /src/in",
        f"run cd /src; {MAKE}",
        "file /src/in\n    by file",
        f"run cd /src; {MAKE}",
    )
    assert project.build(*lines).printed == "made dummy\nmade one\nmade written\nmade by file\n"


def test_the_same_bytes_are_no_news(project):
    project.write("in", "same")
    done = project.build("copy in -> /src/in", f"run cd /src; {MAKE}", "copy in -> /src/in", f"run cd /src; {MAKE}")
    assert done.printed == "made same\n"


def test_a_cache_is_behind_an_edit_and_the_image_does_not_depend_on_it(project, tmp_path):
    project.write("in", "one")
    lines = (
        "copy in -> /src/in",
        f"run(cache=/build) cd /src; {IN_CACHE}; cp /build/out /out; cp -p in /copy; sleep 1",
    )
    assert project.build(*lines).printed == "made one\n"
    assert project.build(options=("--no-cache",)).printed == ""
    project.write("in", "two")
    second = project.build(*lines)
    assert second.printed == "made two\n"
    project.write("in", "one")
    assert project.build(*lines, options=("--no-cache",)).printed == "made one\n"
    project.write("in", "two")
    assert project.build(*lines, options=("--no-cache",)).printed == "made two\n"
    fresh = type(project)(project.folder, tmp_path / "other").build(*lines, options=("--locked",))
    assert fresh.code == 0, fresh.err
    assert fresh.image == second.image


def test_a_step_that_did_not_make_it_leaves_it_to_a_later_one(project):
    """What changed is shown as changed until it changes again, and not to the first step alone."""
    make = "cd /src; if [ ! -e /build/{0} ] || [ {0} -nt /build/{0} ]; then cp {0} /build; echo {0}; fi; sleep 1"
    lines = (
        "copy a b -> /src/",
        f"run(cache=/build) {make.format('a')}",
        f"run(cache=/build) {make.format('b')}",
    )
    project.write("a", "1")
    project.write("b", "1")
    assert project.build(*lines).printed == "a\nb\n"
    project.write("b", "2")
    assert project.build(*lines).printed == "b\n"
    project.write("a", "2")
    assert project.build(*lines).printed == "a\n"


def test_a_killed_step_has_used_its_cache(project):
    project.write("in", "one")
    lines = ("copy in -> /src/in", f"run(cache=/build) cd /src; {IN_CACHE}; sleep 1; test ! -e /src/fail")
    project.build(*lines)
    project.write("in", "two")
    failing = ("copy in -> /src/in", "file /src/fail\n    x", lines[1])
    assert project.build(*failing).code == 1
    project.write("in", "one")
    assert project.build(*lines, options=("--no-cache",)).printed == "made one\n"


def test_an_emptied_cache_begins_anew(project):
    project.write("in", "one")
    lines = ("copy in -> /src/in", f"run(cache=/build) cd /src; {IN_CACHE}; stat -c %Y in")
    first = project.build(*lines).printed
    for name in os.listdir(f"{project.store}/caches"):
        shutil.rmtree(f"{project.store}/caches/{name}")
    assert project.build(options=("--no-cache",)).printed == first


def test_two_recipes_share_a_cache_only_by_its_id_and_it_belongs_to_the_user(project):
    look = "run(cache=/c{}) cat /c/* 2>/dev/null || true; stat -c %u:%a /c; echo {} > /c/f"
    assert project.build(look.format("", "a"), name="a.env").printed == "0:755\n"
    assert project.build(look.format("", "b"), name="b.env").printed == "0:755\n"
    shared = ", id=shared, uid=0, mode=0700"
    assert project.build(look.format(shared, "a"), name="a.env").printed == "0:700\n"
    assert project.build(look.format(shared, "b"), name="b.env").printed == "a\n0:700\n"
    wrong = project.build("run(id=x, cache=/c) true")
    assert wrong.code == 2
    assert "none stands before it" in wrong.out + wrong.err


@pytest.mark.user
def test_a_cache_of_another_user_can_be_written_by_it(project):
    done = project.build("adduser app uid=1000", "user app", "run(cache=/c) echo x > /c/f; stat -c %u:%g /c /c/f")
    assert done.code == 0, done.out + done.err
    assert done.printed in ("1000:1000\n1000:1000\n", "0:0\n0:0\n")  # the second with a single id


def test_check_and_verify_run_with_empty_caches_and_say_what_differs(project):
    lines = ("run(cache=/c) echo x >> /c/f; cp /c/f /f",)
    assert project.build(*lines).code == 0
    checked = project.build(*lines, options=("--check",))
    assert checked.code == 1
    assert "/f: content" in checked.out + checked.err
    assert project.build("run(cache=/c) echo x > /c/f; cp /c/f /f", options=("--check",)).code == 0
    assert project.command("verify", "web").code == 0


def test_changed_content_is_another_time_everywhere_the_same(project, tmp_path):
    """A web server's answer that nothing changed goes by the time and the size."""
    lines = (
        "copy site/ -> /srv/new/",
        "file /srv/old/index.html\n    release 0",
        "run mkdir /srv/made; cat /srv/new/index.html > /srv/made/index.html",
        "copy site/ -> /srv/old/",
    )
    seen, same = [], set()
    for number in range(1, 5):
        project.write("site/index.html", f"release {number}")
        project.write("site/same.html", "same")
        assert project.build(*lines).code == 0
        seen.append([mtimes(project, f"/srv/{place}")["index.html"] for place in ("new", "made", "old")])
        same.add(mtimes(project, "/srv/new")["same.html"])
    assert len(same) == 1
    for times in zip(*seen, strict=True):
        assert len(set(times)) == len(times)
    clone = tmp_path / "clone"
    shutil.copytree(project.folder, clone)
    again = type(project)(clone, tmp_path / "other")
    assert again.build(*lines).image == project.build(*lines).image


def test_what_is_copied_to_tmp_is_there_and_what_a_step_leaves_there_is_not(project):
    project.write("x", "hello")
    project.write("x.sh", "echo script")
    done = project.build(
        "copy x x.sh -> /tmp/",
        "file /var/tmp/y\n    text",
        "run stat -c %a /tmp; cat /tmp/x /var/tmp/y; echo left > /tmp/left; mkdir /tmp/d; rm /tmp/x.sh",
        "run ls /tmp",
    )
    assert done.code == 0, done.printed
    assert done.printed == "1777\nhello\ntext\nx\n"
    assert set(project.ls("/tmp")) == {"x"}
    for options in ((), ("--read-only",)):
        ran = project.command("run", *options, "web", "--", "/bin/sh", "-c", "cat /tmp/x; echo 1 > /tmp/new; ls /tmp")
        assert ran.out == "hello\nnew\nx\n"


@pytest.mark.mirror
@pytest.mark.nightly  # what the two go by is seen in all tests above, with MAKE
def test_make_and_ninja_by_both_ways(debian):
    """Real ones: sources that are replaced in the tree, and edited beside a cache."""
    debian.write("Makefile", MAKEFILE)
    debian.write("build.ninja", NINJA)
    debian.write("dummy", "dummy")
    debian.write("part.h", "part 1")
    head = ("apt make ninja-build", "copy Makefile build.ninja part.h -> /src/", "copy dummy -> /src/main.c")
    for tool in ("make -s", "ninja --quiet"):
        debian.write("main.c", "one")
        work = f"cd /src; {tool}; cat /out/prog"
        lines = (
            *head,
            f"run mkdir -p /out; {work}",
            "copy main.c -> /src/main.c",
            f"run {work}",
            "run cd /src; make -q && ninja -n" if tool == "make -s" else "run cd /src; ninja -n",
            f"run(cache=/out) {work}",
        )
        done = debian.build("from debian:bookworm", *lines)
        assert done.code == 0, done.printed
        debian.write("main.c", "two")
        done = debian.build("from debian:bookworm", *lines)
        assert "one" not in done.printed
        assert done.printed.count("two") == 2
        debian.write("part.h", "part 2")
        assert "part 1" not in debian.build("from debian:bookworm", *lines).printed
        debian.write("part.h", "part 1")

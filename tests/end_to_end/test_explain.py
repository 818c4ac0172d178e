"""Why a step ran, running one again, and running all twice: --explain, --rerun, --check."""

import re
import sqlite3

import pytest

from envbuild.build.explain import packages_changed
from envbuild.plan.key_parts import Input, Parts

pytestmark = pytest.mark.namespaces

RECIPE = (
    'param mode = "a"',
    "from tar:busybox.tar",
    "run echo one > /etc/os-release",
    "copy app/ -> /app/",
    "run echo $mode > /m",
    "run echo end > /end",
)


def two_files(project):
    """Makes an image with an application."""
    project.write("app/x.py", "1")
    project.write("app/y.py", "2")
    assert project.build(*RECIPE).code == 0


@pytest.fixture
def built(project, made_once, tmp_path):
    with made_once.again(project, two_files, tmp_path / "made"):
        yield project


def reasons(done) -> dict[str, list[str]]:
    """What was said of each statement that ran."""
    texts = {event["step"]: event["text"] for event in done.of("step-started")}
    return {texts[event["step"]]: event["reasons"] for event in done.of("step-explained")}


def explained(project, *lines, options=()):
    done = project.build(*lines, options=("--explain", *options))
    assert done.code == 0, done.err
    return reasons(done)


def test_a_first_build_says_that_nothing_ran_before(project):
    assert explained(project, "run echo 1 > /a") == {"run echo 1 > /a": ["it has not run before"]}


def test_a_changed_command_is_named_with_what_it_was(built):
    changed = [line.replace("echo one", "echo two") for line in RECIPE]
    changed_reasons = explained(built, *changed)
    assert changed_reasons["run echo two > /etc/os-release"] == [
        "command changed: echo one > /etc/os-release -> echo two > /etc/os-release"
    ]
    assert changed_reasons["copy app/ -> /app/"] == ["parent tree: /etc/os-release changed"]


def test_what_only_follows_a_changed_step_says_which(built):
    """Down to the steps after the next: each names the step that somebody changed, and all of them are one line."""
    changed = [line.replace("echo one", "echo two").replace("echo end", "echo the end") for line in RECIPE]
    built.write("web.env", *changed)
    done = built.command("build", "web.env", "--explain", "--progress", "plain")
    assert [line for line in done.err.splitlines() if "because" in line] == [
        "#2 because: command changed: echo one > /etc/os-release -> echo two > /etc/os-release",
        "#5 because: command changed: echo end > /end -> echo the end > /end",
        "#5 because: #2 came out differently",
        "#3..#4: because #2 came out differently",
    ]


def test_packages_are_explained_by_what_is_asked_for():
    def parts(wanted: tuple[str, ...], **packages: str) -> Parts:
        inputs = tuple(Input(f"{name} {version}", "", f"{name}{version}") for name, version in packages.items())
        return Parts("InstallPackages", (("manager", "apt"), ("wanted", wanted)), (), "t", inputs, 0)

    before = parts(("git", "make=4.*"), git="1", make="4.1", libgit="1", perl="5")
    assert packages_changed(before, before) == ""
    added = parts(
        ("git", "make=4.*", "curl"), git="1", make="4.1", libgit="1", perl="5", curl="7", libcurl="7", tls="3"
    )
    assert packages_changed(before, added) == "packages: +curl, and 2 that it needs"
    assert packages_changed(added, before) == "packages: -curl, 2 no longer needed"
    # Where a project's own lock says it, what differs there is named, once for all files of a package.
    lock = parts((), **{"own@1.0": "1.0", "g:a@1": "1", "g:a@1/pom": "1", "old@1": "1"})
    moved_there = parts((), **{"own@2.0": "2.0", "own@1.0": "1.0", "g:a@2": "2", "g:a@2/pom": "2", "new@1": "1"})
    assert packages_changed(lock, moved_there) == "packages: +new, -old, own 1.0 -> 1.0 and 2.0 and 1 more"
    moved = parts(("git", "make=4.*"), git="2", make="4.1", libgit="2", perl="5")
    assert packages_changed(before, moved) == "packages: git 1 -> 2, libgit 1 -> 2"


def test_copied_files_that_changed_came_or_went_are_named(built):
    built.write("app/x.py", "changed")
    built.write("app/z.py", "new")
    (built.folder / "app/y.py").unlink()
    changed = explained(built)
    assert changed["copy app/ -> /app/"] == [
        "copied file app/x.py changed",
        "copied file app/y.py is gone",
        "copied file app/z.py is new",
    ]


def test_parameters_and_variables_are_named(built):
    lines = [*RECIPE[:4], "env LEVEL=3", *RECIPE[4:]]
    changed = explained(built, *lines, options=("--set", "mode=b"))
    assert changed["run echo $mode > /m"] == ["environment variable LEVEL is new: 3", "parameter mode changed: a -> b"]


def test_options_are_named(built):
    lines = [*RECIPE[:5], "run(cache=/root/c, workdir=/etc) echo end > /end"]
    assert explained(built, *lines)["run(cache=/root/c, workdir=/etc) echo end > /end"] == [
        "working directory changed: / -> /etc",
        "cache=: /root/c is new",
    ]


def test_many_changed_paths_are_counted(built):
    for number in range(9):
        built.write(f"app/n{number}", str(number))
    changed = explained(built)["copy app/ -> /app/"]
    assert changed[0] == "copied file app/n0 is new"
    assert changed[-1] == "copied folder app/: and 4 more"


def test_a_result_that_gc_removed_is_told_apart_from_a_change(built):
    for tag in ("untag web:latest",):
        assert built.command(*tag.split()).code == 0
    (built.folder / "web.env.lock").unlink()
    assert built.command("gc").code == 0
    assert explained(built)["run echo end > /end"] == ["it has not run before"]


def test_cached_steps_are_not_explained(built):
    assert explained(built) == {}


def test_rerun_runs_one_step_and_keeps_the_later_ones_if_its_tree_is_the_same(built):
    done = built.build(options=("--rerun", "5", "--explain"))
    assert reasons(done) == {"run echo $mode > /m": ["it was asked for (--rerun)"]}
    assert done.cached[-1] == "run echo end > /end"


def test_rerun_goes_on_with_another_tree(built):
    lines = ("from tar:busybox.tar", "run", "    cat /proc/sys/kernel/random/uuid > /id", "run echo end > /end")
    assert built.build(*lines).code == 0
    # Any line of the statement names it.
    done = built.build(options=("--rerun", "3"))
    assert [text.split()[-1] for text in done.ran] == ["/id", "/end"]


def test_rerun_of_an_included_files_line(project):
    project.write("part.env", "run echo part > /part")
    assert project.build("include part.env", "run echo end > /end").code == 0
    assert project.build(options=("--rerun", "part.env:1")).ran == ["run echo part > /part"]


@pytest.mark.parametrize("line", ["1", "99", "x", "other.env:3"])
def test_rerun_of_a_line_without_a_step_names_the_lines_that_have_one(built, line):
    done = built.build(options=("--rerun", line))
    assert done.code == 2
    assert f"error: {line}: no step stands there" in done.err
    if not line.startswith("other"):
        assert "steps begin at the lines 3, 4, 5, 6" in done.err


def test_check_says_which_files_differ_and_how(project):
    done = project.build(
        "run cat /proc/sys/kernel/random/uuid > /id; echo same > /same; { echo a; cat /id; } > /second",
        "run head -c 9 /dev/urandom > /noise; printf '\\0' >> /noise",
        "run echo always > /always",
        options=("--check",),
    )
    assert done.code == 1
    assert re.search(r"/id: content\n\s+line 1\n\s+- [0-9a-f-]{36}\n\s+\+ [0-9a-f-]{36}\n", done.err)
    assert re.search(r"/second: content\n\s+line 2\n", done.err)
    assert re.search(r"/noise: content\n\s+from byte \d on\n", done.err)
    assert "/same:" not in done.err
    assert "/always:" not in done.err


def test_check_shows_modes_and_links_that_differ(project):
    done = project.build(
        "run d=$(cat /proc/sys/kernel/random/uuid); ln -s $d /link; touch /f-$d; mkdir /old",
        options=("--check",),
    )
    assert done.code == 1
    assert re.search(r"/link: target '[0-9a-f-]{36}' -> '[0-9a-f-]{36}'", done.err)
    assert re.search(r"/f-[0-9a-f-]{36}: only in the (first|second) run", done.err)


@pytest.mark.parametrize("number", [1, 2])
def test_a_store_of_an_earlier_format_is_brought_up_to_date(built, number):
    with sqlite3.connect(built.store / "store.db") as database:
        for index in ("history_by_tag", "history_by_image"):
            database.execute(f"DROP INDEX {index}")
        for table, column in (("tags", "immutable"), ("history", "detail"), ("steps", "used")):
            database.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        for table in ("projects", "network"):
            database.execute(f"DROP TABLE {table}")
        database.execute("UPDATE history SET reason = 'build web.env'")
        if number == 1:
            database.execute("DROP TABLE sources")
            for column in ("checked", "boot", "synced"):
                database.execute(f"ALTER TABLE stacks DROP COLUMN {column}")
        database.execute(f"PRAGMA user_version = {number}")
    database.close()
    changed = [line.replace("echo end", "echo other") for line in RECIPE]
    reasons = explained(built, *changed)["run echo other > /end"]
    assert reasons[0].startswith("it has not run before" if number == 1 else "command changed: ")
    assert built.command("fsck").code == 0
    assert "build web.env" in built.command("log", "web").out
    assert built.command("rollback", "web").code == 0

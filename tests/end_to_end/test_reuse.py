"""`build --trace`: steps that read nothing of what changed do not run again, and the image is that of `--no-cache`."""

from __future__ import annotations

import json
import sqlite3

import pytest

from tests.conftest import Done, Project, wait_for
from tests.processes import alive_with, end_with

pytestmark = pytest.mark.namespaces

TRACE = ("--trace",)


def reused(done: Done) -> list[str]:
    return [event["text"] for event in done.of("step-reused")]


def because(done: Done) -> dict[str, str]:
    """Why each step that ran did so, by its text."""
    texts = {event["step"]: event["text"] for event in done.of("step-started")}
    return {texts[event["step"]]: event["reasons"][0] for event in done.of("step-explained")}


def rebuilt(project: Project, *lines: str, options: tuple[str, ...] = TRACE) -> Done:
    """Builds a recipe, and once more without the cache: both have to give one image."""
    done = project.build(*lines, options=options)
    assert done.code == 0, done.out + done.err
    assert project.build(options=("--no-cache",)).image == done.image
    return done


EARLY = "file /etc/setting\n    {}"
STEPS = (
    "run cat /etc/setting > /copied",
    "run mkdir -p /made/deep && echo 1 > /made/deep/file",
    "run cp /made/deep/file /taken; ln -s taken /link; chmod 700 /made",
    "run test -e /not/there || echo missing > /answer.html",
    "test cat /taken",
)


def test_only_what_reads_an_edited_file_runs_again(project):
    project.build(EARLY.format("one"), *STEPS, options=TRACE)
    done = rebuilt(project, EARLY.format("other"), *STEPS)
    assert done.ran == [EARLY.format("other"), STEPS[0]]
    assert reused(done) == list(STEPS[1:])
    assert because(done) == {STEPS[0]: "it reads /etc/setting, whose content and time changed"}
    reason = done.of("step-reused")[0]["reason"]
    assert reason.startswith("none of the ")
    assert reason.endswith(" paths that it reads is among the 2 that changed")
    # It is on record by its key, too.
    assert project.build().ran == []


def test_what_runs_behind_an_early_step_has_the_times_of_a_build_without_a_cache(project):
    """The inserted step writes a file, so that all later ones write a second later."""
    project.build(*STEPS[1:], options=TRACE)
    done = rebuilt(project, "run echo early > /early", *STEPS[1:])
    assert STEPS[1] in reused(done)
    assert STEPS[3] in reused(done)
    assert because(done)[STEPS[2]] == "it reads /made/deep/file, whose time changed"


def test_what_was_looked_for_in_vain_is_a_read(project):
    project.build(*STEPS[1:], options=TRACE)
    done = rebuilt(project, "file /not/there\n    now it is", *STEPS[1:])
    assert because(done)[STEPS[3]] == "it looks for /not, which is there now"
    assert project.cat("/taken") == "1\n"


def test_so_are_names_in_a_directory_and_who_may_search_it(project):
    lists, searches = "run ls /list > /names", "run cat /list/deep/file > /content"
    before = "run mkdir -p /list/deep; echo 1 > /list/deep/file; {}; touch -d @9 /list"
    project.build(before.format("true"), lists, searches, options=TRACE)
    done = rebuilt(project, before.format("touch -d @7 /list/more"), lists, searches)
    assert because(done) == {lists: "it lists /list, in which 'more' is new"}
    done = rebuilt(project, before.format("chmod 700 /list/deep"), lists, searches)
    assert because(done)[searches] == "it reads /list/deep/file, and what /list/deep may be searched by changed"


def test_a_path_that_both_write_is_written_by_the_step(project):
    """It neither reads it nor asks whether it is there: the shell opens it for writing alone."""
    writes = "run echo same > /both"
    project.build("run echo same > /both; touch -d @5 /both", writes, options=TRACE)
    done = rebuilt(project, "run echo more > /both; touch -d @5 /both", writes)
    assert writes in done.ran
    assert "/both" in because(done)[writes]


def test_without_the_option_nothing_is_traced_or_reused(project):
    project.build(EARLY.format("one"), *STEPS, options=TRACE)
    assert project.build(EARLY.format("other"), *STEPS).ran == [EARLY.format("other"), *STEPS]
    project.build(EARLY.format("third"), *STEPS)
    assert STEPS[1] in project.build(EARLY.format("fourth"), *STEPS, options=TRACE).of("step-reused")[0]["text"]


def test_a_new_account_is_no_other_home(project):
    home = "run echo $HOME > /home.txt"
    project.build("run mkdir /srv", home, options=TRACE)
    assert home in reused(rebuilt(project, "adduser app", home))
    moved = "run sed -i s,/root,/srv, /etc/passwd"
    assert because(rebuilt(project, moved, home))[home] == "it would be started in another way on this tree"
    assert project.cat("/home.txt") == "/srv\n"


@pytest.mark.parametrize("damage", [b"", b"no record", None])
def test_a_damaged_record_counts_for_nothing(project, damage):
    project.build(EARLY.format("one"), STEPS[1], options=TRACE)
    database = sqlite3.connect(project.store / "store.db")
    with database:
        if damage is None:
            database.execute("UPDATE runs SET result = ?", ("0" * 64,))
        else:
            database.execute("UPDATE runs SET reads = ?", (damage,))
    database.close()
    assert reused(rebuilt(project, EARLY.format("other"), STEPS[1])) == []


def test_a_step_that_is_asked_for_runs(project):
    project.build(EARLY.format("one"), *STEPS, options=TRACE)
    done = project.build(EARLY.format("other"), *STEPS, options=(*TRACE, "--rerun", "5"))
    assert STEPS[1] in done.ran


def test_an_audit_runs_what_need_not_run_and_takes_its_word(project):
    """What a random number gives no record can know."""
    honest, random = STEPS[1], "run cat /proc/sys/kernel/random/uuid > /random"
    project.build(EARLY.format("one"), honest, random, options=TRACE)
    options = (*TRACE, "--audit", "100%")
    done = project.build(EARLY.format("other"), honest, random, options=options)
    assert done.code == 0
    assert reused(done) == []
    assert because(done)[honest].startswith("it is audited: none of the ")
    (warning,) = [event for event in done.of("notice") if event["level"] == "warning"]
    assert f"'{random}' did something else than its record said" in warning["message"]
    assert "/random: content" in warning["message"]
    done = project.build(EARLY.format("third"), honest, random, options=TRACE)
    assert reused(done) == [honest]
    assert "an audit failed" in because(done)[random]
    explained = project.command("explain", "web.env:5")
    assert "this does not count: an audit failed" in explained.out


def test_audit_needs_a_share_and_tracing(project):
    project.write("web.env", "from scratch")
    for words in (("--audit", "5%"), ("--trace", "--no-trace"), ("--trace", "--audit", "many")):
        done = project.command("build", *words)
        assert done.code == 2, words
        assert done.err.startswith("error: "), words


def test_explain_lists_what_a_step_reads(project):
    lines = ("file /etc/a\n    a", "run cat /etc/a /etc/b 2> /dev/null || ls /etc > /names")
    project.build(*lines, options=TRACE)
    plain = json.loads(project.command("explain", "web.env:4", "--format", "json").out)
    (step,) = plain
    assert (step["text"], step["traced"], step["untraceable"]) == (lines[1], True, "")
    reads = {read["path"]: read["what"] for read in step["reads"]}
    assert reads["/etc/a"] == ["content"]
    assert reads["/etc/b"] == ["absent"]
    assert "names" in reads["/etc"]
    assert "content     /etc/a" in project.command("explain", "4").out
    assert "it runs nothing" in project.command("explain", "2").out
    missing = project.command("explain", "9")
    assert (missing.code, "no step stands there" in missing.err) == (2, True)


def test_the_file_with_settings_has_what_took_long_traced(project):
    slow, fast = "run sleep 1.1; echo slow > /slow", "run echo fast > /fast"
    settings = project.write("cache.toml", 'trace = "auto"')
    variables = {"ENVBUILD_CACHE_FILE": str(settings)}
    for setting in ("one", "two"):
        # Nobody knows of the first run what it will take.
        assert reused(project.build(EARLY.format(setting), slow, fast, **variables)) == []
    done = project.build(EARLY.format("three"), slow, fast, **variables)
    assert (reused(done), done.ran[1:]) == ([slow], [fast])
    assert project.build(EARLY.format("four"), slow, fast, options=("--no-trace",), **variables).ran[1:] == [slow, fast]
    project.write("cache.toml", "trace = 7")
    done = project.command("build", **variables)
    assert (done.code, "trace is neither true nor false" in done.err) == (2, True)


def test_what_could_not_be_followed_is_not_traced_again_unless_it_is_asked_for(project):
    slow = "run sleep 1.1; cat /proc/self/cwd/etc/setting > /slow"
    variables = {"ENVBUILD_CACHE_FILE": str(project.write("cache.toml", 'trace = "auto"'))}

    def traced(*options: str) -> int:
        number = len(settings)
        settings.append(EARLY.format(number))
        done = project.build(settings[-1], slow, options=options, **variables)
        assert done.ran[-2:] == [settings[-1], slow]
        with sqlite3.connect(project.store / "store.db") as database:
            return database.execute("SELECT count(*) FROM runs").fetchone()[0]

    settings: list[str] = []
    assert [traced(), traced(), traced(), traced("--trace")] == [0, 1, 1, 2]


def test_steps_that_read_nothing_of_each_other_give_the_same_image_at_once(project):
    apart = "run mkdir -p /{0}; echo {0} > /{0}/made; cat /{0}/made > /{0}/copy"
    lines = [*(apart.format(name) for name in "abc"), "run cat /a/copy /b/copy /c/copy > /all.html"]
    project.build(*lines, options=TRACE)
    alone = project.build(options=("--no-cache", "-j", "1"))
    for jobs in ("1", "4"):
        done = project.build(options=("--no-cache", *TRACE, "--speculate", "-j", jobs))
        assert done.code == 0, done.err
        assert (done.image, done.ran, done.of("step-explained")) == (alone.image, lines, [])
    assert project.cat("/all.html") == "a\nb\nc\n"


def test_they_run_while_the_others_do(project, mark):
    lines = [f"run sleep {mark}{number} || echo woken > /{name}" for number, name in enumerate("ab")]
    project.write("web.env", "from tar:busybox.tar", *lines)

    def wake(*texts: str) -> None:
        for text in texts:
            assert wait_for(lambda text=text: alive_with(text))
        for text in texts:
            end_with(text)

    first = project.start("build", "--trace")
    wake(f"sleep\0{mark}0")
    wake(f"sleep\0{mark}1")
    assert first.wait() == 0
    both = project.start("build", "--trace", "--no-cache", "--speculate", "-j", "2")
    wake(f"sleep\0{mark}0", f"sleep\0{mark}1")
    assert both.wait() == 0
    assert project.cat("/a") == project.cat("/b") == "woken\n"


def test_a_build_that_fails_ends_what_runs_ahead(project, mark):
    first, second = "run [ ! -e /switch ]", f"run sleep {mark}7 || echo woken > /b"
    project.write("web.env", "from tar:busybox.tar", "run mkdir /a", first, second)
    build = project.start("build", "--trace")
    assert wait_for(lambda: alive_with(f"sleep\0{mark}7"))
    end_with(f"sleep\0{mark}7")
    assert build.wait() == 0
    project.write("web.env", "from tar:busybox.tar", "run mkdir /a; touch /switch", first, second)
    assert project.start("build", "--no-cache", "--trace", "--speculate", "-j", "2").wait() == 1
    assert not alive_with(f"sleep\0{mark}7")


def test_a_step_that_ran_ahead_wrongly_runs_again(project):
    """What the first step writes follows from a mount that is in no record: so the guess about the second is wrong."""
    first = "run [ -e /switch ] && echo other > /b/made; mkdir -p /a; true"
    second = "run cat /b/made > /copy"
    early = "run mkdir /b; echo one > /b/made"
    project.build(early, first, second, options=TRACE)
    lines = ("run mkdir /b; echo one > /b/made; touch /switch", first, second)
    done = project.build(*lines, options=("--no-cache", *TRACE, "--speculate", "-j", "4"))
    assert done.code == 0
    assert project.cat("/copy") == "other\n"
    assert because(done)[second] == "it ran ahead, but it reads /b/made, whose content and time changed"
    assert project.build(options=("--no-cache",)).image == done.image

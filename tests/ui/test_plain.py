"""A build as plain lines."""

from __future__ import annotations

import io

import pytest

from envbuild.build.events import Notice, StepExplained, StepOutput, StepProgress, StepReused
from envbuild.ui.plain import PlainDisplay

from .conftest import TREE, build_started, built, cached, failed, finished, started


@pytest.fixture
def show(clock):
    """Shows events, the clock moved by each number among them; the lines that come of it."""

    def show_events(*events, colour=False, closed=True):
        stream = io.StringIO()
        display = PlainDisplay(stream, colour, clock)
        for event in events:
            if isinstance(event, int | float):
                clock.now += event
            else:
                display(event)
        if closed:
            display.close()
        return stream.getvalue().splitlines()

    return show_events


def test_a_build(show):
    assert show(
        build_started(),
        cached(1, "from debian:bookworm as wheels", "wheels"),
        started(2, "run(network) pip wheel \\\n    -r /src/requirements.txt", "wheels"),
        0.52,
        StepOutput(2, b"Collecting flask\nCollec"),
        0.25,
        StepOutput(2, b"ting jinja2\n\nlast words"),
        finished(2),
        built(),
    ) == [
        "#1 cached [wheels] from debian:bookworm as wheels",
        "#2 [wheels] run(network) pip wheel -r /src/requirements.txt",
        "#2 0.52 Collecting flask",
        "#2 0.77 Collecting jinja2",
        "#2 0.77",
        "#2 0.77 last words",
        "#2 done 1.2s (+12 files, 3.4 MiB)",
        "web:latest = " + "0f" * 32 + " (1 run, 2 cached, 1.6s; web.env.lock written)",
    ]


@pytest.mark.parametrize(
    ("text", "message", "line", "carets"),
    [
        ("apt curl no-such=1 no", "apt can't resolve it:\nE: Unable to locate package no-such", 7, "         ^^^^^^^"),
        ("apt\n    curl\n\tno.such  # why", "E: Couldn't find any package 'no.such'.", 9, "    ^^^^^^^"),
        ("pip(into=/v) six", "ERROR: No matching distribution found for six==9", 7, "             ^^^"),
        ("npm(into=/n) @a/b@1", "npm error 404  '@a/b@1' is not in this registry.", 7, "             ^^^^"),
        ("apt curl", "E: Release file has expired", 0, ""),
        ("run curl", "curl failed", 0, ""),
    ],
)
def test_the_package_that_is_not_to_be_had_is_marked(show, text, message, line, carets):
    lines = show(build_started(), failed(2, text, message=message, status=0))
    marked = [(lines[number - 1], below) for number, below in enumerate(lines) if "^" in below]
    assert [(above.split(" |")[0].strip(), below) for above, below in marked] == (
        [(str(line), f"  | {carets}")] if line else []
    )


@pytest.mark.parametrize(
    ("text", "marked", "status", "line", "carets"),
    [
        ("pip(into=/v) .", ".", 1, 7, "             ^"),
        ("pip(into=/v)\n\t./sub[x] six", "./sub[x]", 1, 8, "    ^^^^^^^^"),
        ("pip(into=/v) -r a.txt", "a.txt", 0, 7, "                ^^^^^"),
        ("pip(into=/v) six -r a.txt", "a.txt", 0, 7, "             ^^^"),
        ("pip(into=/pip) -r a.txt", "", 0, 0, ""),
    ],
)
def test_a_project_or_a_file_that_it_is_about_is_marked(show, text, marked, status, line, carets):
    message = "pip can't resolve it: no six"
    lines = show(build_started(), failed(2, text, message=message, status=status, marked=marked))
    below = [(number, row) for number, row in enumerate(lines) if "^" in row]
    assert [row for _, row in below] == ([f"  | {carets}"] if line else [])
    assert [lines[number - 1].split(" |")[0].strip() for number, _ in below] == ([str(line)] if line else [])


def test_a_step_that_need_not_run_has_its_reason_below(show):
    event = StepReused(4, "web", "wheels", "run make", "web.env", 7, TREE, "none of /\x1b[31mred is new")
    assert show(build_started(), event) == ["#4 reused [wheels] run make", "#4 because none of /\\x1b[31mred is new"]


def test_a_step_is_explained_in_lines_of_its_own(show):
    reasons = ("command changed: make -> make all", "parent tree: /etc/\x1b[31mred changed")
    assert show(build_started(), started(2, "run make all"), StepExplained(2, reasons, reasons))[1:] == [
        "#2 because: command changed: make -> make all",
        "#2 because: parent tree: /etc/\\x1b[31mred changed",
    ]


@pytest.mark.parametrize("end", [built(), failed(9, "run x", status=1)], ids=["done", "failed"])
def test_a_cause_is_said_once_and_what_follows_it_in_one_line(show, end):
    tree = ("parent tree: /usr/bin/curl is new",)
    lines = show(
        build_started(),
        StepExplained(2, ("packages: curl is new",), ("packages: +curl",)),
        *(StepExplained(step, tree, (), 2) for step in (3, 4, 7, 5)),
        StepExplained(6, ("command changed: a -> b", *tree), ("command changed: a -> b",), 2),
        StepExplained(8, tree, (), 6),
        end,
    )
    assert lines[:5] == [
        "#2 because: packages: +curl",
        "#6 because: command changed: a -> b",
        "#6 because: #2 came out differently",
        "#3..#5, #7: because #2 came out differently",
        "#8: because #6 came out differently",
    ]


def test_nothing_to_do(show):
    lines = show(build_started(), cached(1, "from scratch"), built(0, 1, "unchanged"))
    assert lines[-1].endswith("(all 1 cached, 1.6s; web.env.lock unchanged)")


def test_steps_that_run_at_the_same_time_keep_their_own_lines(show):
    assert show(
        started(1, "run a"),
        started(2, "run b"),
        StepOutput(1, b"one "),
        StepOutput(2, b"two "),
        StepOutput(1, b"line\n"),
        StepOutput(2, b"lines\n"),
        finished(1, 0.01, 0, 0),
    ) == [
        "#1 [1] run a",
        "#2 [1] run b",
        "#1 0.00 one line",
        "#2 0.00 two lines",
        "#1 done 10ms (nothing changed)",
    ]


def test_a_failure_says_what_where_and_how_to_look_inside(show):
    assert show(
        build_started(),
        started(3, "run\n\tmake all\n\tmake test", "wheels"),
        StepOutput(3, b"cc: not found"),
        failed(3, "run\n\tmake all\n\tmake test", output=b"\x1b[31mcc: not found\x1b[0m\n\n"),
    )[1:] == [
        "#3 0.00 cc: not found",
        "#3 failed 3.2s",
        "error: the command failed: exit status 2",
        " --> web.env:7, in [wheels], after 3.2s",
        "  |",
        "7 | run",
        "8 |     make all",
        "9 |     make test",
        "  |",
        "its last output:",
        "  | cc: not found",
        "to look inside: envbuild shell --failed",
    ]


def test_a_failure_without_a_command_or_a_way_in(show):
    event = failed(3, "copy a -> b", message="a: no such file", status=0, way_in="")
    assert show(event) == [
        "#3 failed 3.2s",
        "error: a: no such file",
        " --> web.env:7, in [wheels], after 3.2s",
        "  |",
        "7 | copy a -> b",
        "  |",
    ]


def test_a_status_that_the_message_tells_is_not_told_twice(show):
    lines = show(failed(3, "run x", message="it was ended by SIGKILL", status=137))
    assert "error: it was ended by SIGKILL" in lines


def test_only_the_end_of_long_output_and_of_long_statements_is_repeated(show):
    output = b"".join(b"line %d\n" % number for number in range(100))
    lines = show(failed(3, "run\n" + "\n".join(f"    c{n}" for n in range(30)), output=output))
    assert "7 | run" in lines[4].strip()
    assert [line for line in lines if "c6" in line]
    assert not [line for line in lines if "c7" in line]
    assert lines[-21].endswith("line 80")


def test_a_step_of_another_recipe_says_so(show):
    assert show(build_started("web"), build_started("base"), started(1, "run x", "1", "base")) == ["#1 [base/1] run x"]


def test_notices(show):
    assert show(Notice("warning", "owners are not kept", "see /etc/subuid"), Notice("note", "ok")) == [
        "warning: owners are not kept",
        "hint: see /etc/subuid",
        "note: ok",
    ]


def test_progress_is_told_now_and_then(show):
    lines = show(
        started(1, "fetch https://host/a -> /a"),
        StepProgress(1, 10, 0, "bytes"),
        6,
        StepProgress(1, 2 << 20, 4 << 20, "bytes"),
        StepProgress(1, 3 << 20, 4 << 20, "bytes"),
    )
    assert lines[1:] == ["#1 6.00 2.0 MiB of 4.0 MiB"]


def test_what_was_written_before_an_interruption_is_shown_once(show, clock):
    assert show(started(1, "run x"), StepOutput(1, b"Continue? [y/n]"))[1:] == ["#1 0.00 Continue? [y/n]"]


def test_colour_only_when_asked_for(show):
    events = (build_started(), cached(1, "from x"), failed(2, "run \x1b[31mx\u202e"), built())
    assert "\x1b" not in "".join(show(*events))
    assert "\x1b[1;31merror:\x1b[0m" in "".join(show(*events, colour=True))


def test_nothing_a_step_says_can_forge_a_line_of_another(show):
    lines = show(started(1, "run x"), StepOutput(1, b"ok\x1b[2K\r#2 done 0.1s\n"))
    assert lines[1] == "#1 0.00 #2 done 0.1s"


def test_a_stream_that_lacks_a_character_gets_an_escape():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, "ascii")
    PlainDisplay(stream)(started(1, "run echo é"))
    assert raw.getvalue() == b"#1 [1] run echo \\xe9\n"


def test_a_reader_that_went_away_does_not_end_the_build():
    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    display = PlainDisplay(Gone())
    display(started(1, "run x"))
    display(finished(1))
    assert isinstance(display.lost, BrokenPipeError)


def test_what_a_step_removed_is_said(show):
    def ended(files: int, size: int, removed: int, freed: int) -> str:
        return show(started(1, "run rm"), finished(1, 0.01, files, size).replace(removed=removed, freed=freed))[-1]

    assert ended(0, 0, 3, 33_300_000) == "#1 done 10ms (-3 files, 31.8 MiB)"
    assert ended(1, 0, 1, 2) == "#1 done 10ms (-1 file, 2 B)"
    assert ended(2, 5, 1, 2) == "#1 done 10ms (+2 files, 5 B; -1 file, 2 B)"

"""The live display, on a real pseudo-terminal."""

from __future__ import annotations

import io
import threading
import time

import pytest

from envbuild.build.events import Notice, StepOutput, StepProgress
from envbuild.text.width import columns
from envbuild.ui.live_model import Board, two_sided
from envbuild.ui.select_display import display
from envbuild.ui.terminal import TerminalDisplay, is_importing
from tests.conftest import wait_for
from tests.imports import imported

from .conftest import build_started, built, cached, failed, finished, started

SUMMARY = "web:latest = 0f0f0f0f0f0f (1 run, 2 cached, 1.6s; web.env.lock written)"


@pytest.fixture(autouse=True)
def _a_terminal_that_moves_its_cursor(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")


def test_a_running_step_is_drawn_with_its_last_lines_and_then_leaves_one(terminal):
    screen = terminal()
    with display("auto", screen.stream, True) as show:
        show(build_started(steps=3))
        show(cached(1, "from debian:bookworm"))
        show(cached(2, "apt gcc"))
        show(started(3, "run make all", "wheels"))
        show(StepOutput(3, b"".join(b"cc %d.c\n" % number for number in range(9)) + b"linking"))
        lines = screen.wait_for("1 running")
        assert lines[0] == "  2 steps cached"
        assert "#3 [wheels] run make all" in lines[1]
        assert [line.strip() for line in lines[2:7]] == ["cc 5.c", "cc 6.c", "cc 7.c", "cc 8.c", "linking"]
        assert lines[7].startswith("web: 2 of 3 steps, 1 running, 2 cached")
        assert not screen.cursor_shown
        show(finished(3))
        show(built())
    lines = screen.shown
    assert [line.split("  ")[0] for line in lines] == [
        "",
        "✓ #3 [wheels] run make all 1.2s (+12 files, 3.4 MiB)",
        SUMMARY,
    ]
    assert screen.cursor_shown


def test_a_short_build_never_imports_rich():
    assert imported("display", "rich", "json", "dataclasses", "subprocess", "logging", "inspect") == set()


def test_nothing_to_do_is_one_line(terminal):
    screen = terminal()
    with display("auto", screen.stream, True) as show:
        show(build_started())
        show(cached(1, "from x"))
        show(built(0, 1, "unchanged"))
    assert screen.shown == ["web:latest = 0f0f0f0f0f0f (all 1 cached, 1.6s; web.env.lock unchanged)"]
    assert "\x1b" not in screen.raw


def test_several_steps_at_once_and_what_stays_scrolls_up(terminal):
    screen = terminal()
    with TerminalDisplay(screen.stream) as show:
        show(build_started(steps=0))
        show(started(1, "run a"))
        show(started(2, "fetch https://host/b -> /b", "other"))
        show(StepProgress(2, 2 << 20, 4 << 20, "bytes"))
        lines = screen.wait_for("2 running")
        assert "2.0 MiB/4.0 MiB" in lines[1]
        show(finished(1))
        show(cached(3, "workdir /srv"))
        show(Notice("warning", "owners are not kept", "see /etc/subuid"))
        lines = screen.wait_for("1 running")
        assert lines[:4] == [
            "✓ #1 [1] run a 1.2s (+12 files, 3.4 MiB)",
            "  #3 [1] workdir /srv cached",
            "warning: owners are not kept",
            "hint: see /etc/subuid",
        ]
        assert "#2 [other] fetch" in lines[4]
    assert screen.shown == lines[:4]


def test_a_failure_stays_and_the_terminal_is_clean(terminal):
    screen = terminal(columns=60)
    with display("auto", screen.stream, True, colour=True) as show:
        show(build_started())
        show(started(1, "run make", "wheels"))
        screen.wait_for("1 running")
        show(failed(1, "run make", output=b"make: \x1b[31mno\x1b[0m rule " + b"x" * 80 + b"\n"))
    lines = screen.shown
    assert lines[0] == "✗ #1 [wheels] run make failed"
    assert lines[1] == "error: the command failed: exit status 2"
    assert lines[-1] == "to look inside: envbuild shell --failed"
    assert "x" * 80 in "".join(line.strip() for line in lines)
    assert "\x1b[1;31merror:" in screen.raw
    assert screen.cursor_shown


def test_an_interruption_leaves_the_terminal_clean(terminal):
    screen = terminal()

    def build() -> None:
        with display("auto", screen.stream, True) as show:
            show(build_started())
            show(started(1, "run sleep 100"))
            screen.wait_for("1 running")
            assert not screen.cursor_shown
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build()
    assert wait_for(lambda: screen.shown == [])
    assert screen.cursor_shown


def test_a_narrower_terminal_leaves_nothing_of_the_old_frame_behind(terminal):
    screen = terminal(columns=100)
    with TerminalDisplay(screen.stream) as show:
        show(build_started())
        show(cached(1, "from x"))
        show(started(2, "run " + "make " * 40))
        show(StepOutput(2, b"y" * 90 + b"\n"))
        screen.wait_for("yyy")
        screen.resize(40, 24)
        assert wait_for(lambda: len(screen.shown) == 4 and all(len(line) < 40 for line in screen.shown)), screen.shown
        assert screen.shown[0] == "  1 step cached"
        screen.resize(120, 24)
        screen.wait_for("y" * 86)
        show(finished(2))
    assert len(screen.shown) == 2
    assert screen.shown[1].endswith("… 1.2s (+12 files, 3.4 MiB)")


def test_events_from_many_threads_leave_each_line_whole(terminal):
    screen = terminal(rows=10)
    with TerminalDisplay(screen.stream) as show:
        show(build_started(steps=80))

        def work(first: int) -> None:
            for step in range(first, first + 10):
                show(started(step, f"run work {step}"))
                show(StepOutput(step, b"working\n" * 20))
                time.sleep(0.02)
                show(finished(step))

        threads = [threading.Thread(target=work, args=(10 * number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            assert screen.shown is not None  # reads, so that the terminal's buffer never fills
            time.sleep(0.01)
    expected = {f"✓ #{step} [1] run work {step} 1.2s (+12 files, 3.4 MiB)" for step in range(80)}
    assert set(screen.shown) == expected
    assert len(screen.shown) == 80


def test_a_terminal_that_is_closed_does_not_end_the_build(terminal):
    screen = terminal()
    with TerminalDisplay(screen.stream) as show:
        show(started(1, "run x"))
        screen.wait_for("1 running")
        screen.hang_up()
        show(finished(1))
        assert wait_for(lambda: show.lost is not None)
        show(built())
    assert isinstance(show.lost, OSError)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (5, 2), (20, 3), (80, 6), (80, 0), (0, 5)])
def test_a_frame_fits_whatever_the_terminal(width, height):
    board = Board(0)
    board.recipe = "web"
    for step in range(7):
        board.start(started(step, "run " + "日本" * 60), 0)
        board.hear(StepOutput(step, b"\tout\xe2\x9c\x93put " * 30 + b"\n"))
    frame = board.frame(width, height, 1.0)
    assert len(frame) <= height
    assert all(columns(line) <= width for line, _ in frame)
    if height >= 3 and width >= 80:
        assert "7 running" in frame[-1][0]
        assert "(3 not shown)" in frame[-1][0]


def test_the_right_side_stays_while_there_is_room():
    assert two_sided("a" * 50, "1.2s", 30) == "a" * 24 + "… 1.2s"
    assert two_sided("abcdefgh", "1.2s", 8) == "abcdefgh"


def test_a_terminal_without_unicode_gets_plain_marks():
    raw = io.BytesIO()
    with TerminalDisplay(io.TextIOWrapper(raw, "ascii")) as show:
        show(started(1, "run echo é"))
        show(finished(1))
        show(failed(2, "run x", way_in=""))
    lines = raw.getvalue().decode("ascii").splitlines()
    assert lines[0] == "+ #1 [1] run echo \\xe9 1.2s (+12 files, 3.4 MiB)"
    assert lines[1] == "! #2 failed"


def test_no_frame_is_drawn_while_a_module_is_half_loaded(tmp_path, monkeypatch):
    """Drawing begins with the import of rich, which may need the very module."""
    (tmp_path / "half_loaded.py").write_text("import sys\nframe = sys._getframe()\n")
    monkeypatch.syspath_prepend(tmp_path)
    import half_loaded

    assert is_importing(half_loaded.frame)
    assert not is_importing(None)

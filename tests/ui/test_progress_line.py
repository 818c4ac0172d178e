"""The line of a long command."""

from __future__ import annotations

from envbuild.ui import progress_line
from envbuild.ui.progress_line import ProgressLine


def test_a_long_command_has_a_line_that_goes(terminal, monkeypatch):
    monkeypatch.setattr(progress_line, "DELAY", 0.0)
    monkeypatch.setattr(progress_line, "INTERVAL", 0.0)
    screen = terminal()
    with ProgressLine(screen.stream, shown=True) as line:
        line("files", 1, 4)
        assert screen.shown == ["files [######                  ]  25%"]
        line("files", 4, 4)
        assert screen.shown == ["files [########################] 100%"]
    assert screen.shown == []


def test_a_short_command_and_a_file_get_nothing(terminal, monkeypatch):
    screen = terminal()
    with ProgressLine(screen.stream, shown=True) as line:
        line("files", 1, 4)
    monkeypatch.setattr(progress_line, "DELAY", 0.0)
    with ProgressLine(screen.stream, shown=False) as line:
        line("files", 1, 4)
    assert screen.raw == ""


def test_nothing_to_do_divides_by_nothing(terminal, monkeypatch):
    monkeypatch.setattr(progress_line, "DELAY", 0.0)
    screen = terminal()
    with ProgressLine(screen.stream, shown=True) as line:
        line("layers", 0, 0)
        assert screen.shown == ["layers [                        ]   0%"]

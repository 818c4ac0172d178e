"""Which display a command gets."""

from __future__ import annotations

import io
import threading
import time

import pytest

from envbuild.ui.events_json import JsonDisplay
from envbuild.ui.plain import PlainDisplay
from envbuild.ui.select_display import display
from envbuild.ui.terminal import TerminalDisplay

from .conftest import finished, started


@pytest.mark.parametrize(
    ("mode", "is_terminal", "kind"),
    [
        ("auto", True, TerminalDisplay),
        ("auto", False, PlainDisplay),
        ("plain", True, PlainDisplay),
        ("json", True, JsonDisplay),
    ],
)
def test_the_display_for_a_mode(mode, is_terminal, kind):
    with display(mode, io.StringIO(), is_terminal) as chosen:
        assert type(chosen) is kind
    chosen.close()


def test_there_is_no_other_mode():
    with pytest.raises(ValueError, match="auto, plain, json"):
        display("fancy", io.StringIO(), True)


class OneAtATime(io.StringIO):
    """Counts how many threads were in a write at once."""

    inside = most = 0

    def write(self, text: str) -> int:
        self.inside += 1
        self.most = max(self.most, self.inside)
        time.sleep(0.001)
        self.inside -= 1
        return super().write(text)


@pytest.mark.parametrize(("mode", "is_terminal"), [("auto", True), ("plain", False), ("json", False)])
def test_events_of_several_threads_are_shown_one_after_the_other(mode, is_terminal):
    stream = OneAtATime()
    with display(mode, stream, is_terminal) as show:

        def work(step: int) -> None:
            for _ in range(5):
                show(started(step, "run x"))
                show(finished(step))

        threads = [threading.Thread(target=work, args=(step,)) for step in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert stream.most == 1
    assert stream.getvalue().count("12") >= 30

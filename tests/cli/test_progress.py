"""Commands that read the whole store draw a line meanwhile, on a terminal alone."""

from __future__ import annotations

import io
import json

import pytest

from envbuild.cli.environment import Environment
from envbuild.cli.main import _dispatch
from envbuild.ui import progress_line
from tests.in_namespace import run_inside

pytestmark = [pytest.mark.namespaces]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines_of(words: list[str], store: str, stream: io.StringIO) -> str:
    """What a command draws into its standard error, with a delay of nothing."""
    progress_line.DELAY = progress_line.INTERVAL = 0.0
    out = io.StringIO()
    environment = Environment({"ENVBUILD_STORE": store, "TERM": "xterm"}, io.StringIO(), out, stream)
    assert _dispatch(words, environment) == 0
    assert json.loads(out.getvalue())
    return stream.getvalue()


@pytest.mark.parametrize(
    ("words", "drawn"),
    [
        (["gc"], ("directories", "layers", "files")),
        (["du"], ("objects", "layers", "images")),
        (["fsck"], ("directories", "files", "layers")),
    ],
)
def test_a_line_is_drawn_on_a_terminal_and_taken_away(project, words, drawn):
    assert project.build("run echo 1 > /a").code == 0

    def body() -> None:
        text = lines_of([*words, "--format", "json"], str(project.store), Terminal())
        for what in drawn:
            assert f"\r\x1b[K{what} [" in text, (what, text)
        assert text.endswith("\r\x1b[K")

    run_inside(body)


def test_nothing_is_drawn_into_a_file(project):
    assert project.build("run echo 1 > /a").code == 0

    def body() -> None:
        for words in (["gc"], ["du"], ["fsck"]):
            assert lines_of([*words, "--format", "json"], str(project.store), io.StringIO()) == ""

    run_inside(body)

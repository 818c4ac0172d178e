"""A reader that goes away ends the output; any other pipe that breaks is a fault."""

from __future__ import annotations

import subprocess
import sys

from envbuild.cli import main


def test_a_pipe_that_breaks_inside_is_no_success(monkeypatch, tmp_path):
    monkeypatch.setenv("ENVBUILD_STORE", str(tmp_path / "store"))

    def breaks(words, environment):
        raise BrokenPipeError

    monkeypatch.setattr(main, "_dispatch", breaks)
    assert main.run(["images"]) == 70


def test_a_reader_that_went_away_is_no_failure(tmp_path):
    script = f"{sys.executable} -m envbuild --help 2>errors | true; echo ${{PIPESTATUS[0]}}"
    for _ in range(5):
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path)
        assert done.stdout == "0\n"
        assert (tmp_path / "errors").read_text() == ""

"""Events for programs: what the code writes is what docs/events.md says."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path
from typing import get_args

import pytest

from envbuild.build.events import Event, Notice, StepOutput
from envbuild.ui.events_json import JsonDisplay, encode, event_name

from .conftest import build_started, built, failed

PAGE = (Path(__file__).parents[2] / "docs" / "events.md").read_text()
SECTIONS = dict(re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE))
KINDS = {event_name(kind): kind for kind in get_args(Event)}


def test_every_event_has_its_section_and_no_other():
    assert list(SECTIONS) == list(KINDS)


@pytest.mark.parametrize("name", KINDS)
def test_the_fields_are_those_of_the_page(name):
    rows = re.findall(r"^\| `(\w+)`(?: or `\w+_base64`)? \|", SECTIONS[name], re.MULTILINE)
    schema = ["schema"] if name == "build-started" else []
    assert rows == schema + list(KINDS[name].__match_args__)


@pytest.mark.parametrize("name", KINDS)
def test_the_example_is_what_the_code_writes(name):
    example = re.search(r"```json\n(.*)\n```", SECTIONS[name])[1]
    fields = json.loads(example)
    values = {
        field: tuple(value) if isinstance(value, list) else value.encode() if field in ("data", "output") else value
        for field, value in fields.items()
        if field not in ("event", "time", "schema")
    }
    assert encode(KINDS[name](**values), fields["time"]) == example


def test_one_line_an_event_with_its_time(clock):
    stream = io.StringIO()
    with JsonDisplay(stream, clock) as display:
        display(build_started())
        clock.now += 1.5
        display(built())
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert (first["event"], first["time"]) == ("build-started", 0)
    assert (second["event"], second["time"], second["tags"]) == ("build-finished", 1.5, ["web:latest"])


def test_bytes_come_through_whatever_they_are():
    chunks = [b"caf\xc3", b"\xa9\x1b[31m\n", b"\x00\xff"]
    joined = b""
    for chunk in chunks:
        fields = json.loads(encode(StepOutput(1, chunk), 0))
        assert ("data" in fields) != ("data_base64" in fields)
        joined += fields["data"].encode() if "data" in fields else base64.b64decode(fields["data_base64"])
    assert joined == b"".join(chunks)
    assert "output_base64" in json.loads(encode(failed(1, "run x", output=b"\xff"), 0))


def test_a_line_is_ascii_without_control_characters_and_valid_for_strict_readers():
    line = encode(Notice("note", "\x1b\x7f\x9b\n\u202e caf\udce9"), 0)
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["message"] == "\x1b\x7f\x9b\n\u202e caf\\udce9"

"""What a mark says: which lines and arms of branches were reached, in whatever process."""

from __future__ import annotations

import ast
import marshal
import os
import signal
from pathlib import Path

import pytest

from tests import measured

SOURCE = '''"""Text."""
from __future__ import annotations

class Kind:
    """Text."""

    name = 1

def called(value):
    global last
    if value:
        last = 1
    for _ in value:
        break
    match value:
        case [1]:
            return "one"
        case str() as text if text:
            return text
    while True:
        return "other"

def never():
    if value: ...
    try:
        return 1
    except ValueError:
        raise NotImplementedError
'''


def reached(*calls: object) -> tuple[list[measured.Mark], list[measured.Mark]]:
    """Returns the marks of SOURCE that are reached when it is executed and called with these values, and the rest."""
    marking = measured.Marking(SOURCE)
    code = compile(marking.module(ast.parse(SOURCE)), "source", "exec", dont_inherit=True)
    hits = bytearray(len(marking.marks))
    names: dict = {measured.NAME: hits}
    exec(code, names)
    for value in calls:
        names["called"](value)
    return tuple(
        sorted(mark for marks, hit in zip(marking.marks, hits, strict=True) if hit is want for mark in marks)
        for want in (1, 0)
    )


def test_statements_and_arms():
    hit, rest = reached()
    assert hit == [(4, 0), (7, 0), (9, 0), (23, 0)]
    hit, rest = reached([1])
    # Both arms of `if`, of `for`, and the three of `match`: a pattern that is none of the two is one.
    assert {mark for mark in hit if mark[1]} == {(11, 1), (13, 1), (16, 1)}
    assert {mark for mark in rest if mark[1]} == {(11, 2), (13, 2), (18, 1), (15, 1), (20, 1)}
    assert {line for line, arm in hit if not arm} == {4, 7, 9, 11, 12, 13, 14, 15, 17, 23}
    hit, rest = reached([1], "", "x")
    assert {mark for mark in rest if mark[1]} == set()
    # What is excluded has no mark.
    assert [line for line, _ in rest] == [25, 26]


def test_statements_that_follow_one_another_have_one_mark():
    lines = ["def called():", "    first = 1", "    first += 1", "    return first"]
    marking = measured.Marking("\n".join(lines), begin=7)
    code = compile(marking.module(ast.parse("\n".join(lines))), "source", "exec", dont_inherit=True)
    assert marking.marks == [((2, 0), (3, 0), (4, 0)), ((1, 0),)]
    names: dict = {measured.NAME: (hits := bytearray(9))}
    exec(code, names)
    assert list(hits[7:]) == [0, 1]
    assert names["called"]() == 2
    assert list(hits[7:]) == [1, 1]


def test_what_a_child_reached_counts_however_it_ends(tmp_path: Path):
    (tmp_path / "reached").write_bytes(bytes(9))
    before = os.listdir("/proc/self/fd")
    marks = measured.Measured(tmp_path).shared()
    assert os.listdir("/proc/self/fd") == before
    pid = os.fork()
    if pid == 0:
        marks[3] = 1
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    assert list((tmp_path / "reached").read_bytes()) == [0, 0, 0, 1, 0, 0, 0, 0, 0]


def test_modules_are_marked_and_counted_by_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    # CI's run marks all of them.
    some = [path for path in measured.modules() if path.parent.name in ("archive", "ui")]
    monkeypatch.setattr(measured, "modules", lambda: some)
    measured.Measured(tmp_path).make()
    marks = marshal.loads((tmp_path / "marks").read_bytes())
    reached = [b"\1" if "/archive/" in path else b"\0" for path, some in marks.items() for _ in some]
    (tmp_path / "reached").write_bytes(b"".join(reached))
    measured.report(tmp_path)
    rows = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert rows["archive"].split()[1] == "100.0"
    assert rows["ui"].split()[1] == "0.0"
    assert 20 < float(rows["total"].split()[1]) < 80
    assert "ui/plain.py:" in (tmp_path / "missing").read_text()

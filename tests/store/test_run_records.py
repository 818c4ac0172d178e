"""What is known of runs of steps: kept by statement, a few of each, and no longer than their trees."""

from __future__ import annotations

import sqlite3

import pytest

from envbuild.store.database import StoreDamaged
from envbuild.store.gc import collect
from envbuild.store.images import Image
from envbuild.store.reachability import Pins
from envbuild.store.run_records import MAX_KEPT, MAX_RECORD, RunRecord
from envbuild.store.store import Store
from envbuild.tree.entry import EMPTY_CONTENT
from envbuild.tree.rebase import Touched
from tests.tree.builders import tree

TOUCHED = Touched((b"a", b"\xff\n"), (b"d",), (b".",), (), 17, True, True)


@pytest.fixture
def store(tmp_path):
    with Store.open(str(tmp_path / "store")) as store:
        yield store


def a_run(store: Store, name: bytes, reads: bytes = b"reads") -> RunRecord:
    parent, result = tree(store.trees, {name: b""}), tree(store.trees, {name: b"", b"made": b""})
    return RunRecord(parent, result, EMPTY_CONTENT, 1.5, True, TOUCHED, reads)


def test_a_run_comes_back_as_it_was_kept(store):
    run = a_run(store, b"a")
    store.runs.put("statement", run)
    assert store.runs.of("statement") == [run]
    assert store.runs.of("another") == []


def test_the_last_runs_of_a_statement_are_kept_the_last_one_first(store):
    runs = [a_run(store, b"%d" % number) for number in range(MAX_KEPT + 2)]
    for run in runs:
        store.runs.put("statement", run)
    assert store.runs.of("statement") == runs[:1:-1]
    store.runs.put("statement", runs[4].replace(seconds=2.0))
    assert store.runs.of("statement")[0] == runs[4].replace(seconds=2.0)


def test_what_is_too_large_is_not_kept(store):
    store.runs.put("statement", a_run(store, b"a", b"x" * MAX_RECORD))
    assert store.runs.of("statement") == []


def test_a_command_that_failed_an_audit_stays_distrusted(store):
    assert store.runs.distrusted("command") == ""
    store.runs.distrust("command", "it gave something else")
    assert store.runs.distrusted("command") == "it gave something else"


def test_gc_keeps_the_runs_whose_trees_are_needed(store):
    kept, gone = a_run(store, b"kept"), a_run(store, b"gone")
    for run in (kept, gone):
        store.runs.put("statement", run)
        store.images.put(Image("1" * 64, run.result, "{}", "{}", 1.0)) if run is kept else None
    store.images.put(Image("2" * 64, kept.parent, "{}", "{}", 1.0))
    store.tags.move([("web", "1")], "1" * 64, "test")
    store.tags.move([("web", "2")], "2" * 64, "test")
    collect(store, Pins)
    assert store.runs.of("statement") == [kept]
    assert store.database.rows("SELECT count(*) FROM runs") == [(1,)]


@pytest.mark.parametrize("column", ["touched", "parent", "seconds"])
def test_a_damaged_row_is_told(store, column):
    store.runs.put("statement", a_run(store, b"a"))
    store.database.write(f"UPDATE runs SET {column} = ?", (b"\0damaged" if column != "parent" else "no tree",))
    if column == "parent":
        assert store.runs.of("statement") == []
        return
    with pytest.raises(StoreDamaged):
        store.runs.of("statement")


def test_an_older_store_gets_the_tables(tmp_path):
    with Store.open(str(tmp_path / "store")):
        pass
    database = sqlite3.connect(tmp_path / "store" / "store.db")
    database.execute("DROP TABLE runs")
    database.execute("DROP TABLE distrusted")
    database.execute("PRAGMA user_version = 6")
    database.close()
    with Store.open(str(tmp_path / "store")) as store:
        run = a_run(store, b"a")
        store.runs.put("statement", run)
        assert store.runs.of("statement") == [run]
        assert store.runs.distrusted("command") == ""

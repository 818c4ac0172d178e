"""Runs of tests on record."""

from __future__ import annotations

import time

import pytest

from envbuild.store.store import Store
from envbuild.store.trials import KEPT, KIND, Trials


@pytest.fixture
def store(tmp_path):
    with Store.open(str(tmp_path / "store")) as opened:
        yield opened


def test_runs_are_remembered(store):
    trials = Trials(store.memo)
    runs = [(1, False, True, True, "no"), (0, False, False, True, "")]
    trials.put("key", runs)
    assert trials.get("key") == runs
    assert trials.get("other") == []


@pytest.mark.parametrize("value", [b"", b"{}", b"[1]", b'[1, [["a", 0, 0, 0]]]', b"[1, [[1]]]", b"[" * 5000])
def test_a_record_that_makes_no_sense_is_none(store, value):
    store.memo.put(KIND, "key", value)
    assert Trials(store.memo).get("key") == []


def test_what_was_not_used_for_long_is_forgotten(store, monkeypatch):
    trials = Trials(store.memo)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - KEPT - 10)
    trials.put("old", [(0, False, False, True, "")])
    monkeypatch.undo()
    trials.put("new", [(0, False, False, True, "")])
    trials.forget_unused()
    assert (trials.get("old"), len(trials.get("new"))) == ([], 1)

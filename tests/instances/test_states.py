"""How an instance stands, read while that changes."""

from pathlib import Path

import pytest

from envbuild.instances.record import EXITED, LOST, RUNNING, State, write_state
from envbuild.instances.records import Instances


@pytest.fixture
def recorded(tmp_path):
    instances = Instances(str(tmp_path / "instances"))
    Path(instances.path).mkdir()
    instance, lock = instances.create("job", "a" * 64, "web", "b" * 64, "{}", "{}")
    write_state(instance.path, State(RUNNING))
    return instances, instance, lock


def test_one_whose_supervisor_ended_between_two_looks_has_ended(recorded, monkeypatch):
    """It says `exited` and then lets its lock go, both after somebody has read `running`."""
    instances, instance, _ = recorded

    def ends(self, instance):
        write_state(instance.path, State(EXITED, code=3))
        return False

    monkeypatch.setattr(Instances, "is_supervised", ends)
    state = instances.state(instance)
    assert (state.status, state.code) == (EXITED, 3)


def test_one_whose_supervisor_is_gone_without_a_word_is_lost(recorded, monkeypatch):
    instances, instance, _ = recorded
    assert instances.state(instance).status == RUNNING
    monkeypatch.setattr(Instances, "is_supervised", lambda self, instance: False)
    assert instances.state(instance).status == LOST

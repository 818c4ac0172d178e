"""Facts are merged by their names."""

from __future__ import annotations

import pytest

from envbuild.merge.choices import Choices
from envbuild.merge.facts import OtherMachines, merge_facts
from envbuild.plan.image_config import Facts, Program

BASE = Facts("amd64", 5, (("A", "1"), ("PATH", "/bin")), expose=("80/tcp", "81/tcp"))


def merged(ours: Facts, theirs: Facts, choices: Choices = Choices()):  # noqa: B008 (frozen)
    return merge_facts(BASE, ours, theirs, choices)


def test_a_side_that_changed_nothing_changes_nothing():
    other = BASE.replace(user="ada", epoch=7, expose=("9/tcp", "80/tcp"), start=Program(("/a",)))
    assert merged(other, BASE) == merged(BASE, other) == merged(other, other) == (other, [], [])


def test_variables_and_ports_are_merged_each_by_itself():
    ours = BASE.replace(environment=(("A", "2"), ("PATH", "/opt/bin:/bin")), expose=("80/tcp", "82/tcp"), epoch=6)
    theirs = BASE.replace(
        environment=(("B", "3"), ("PATH", "/bin:/games")), expose=("80/tcp", "81/tcp", "83/tcp"), epoch=9
    )
    facts, conflicts, _ = merged(ours, theirs)
    assert [conflict.subject for conflict in conflicts] == ["env.A"], "changed on one side, and gone on the other"
    assert dict(facts.environment)["PATH"] == "/opt/bin:/bin:/games"
    assert (facts.expose, facts.epoch) == (("80/tcp", "82/tcp", "83/tcp"), 9)


def test_two_folders_in_front_of_path_are_a_conflict_that_a_choice_decides():
    ours, theirs = (BASE.replace(environment=(("PATH", f"/{name}:/bin"),)) for name in ("a", "b"))
    _, conflicts, _ = merged(ours, theirs)
    assert [(conflict.kind, conflict.name, *conflict.sides) for conflict in conflicts] == [
        ("fact", "env.PATH", "/bin", "/a:/bin", "/b:/bin")
    ]
    facts, conflicts, decided = merged(ours, theirs, Choices(theirs=("env.PATH",)))
    assert (dict(facts.environment), conflicts, decided) == ({"PATH": "/b:/bin"}, [], ["env.PATH"])


def test_images_for_other_machines_are_refused():
    with pytest.raises(OtherMachines):
        merged(BASE, BASE.replace(arch="arm64"))

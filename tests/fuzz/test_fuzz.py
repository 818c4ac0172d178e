"""Every reader keeps its contract for the seeds, among them all that was ever found, and for some mutations of them."""

from __future__ import annotations

import sys
from random import Random

import pytest

from tests.fuzz.mutations import Mutations
from tests.fuzz.target import SEEDS, attempt
from tests.fuzz.targets import TARGETS

MUTATIONS, MANY, MOST = 60, 600, 4096
"""Mutations of a reader's seeds: the same each day, and many more in the nightly run; bytes of one."""


@pytest.fixture(autouse=True)
def _as_deep_as_the_command_line():
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    yield
    sys.setrecursionlimit(before)


@pytest.mark.parametrize("name", TARGETS)
def test_a_reader_keeps_its_contract(name):
    keep_contract(name, MUTATIONS)


@pytest.mark.nightly
@pytest.mark.parametrize("name", TARGETS)
def test_a_reader_keeps_its_contract_with_many(name):
    keep_contract(name, MANY)


def keep_contract(name: str, count: int) -> None:
    """Try a reader with its seeds and so many mutations of them."""
    target = TARGETS[name]
    seeds = target.seeds()
    mutations = Mutations(Random(name), target.tokens, MOST)
    for data in [*seeds, *(mutations.of(seeds) for _ in range(count))]:
        finding = attempt(target, data)
        assert finding is None, f"{data[:500]!r}\n{finding.text}"


def test_no_seeds_are_left_without_a_reader():
    assert {path.name for path in SEEDS.iterdir()} == set(TARGETS)

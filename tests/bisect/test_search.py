"""The search for a smallest set, over oracles of any kind: it is bad, and without any one member it is not."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from envbuild.bisect.order import clusters_of
from envbuild.bisect.search import ddmin, lacks_required, minimize


class Oracle:
    """Answers whether a set is bad, and counts what it was asked."""

    def __init__(self, is_bad):
        self._is_bad = is_bad
        self.known = {}

    def bad(self, items):
        if items not in self.known:
            self.known[items] = self._is_bad(items)
        return self.known[items]

    def first_bad(self, sets):
        return next((place for place, items in enumerate(sets) if self.bad(items)), None)


def requirements(count):
    return st.dictionaries(st.integers(0, count - 1), st.sets(st.integers(0, count - 1), max_size=3), max_size=count)


@st.composite
def searches(draw):
    """(number of items, what each requires, guilty items)."""
    count = draw(st.integers(1, 40))
    guilty = draw(st.frozensets(st.integers(0, count - 1), min_size=1, max_size=4))
    return count, draw(requirements(count)), guilty


def is_minimal(oracle, items):
    return oracle.bad(items) and not any(oracle.bad(items - {item}) for item in items)


@given(searches(), st.integers(1, 4))
def test_guilty_items_are_found_alone_if_more_of_them_stay_bad(search, width):
    count, requires, guilty = search
    oracle = Oracle(guilty.issubset)
    assert minimize(range(count), oracle.first_bad, requires, width=width) == guilty


@given(searches(), st.randoms(use_true_random=False), st.integers(1, 4))
@settings(max_examples=100)
def test_the_result_is_minimal_whatever_the_test_says(search, random, width):
    count, requires, _ = search
    # Neither monotone nor connected: bad and unresolved sets lie among each other.
    oracle = Oracle(lambda items: len(items) == count or (bool(items) and random.random() < 0.3))
    assert is_minimal(oracle, minimize(range(count), oracle.first_bad, requires, width=width))


@given(searches(), st.randoms(use_true_random=False))
@settings(max_examples=100)
def test_ddmin_alone_gives_a_minimal_set(search, random):
    count, requires, _ = search
    oracle = Oracle(lambda items: len(items) == count or (bool(items) and random.random() < 0.2))
    assert is_minimal(oracle, ddmin(range(count), oracle.first_bad, requires))


@given(searches())
def test_a_set_that_lacks_what_it_requires_is_no_loss(search):
    count, requires, guilty = search
    oracle = Oracle(lambda items: guilty <= items and not lacks_required(items, requires))
    everything = frozenset(range(count))
    if not oracle.bad(everything):
        return
    result = minimize(everything, oracle.first_bad, requires)
    assert is_minimal(oracle, result)


def test_sets_that_lack_what_they_require_are_tried_last():
    requires = {0: {1}, 1: {0}, 2: {3}, 3: {2}}
    asked = []

    def first_bad(sets):
        asked.extend(sets)
        return next((n for n, items in enumerate(sets) if {0, 1} <= items), None)

    assert minimize(range(4), first_bad, requires) == {0, 1}
    assert [lacks_required(items, requires) for items in asked] == sorted(
        lacks_required(items, requires) for items in asked
    )


def test_the_number_of_trials_grows_with_the_logarithm():
    for guilty, most in ((frozenset({150}), 11), (frozenset({3, 200}), 20), (frozenset({0, 100, 213}), 30)):
        oracle = Oracle(guilty.issubset)
        assert minimize(range(214), oracle.first_bad, {}) == guilty
        assert len(oracle.known) <= most


@given(searches())
def test_each_item_stands_behind_what_it_requires(search):
    count, requires, _ = search
    clusters = clusters_of(range(count), requires)
    assert sorted(item for cluster in clusters for item in cluster) == list(range(count))
    before = set()
    for cluster in clusters:
        before.update(cluster)
        assert all(before.issuperset(requires.get(item, ())) for item in cluster)


def test_without_requirements_the_order_stays():
    assert clusters_of([3, 1, 2], {}) == [[3], [1], [2]]


def test_a_chain_that_is_longer_than_the_stack_is_ordered():
    count = 20_000
    assert clusters_of(range(count), {n: {n + 1} for n in range(count - 1)}) == [[n] for n in reversed(range(count))]

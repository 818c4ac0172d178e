"""Which kept stages lead to a plan, and where the stages of a plan end."""

from hypothesis import given
from hypothesis import strategies as st

from envbuild.build.staged_installer import MUCH, WORTH, Stage, longest_rise, stage_ends, way_from
from envbuild.packages.apt_stages import Archive


def archives(names: str, unknown: str = "", size: int = 1) -> list[Archive]:
    return [Archive(name, size, None if name in unknown else frozenset()) for name in names]


def way(plan: str, there: str, unknown: str = "") -> tuple[str, str, int] | None:
    """What is added, what is shown, and how many archives are there then."""
    addition = way_from(archives(plan, unknown), Stage(tuple(there), "tree", 0))
    if addition is None:
        return None
    added, shown = ("".join(plan[place] for place in places) for places in (addition.added, addition.shown))
    return added, shown, addition.done


def test_a_plan_goes_on_from_its_beginning_and_has_what_it_lacks_in_the_middle_added():
    assert way("abcd", "ab") == ("", "", 2)
    assert way("abcd", "abcd") == ("", "", 4)
    assert way("abxcdy", "abcd") == ("x", "x", 5)
    assert way("abcd", "abcde") is None, "nothing is taken away"
    assert way("abcd", "") == ("", "", 0)


def test_what_comes_in_another_order_than_before_is_shown_to_do_the_same():
    assert way("bacd", "abcd") == ("", "b", 4) or way("bacd", "abcd") == ("", "a", 4)
    assert way("xdabcy", "abcd") == ("x", "xd", 5)


def test_what_has_to_be_in_its_place_stays_there():
    assert way("abxcd", "abcd", unknown="a") == ("x", "x", 5)
    assert way("abxcd", "abcd", unknown="d") is None
    assert way("abxcd", "abcd", unknown="x") is None
    assert way("abxcd", "ab", unknown="xd") == ("", "", 2)


@given(st.permutations(range(8)), st.integers(1, 8))
def test_two_that_changed_places_are_never_both_taken_for_granted(order, number):
    plan = "abcdefgh"
    there = "".join(plan[place] for place in order[:number])
    added, shown, done = way(plan, there)
    assert sorted(there + added) == sorted(plan[:done])
    realised = there + added
    for at, earlier in enumerate(realised):
        for later in realised[at:]:
            assert earlier <= later or earlier in shown or later in shown


@given(st.lists(st.integers(0, 50), unique=True))
def test_the_longest_rise_rises(numbers):
    rise = longest_rise(numbers)
    assert rise == sorted(rise)
    places = [numbers.index(number) for number in rise]
    assert places == sorted(places)
    assert bool(rise) == bool(numbers)


def test_a_stage_ends_before_what_has_to_be_in_its_place_if_it_has_enough_by_then():
    assert list(stage_ends(archives("abcd"), 0)) == [4]
    assert list(stage_ends(archives("abcd"), 4)) == []
    assert list(stage_ends(archives("abcd", unknown="bd", size=WORTH), 0)) == [1, 3, 4]
    assert list(stage_ends(archives("abcd", unknown="bd", size=WORTH // 2), 0)) == [3, 4]
    assert list(stage_ends(archives("abcd", size=MUCH), 0)) == [1, 2, 3, 4]

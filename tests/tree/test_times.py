"""The clock of a tree: what is written is later than all that is there, on every machine alike."""

from hypothesis import given
from hypothesis import strategies as st

from envbuild.tree.apply import Edit, edit
from envbuild.tree.entry import DIRECTORY, FILE, ROOT_NAME, Entry
from envbuild.tree.lookup import MemoryTrees
from envbuild.tree.times import SECOND, SPREAD, WINDOW, Clock, StepTimes, content_time, latest

EPOCH = 1_700_000_000
digests = st.integers(0, 2**256 - 1).map(lambda number: f"{number:064x}")
names = st.sampled_from([b"main.c", b"index.html", b"CMakeLists.txt", b"LOGO.PNG"])
clocks = st.builds(Clock, st.just(EPOCH), st.integers(0, 2 * EPOCH * SECOND))


@given(clocks, names, digests)
def test_what_a_step_writes_is_later_than_all_that_is_there(clock, name, digest):
    written = clock.written(name, digest)
    assert written > clock.end
    assert written % SECOND == 0
    assert written - clock.end <= 2 * WINDOW * SECOND


@given(clocks, digests, digests)
def test_a_content_decides_no_time_but_its_own(clock, first, other):
    """Else an edit of one file would give all that later steps write another time."""
    after = [Clock(EPOCH, clock.written(b"x.html", digest)).written(b"y.o", first) for digest in (first, other)]
    assert after[0] == after[1]


@given(st.integers(0, 2**33), digests)
def test_a_copied_file_has_a_time_before_the_epoch_and_none_before_1970(epoch, digest):
    time = content_time(epoch, digest)
    assert 0 <= time <= epoch * SECOND
    assert epoch * SECOND - time <= (SPREAD + 1) * SECOND


def test_steps_that_write_take_a_second_each_for_a_while():
    clock = Clock(EPOCH, EPOCH * SECOND)
    for number in range(1, 100):
        clock = Clock(EPOCH, clock.written(b"f", "0" * 64))
        assert clock.latest == (EPOCH + number) * SECOND
    assert clock.written(b"f", "0" * 64) == (EPOCH + WINDOW) * SECOND


def test_times_of_a_step_by_how_they_came_about():
    clock = Clock(EPOCH, (EPOCH + 5) * SECOND)
    started = (EPOCH + 1000) * SECOND
    times = StepTimes(EPOCH, clock, started, started + SECOND, {(started + 7, "a" * 64): 11})
    after = (EPOCH + 6) * SECOND
    old = Entry(b"f", FILE, 0o644, 0, 0, (EPOCH + 5) * SECOND, 1, "b" * 64)
    assert times.of(b"f", started + 1, "b" * 64, None) == after
    assert times.of(b"f", 12345, "b" * 64, None) == 12345
    assert times.of(b"f", (EPOCH + 900) * SECOND, "b" * 64, None) == after
    assert times.of(b"f", started + 1, "b" * 64, old) == old.mtime
    assert times.of(b"f", started + 1, "b" * 64, old._replace(mtime=1)) == after
    assert times.of(b"f", started + 7, "a" * 64, None) == 11
    assert times.of_others(started + 1) == EPOCH * SECOND
    packages = StepTimes(EPOCH, None, started, started + SECOND)
    assert packages.of(b"f", started + 1, "b" * 64, None) == EPOCH * SECOND
    coming = StepTimes(2 * EPOCH, Clock(2 * EPOCH, 0), started, started + SECOND)
    assert coming.of_others(started + 1) == 2 * EPOCH * SECOND


def test_a_clock_that_is_years_slow_changes_nothing():
    clock = Clock(EPOCH, (EPOCH + 5) * SECOND)
    for started in (EPOCH - 300_000_000, EPOCH + 300_000_000):
        times = StepTimes(EPOCH, clock, started * SECOND, (started + 1) * SECOND)
        moved, written = (EPOCH + 3) * SECOND, (EPOCH + 6) * SECOND
        assert times.of(b"f", moved, "a" * 64, None) == moved
        assert times.of(b"f", started * SECOND + 1, "a" * 64, None) == written
        assert times.of(b"f", (EPOCH + 600_000_000) * SECOND, "a" * 64, None) == written
        assert times.of_others(started * SECOND + 1) == EPOCH * SECOND
        assert times.of_others((EPOCH - 7) * SECOND) == (EPOCH - 7) * SECOND


def test_the_latest_file_is_found_again_without_what_is_known():
    trees = MemoryTrees()
    root = trees.save([Entry(ROOT_NAME, DIRECTORY, 0o755, 0, 0, 99)])
    entry = Entry(b"", FILE, 0o644, 0, 0, 7, 0, "a" * 64)
    root = edit(trees, root, [Edit(b"a/b/x", entry), Edit(b"c/y", entry._replace(mtime=5))], 50)
    times = latest(trees, root, {})
    assert times[root] == 7
    again = edit(trees, root, [Edit(b"c/y", entry._replace(mtime=9))], 50)
    assert len(latest(trees, again, times)) == 2
    assert latest(trees, again, times)[again] == 9
    assert latest(trees, edit(trees, again, [Edit(b"a", None), Edit(b"c", None)], 50), {}).popitem()[1] == 0

"""Places for threads."""

from _thread import start_new_thread

from envbuild.linux.latch import Latch
from envbuild.linux.slots import Slots


def test_who_finds_no_place_waits_until_somebody_leaves():
    slots, entered, left = Slots(2), Latch(), Latch()

    def enter() -> None:
        with slots:
            entered.set()
        left.set()

    with slots:
        assert slots.acquire(blocking=False)
        assert not slots.acquire(blocking=False)
        start_new_thread(enter, ())
        assert not entered.wait(0.05)
    assert entered.wait(60)
    assert left.wait(60)
    slots.release()
    assert slots.acquire(blocking=False)
    assert slots.acquire(blocking=False)
    assert not slots.acquire(blocking=False)

"""What a lock says of the network of steps: in few lines, joined with what another build has seen, and refused where it
is not what a lock can have."""

import io

import pytest

from envbuild.lockfile import lock_file, network_lines
from envbuild.lockfile.lock import BadLock, Lock, Section, readable
from envbuild.lockfile.merge import merge
from envbuild.lockfile.network_lines import (
    MAX_ANSWERS,
    MAX_HOSTS,
    MAX_LINES_OF_STEP,
    beyond,
    joined,
    parts_of,
)
from envbuild.lockfile.results import Results
from envbuild.store.network_record import ANY, LISTED, MACHINE, Answer, NetworkRecord
from envbuild.ui.reports.lock_diff import lock_diff
from envbuild.ui.stream import Output

KEY, TREE = "4" * 64, "5" * 64


def answer(path: str, digit: str = "a") -> Answer:
    return Answer("GET", f"http://h.example/{path}", 200, digit * 64, 3)


def lock_of(record: NetworkRecord) -> Lock:
    return Lock("web", Section("amd64", results=Results({KEY: (TREE,)}, {}, (), {KEY: record})))


ONE = NetworkRecord(LISTED, ("h.example:80",), ("r.example:443",), (answer("x"),))


def test_each_thing_is_a_line_of_its_own():
    lines = [line for line in lock_file.dump(lock_of(ONE)).splitlines() if " network " in line]
    assert lines == [
        f"  - amd64 network {KEY} asked h.example:80",
        f"  - amd64 network {KEY} fetched GET http://h.example/x 200 {'a' * 64} 3",
        f"  - amd64 network {KEY} reach listed",
        f"  - amd64 network {KEY} refused r.example:443",
    ]


@pytest.mark.parametrize(
    "line",
    [
        "reach everything",
        "reach any more",
        "asked h.example",
        "asked h.example:80 h.example:81",
        "asked h.example:80000000000000000000",
        "asked h\\x1b[2J:80",
        "asked h\\u202e:80",
        "asked $(reboot):80",
        f"asked {'h' * 300}:80",
        f"fetched GET https://h/x 200 {'a' * 64} 3",
        f"fetched GET http://h/\\x07 200 {'a' * 64} 3",
        f"fetched GET http://h/{'x' * 600} 200 {'a' * 64} 3",
        f"fetched {'G' * 21} http://h/x 200 {'a' * 64} 3",
        f"fetched GET http://h/x 2000 {'a' * 64} 3",
        f"fetched GET http://h/x 099 {'a' * 64} 3",
        f"fetched GET http://h/x 200 {'a' * 63} 3",
        f"fetched GET http://h/x 200 {'../' * 21}x 3",
        f"fetched GET http://h/x 200 {'a' * 64} -3",
        f"fetched GET http://h/x 200 {'a' * 64}",
        "more lots",
        "more 9999999999999999999",
        "",
    ],
)
def test_what_is_no_line_of_a_network_is_refused(line):
    text = lock_file.dump(lock_of(ONE)).replace(
        f"  - amd64 network {KEY} reach listed", f'  - "amd64 network {KEY} {line}"'
    )
    with pytest.raises(BadLock, match="not a lock that envbuild can read"):
        lock_file.parse(text, "web.env.lock")


def test_more_lines_than_merges_leave_are_refused(monkeypatch):
    assert MAX_LINES_OF_STEP == 5000
    monkeypatch.setattr(network_lines, "MAX_LINES_OF_STEP", 100)
    text = lock_file.dump(lock_of(ONE))
    lines = "".join(f"  - amd64 network {KEY} asked h{n}.example:80\n" for n in range(100))
    with pytest.raises(BadLock, match="more than 100 lines"):
        lock_file.parse(text + lines, "web.env.lock")


def test_ten_thousand_addresses_make_a_lock_of_few_kilobytes_that_says_so():
    asked = tuple(sorted(f"h{n}.example:80" for n in range(1000)))
    own = NetworkRecord(ANY, asked, asked, tuple(answer(f"{n:05}") for n in range(1000)), 7000)
    record = joined(None, own)
    assert list(map(len, (record.asked, record.refused, record.answers))) == [MAX_HOSTS, MAX_HOSTS, MAX_ANSWERS]
    assert record.more == 7000 + 1000 - MAX_HOSTS + 1000 - MAX_HOSTS + 1000 - MAX_ANSWERS
    text = lock_file.dump(lock_of(record))
    assert len(text) < 80_000
    assert f"network {KEY} more 9600" in text
    assert "and 9600 more that are not listed" in readable(lock_file.parse(text, "web.env.lock"))
    # Another build of the same, and a lock of which other steps take the room.
    assert joined(record, own) == record
    assert len(list(parts_of(joined(None, own, 50)))) == 50


def test_another_build_of_the_same_tree_adds_what_it_asked_beyond_and_moves_nothing():
    other = NetworkRecord(LISTED, ("h.example:80", "mirror.example:80"), (), (answer("x", "b"), answer("y")))
    both = joined(ONE, other)
    assert both == NetworkRecord(
        LISTED, ("h.example:80", "mirror.example:80"), ("r.example:443",), (answer("x"), answer("y"))
    )
    assert joined(both, ONE) == joined(both, other) == both
    assert beyond(ONE, other) == ["mirror.example:80"]
    assert beyond(None, NetworkRecord(MACHINE)) == ["the whole network of the machine"]
    assert beyond(both, ONE) == []


def test_a_merge_keeps_what_either_side_saw():
    left, right = (
        lock_of(ONE.replace(asked=(*ONE.asked, host), answers=(answer("x", digit),), more=more))
        for host, digit, more in (("l.example:80", "b", 3), ("m.example:80", "c", 5))
    )
    merged = merge(lock_of(ONE), left, right).lock
    record = merged.results.network[KEY]
    assert record.asked == ("h.example:80", "l.example:80", "m.example:80")
    assert record.answers == (answer("x", "b"), answer("x", "c"))
    assert (record.mode, record.more) == (LISTED, 5)
    assert lock_file.parse(lock_file.dump(merged), "web.env.lock").results == merged.results
    # Without the driver, git keeps the lines of both sides.
    union = lock_file.dump(left) + "".join(
        f"{line}\n" for line in lock_file.dump(right).splitlines() if line.startswith("  - ")
    )
    assert lock_file.parse(union, "web.env.lock").results == merged.results
    # One side ran another command: what the old one asked goes with it.
    gone = Lock("web", Section("amd64", results=Results({"6" * 64: (TREE,)}, {}, (), {"6" * 64: ONE})))
    assert merge(lock_of(ONE), lock_of(ONE), gone).lock.results.network == {"6" * 64: ONE}


def test_git_diff_begins_with_what_steps_reach_beyond_before():
    after = NetworkRecord(MACHINE, ("evil.example:443", "h.example:80"), (), ONE.answers, 7)
    texts = lock_file.dump(lock_of(ONE)), lock_file.dump(lock_of(after))
    lines = list(lock_diff("web.env.lock", *texts, Output(io.StringIO(), colour=False)))
    assert lines[1:4] == [
        "! this build also had the whole network network=host",
        "! this build also asked evil.example:443",
        "! this build also asked more that is not listed",
    ]
    assert "+  asked evil.example:443" in lines
    assert "-  refused r.example:443" in lines
    assert "   asked h.example:80" in lines
    assert list(lock_diff("web.env.lock", texts[1], texts[0], Output(io.StringIO(), colour=False)))[1] == (
        "--- a/web.env.lock"
    )

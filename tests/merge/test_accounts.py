"""Accounts are merged by name and field by field, and numbers that two names were given are seen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envbuild.merge.accounts import (
    FILES,
    Renumbering,
    merge_accounts,
    merge_ranges,
    renumbered,
    renumbered_owner,
    renumbered_ranges,
    renumbering,
)
from envbuild.merge.records import BadDatabase

PASSWD, GROUP = FILES[b"etc/passwd"], FILES[b"etc/group"]
ROOT = "root:x:0:0:root:/root:/bin/sh\n"


def undecided(subject: str, package: str) -> str:
    return ""


def passwd(*names: tuple[str, int], shell: str = "/bin/sh") -> bytes:
    return (ROOT + "".join(f"{name}:x:{uid}:{uid}::/home/{name}:{shell}\n" for name, uid in names)).encode()


def group(*names: tuple[str, int, str]) -> bytes:
    return ("root:x:0:\n" + "".join(f"{name}:x:{gid}:{members}\n" for name, gid, members in names)).encode()


def merged(base: bytes, ours: bytes, theirs: bytes, file=PASSWD, prefer=undecided):
    return merge_accounts(file, base, ours, theirs, prefer)


def test_users_of_both_are_there_and_who_was_removed_is_gone():
    outcome = merged(passwd(("old", 5)), passwd(("old", 5), ("ada", 1000)), passwd(("bob", 1001)))
    assert outcome.clashes == ()
    assert outcome.content == passwd(("bob", 1001), ("ada", 1000))


def test_a_number_that_both_gave_is_a_clash_and_one_that_theirs_shares_with_the_base_is_none():
    outcome = merged(passwd(), passwd(("ada", 1000)), passwd(("bob", 1000)))
    assert [(clash.kind, clash.subject, *clash.sides) for clash in outcome.clashes] == [
        ("id", "uid 1000", "nothing", "ada", "bob")
    ]
    assert merged(passwd(), passwd(("ada", 1000)), passwd(("toor", 0))).clashes == ()


def test_fields_are_merged_each_by_itself():
    base = passwd(("ada", 1000))
    outcome = merged(base, base.replace(b"/home/ada", b"/srv/ada"), passwd(("ada", 1000), shell="/bin/bash"))
    assert outcome.content == base.replace(b"/home/ada:/bin/sh", b"/srv/ada:/bin/bash")


def test_a_field_that_both_changed_is_a_clash_that_a_choice_decides():
    sides = passwd(("ada", 1)), passwd(("ada", 1), shell="/a"), passwd(("ada", 1), shell="/b")
    outcome = merged(*sides)
    assert [clash.subject for clash in outcome.clashes] == ["user ada"]
    assert outcome.clashes[0].sides.theirs == "ada:x:1:1::/home/ada:/b"
    chosen = merged(*sides, prefer=lambda subject, package: "theirs")
    assert (chosen.content, chosen.clashes, chosen.settled) == (sides[2], (), ("user ada",))


def test_members_are_joined():
    base = group(("www", 33, "old,kept"))
    outcome = merged(base, group(("www", 33, "kept,ada")), group(("www", 33, "old,kept,bob")), GROUP)
    assert outcome.content == group(("www", 33, "kept,ada,bob"))


def test_a_password_is_not_shown_and_the_last_change_counts():
    base = b"ada:!:1::::::\n"
    both = merged(base, b"ada:$6$secret:5::::::\n", b"ada:!:7::::::\n", FILES[b"etc/shadow"])
    assert both.content == b"ada:$6$secret:7::::::\n"
    apart = merged(base, b"ada:$6$secret:5::::::\n", b"ada:$6$other:7::::::\n", FILES[b"etc/shadow"])
    assert "secret" not in str(apart.clashes)


def test_renumbering_gives_theirs_the_next_free_numbers():
    base = passwd(), group()
    ours = passwd(("redis", 100), ("ada", 1000)), group(("redis", 101, ""), ("ada", 1000, ""))
    theirs = passwd(("proxy", 100), ("bob", 1000)), group(("proxy", 101, ""), ("bob", 1000, "proxy"))
    numbers = renumbering(base, ours, theirs)
    assert numbers == Renumbering(((100, 101), (1000, 1001)), ((101, 100), (1000, 1001)))
    text = renumbered(b"etc/passwd", theirs[0], numbers).decode()
    assert "bob:x:1001:1001:" in text
    assert "root:x:0:0:" in text
    assert renumbered_owner("100:101", numbers) == "101:100"
    assert renumbered_owner("proxy", numbers) == "proxy"


def test_an_account_of_one_name_gets_our_number_and_roots_stays():
    base = passwd(), group()
    numbers = renumbering(
        base, (passwd(("ada", 1000), ("bob", 1001)), group()), (passwd(("bob", 1000), ("toor", 0)), group())
    )
    assert numbers.users == ((1000, 1001),)


def test_ranges_that_overlap_are_a_clash_and_move_behind():
    base, ours, theirs = b"", b"ada:100000:65536\n", b"bob:100000:65536\n"
    assert [clash.kind for clash in merge_ranges(base, ours, theirs, undecided).clashes] == ["id"]
    moved = renumbered_ranges(base, ours, theirs)
    assert moved == b"bob:165536:65536\n"
    assert merge_ranges(base, ours, moved, undecided).content == ours + moved


@pytest.mark.parametrize("line", [b"ada:x:1000", b"a:x:1:1::/:/bin/sh\na:x:2:2::/:/bin/sh", b"\0" * 20])
def test_what_is_no_such_file_is_merged_as_any_other(line):
    with pytest.raises(BadDatabase):
        merged(passwd(), passwd(), line)


accounts = st.dictionaries(st.sampled_from("abcdef"), st.sampled_from([100, 101, 1000, 1001]), max_size=4)


@given(accounts, accounts, accounts)
def test_sides_may_be_exchanged_and_no_new_number_is_given_twice_unseen(base, ours, theirs):
    sides = [passwd(*each.items()) for each in (base, ours, theirs)]
    there, back = merged(*sides), merged(sides[0], sides[2], sides[1])
    assert {clash.subject for clash in there.clashes} == {clash.subject for clash in back.clashes}
    if not there.clashes:
        assert there.content == back.content
    assert merged(sides[0], sides[1], sides[0]).content == merged(sides[0], sides[1], sides[1]).content


@given(accounts, accounts, accounts)
def test_after_renumbering_no_number_clashes(base, ours, theirs):
    sides = [passwd(*each.items()) for each in (base, ours, theirs)]
    numbers = renumbering(*((side, group()) for side in sides))
    outcome = merged(sides[0], sides[1], renumbered(b"etc/passwd", sides[2], numbers))
    assert not [clash for clash in outcome.clashes if clash.kind == "id"]

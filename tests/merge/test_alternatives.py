"""Records of update-alternatives are merged by their choices; hostile ones lead nowhere."""

from __future__ import annotations

import pytest

from envbuild.merge.alternative_links import LinkPlan, links_after
from envbuild.merge.alternatives import merge_alternatives, read_alternative, write_alternative
from envbuild.merge.conflict import Conflict
from envbuild.merge.records import BadDatabase
from envbuild.merge.three_way import Collision
from tests.tree.builders import link

PATH = b"var/lib/dpkg/alternatives/editor"
LINK = b"etc/alternatives/editor"
SLAVE = b"etc/alternatives/editor.1.gz"


def record(status: str, *choices: tuple[str, int, str]) -> bytes:
    lines = [status, "/usr/bin/editor", "editor.1.gz", "/usr/share/man/man1/editor.1.gz", ""]
    for path, priority, manual in choices:
        lines += [path, str(priority), manual]
    return "\n".join([*lines, "", ""]).encode()


VIM, NANO = ("/usr/bin/vim", 30, "/usr/share/man/man1/vim.1.gz"), ("/bin/nano", 40, "")
BASE = record("auto", ("/bin/ed", -100, ""))


def undecided(subject: str, package: str) -> str:
    return ""


def after(base: bytes, ours: bytes, theirs: bytes, our_link: bytes, their_link: bytes):
    outcome = merge_alternatives(base, ours, theirs, undecided)
    collisions = {LINK: Collision(LINK, link(b"/bin/ed"), link(our_link), link(their_link), link(our_link))}
    links = dict(links_after(LinkPlan(PATH, base, ours, theirs, outcome.content), collisions))
    return outcome, links


def test_a_record_is_written_as_it_was_read():
    content = record("manual", VIM, NANO)
    assert write_alternative(read_alternative(content)) == content


def test_choices_of_both_are_there_and_the_best_is_linked():
    ed = ("/bin/ed", -100, "")
    outcome, links = after(BASE, record("auto", ed, VIM), record("auto", NANO, ed), b"/usr/bin/vim", b"/bin/nano")
    assert set(read_alternative(outcome.content).choices) == {"/bin/ed", "/usr/bin/vim", "/bin/nano"}
    assert links[LINK].target == b"/bin/nano"
    assert links[SLAVE] is None, "the best has no such page"
    assert links[b"usr/share/man/man1/editor.1.gz"] is None


def test_what_somebody_chose_by_hand_holds():
    ours, theirs = record("manual", ("/bin/ed", -100, ""), VIM), record("auto", ("/bin/ed", -100, ""), NANO)
    outcome, links = after(BASE, ours, theirs, b"/usr/bin/vim", b"/bin/nano")
    assert read_alternative(outcome.content).status == "manual"
    assert links[LINK].target == b"/usr/bin/vim"


def test_two_that_chose_by_hand_and_differently_conflict():
    ed = ("/bin/ed", -100, "")
    sides = record("manual", ed, VIM, NANO), record("manual", NANO, ed, VIM)
    _, links = after(BASE, *sides, b"/usr/bin/vim", b"/bin/nano")
    assert isinstance(links[LINK], Conflict)
    assert links[LINK].sides == ("/bin/ed", "/usr/bin/vim", "/bin/nano")


def test_a_choice_that_one_removed_and_one_that_the_other_added():
    outcome, links = after(BASE, record("auto"), record("auto", ("/bin/ed", -100, ""), NANO), b"/x", b"/bin/nano")
    assert set(read_alternative(outcome.content).choices) == {"/bin/nano"}
    assert links[LINK].target == b"/bin/nano"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"auto\n",
        b"auto\n/usr/bin/x\n",
        b"auto\n/usr/bin/x\n\n/a\nmany\n\n",
        b"auto\n/usr/../x\n\n/a\n1\n\n",
        b"auto\n/usr/bin/x\n..\n/x\n\n\n",
        b"auto\n/usr/bin/x\na/b\n/x\n\n\n",
        b"auto\n/usr/bin/x\nslave\n/../../etc/passwd\n\n\n",
        b"auto\n/usr/bin/x\n\n/a\0b\n1\n\n",
        b"auto\n/usr/bin/x\n\n/a\n" + b"9" * 5000 + b"\n\n",
        b"\xff" * 100,
        b"auto\n" * 10_000,
    ],
)
def test_what_is_no_record_is_merged_as_any_other_file(content):
    with pytest.raises(BadDatabase):
        read_alternative(content)


def test_a_choice_that_is_its_own_link_is_only_a_link():
    circle = ("/etc/alternatives/editor", 99, "")
    _, links = after(BASE, record("auto", circle), record("auto", VIM), b"/etc/alternatives/editor", b"/usr/bin/vim")
    assert links[LINK].target == b"/etc/alternatives/editor"

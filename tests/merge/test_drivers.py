"""What drivers make of three contents: paragraphs, lists, JSON, RECORD, logs, texts."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envbuild.merge.drivers import driver_of
from envbuild.merge.lines import merge_lists, merge_logs, merge_texts
from envbuild.merge.marks import without_asked
from envbuild.merge.paragraphs import DEBCONF, STATUS, merge_paragraphs
from envbuild.merge.records import BadDatabase


def undecided(subject: str, package: str) -> str:
    return ""


def status(*packages: tuple[str, str], **fields: str) -> bytes:
    more = "".join(f"{name}: {value}\n" for name, value in fields.items())
    return "".join(
        f"Package: {name}\nStatus: install ok installed\nArchitecture: amd64\n{more}Version: {version}\n\n"
        for name, version in packages
    ).encode()


def merged(path: str, *sides: bytes, prefer=undecided):
    driver = driver_of(path.encode())
    assert driver is not None
    return driver.merge(*sides, prefer)


STATUS_PATH = "var/lib/dpkg/status"


def test_packages_of_both_are_in_the_status_sorted():
    base = status(("b", "1"), ("gone", "1"))
    outcome = merged(STATUS_PATH, base, status(("a", "1"), ("b", "2")), status(("b", "1"), ("c", "1"), ("gone", "1")))
    assert outcome.clashes == ()
    assert outcome.content == status(("a", "1"), ("b", "2"), ("c", "1"))


def test_two_versions_are_a_clash_of_the_package_and_other_fields_are_merged():
    base, ours, theirs = (status(("a", version)) for version in "123")
    outcome = merged(STATUS_PATH, base, ours, theirs)
    assert [(clash.kind, clash.package, clash.sides) for clash in outcome.clashes] == [
        ("package", "a", ("1", "2", "3"))
    ]
    chosen = merged(
        STATUS_PATH, base, ours, theirs, prefer=lambda subject, package: "theirs" if subject and package == "a" else ""
    )
    assert (chosen.content, chosen.settled) == (theirs, ("a",))
    base = status(("a", "1"), Conffiles="\n /etc/a 1", Priority="extra")
    ours = status(("a", "1"), Conffiles="\n /etc/a 1\n /etc/b 2", Priority="extra")
    theirs = status(("a", "1"), Conffiles="\n /etc/a 1\n /etc/c 3", Priority="important")
    both = merged(STATUS_PATH, base, ours, theirs)
    assert both.clashes == ()
    assert both.content.replace(b":\n", b": \n") == status(
        ("a", "1"), Conffiles="\n /etc/a 1\n /etc/b 2\n /etc/c 3", Priority="important"
    )


def test_answers_of_debconf_have_the_owners_of_both():
    base = b"Name: shared/x\nTemplate: shared/x\nOwners: a\n\n"
    outcome = merge_paragraphs(
        DEBCONF, base, base.replace(b"a\n\n", b"a, b\n\n"), base.replace(b"a\n\n", b"a, c\n\n"), undecided
    )
    assert outcome.content == base.replace(b"a\n\n", b"a, b, c\n\n")


def test_what_either_side_was_asked_for_is_not_marked_as_needed_only():
    mark = b"Package: %s\nArchitecture: amd64\nAuto-Installed: 1\n\n"
    ours, theirs = mark % b"lib" + mark % b"tool", b""
    both = without_asked(ours, status(), ((ours, status(("lib", "1"), ("tool", "1"))), (theirs, status(("tool", "1")))))
    assert both == mark % b"lib"


def test_lists_have_what_both_kept_and_either_added():
    assert merge_lists(b"a\nb\n", b"a\nx\n", b"a\nb\ny\n") == b"a\nx\ny\n"
    assert merged("var/lib/dpkg/diversions", b"", b"/a\n/a.x\np\n", b"/b\n/b.x\nq\n").content == (
        b"/a\n/a.x\np\n/b\n/b.x\nq\n"
    )
    with pytest.raises(BadDatabase):
        merged("var/lib/dpkg/diversions", b"", b"/a\n/a.x\n", b"/b\n/b.x\nq\n")


def test_logs_have_both_tails_in_the_order_of_their_times():
    assert merge_logs(b"1\n", b"1\n3\n", b"1\n2\n") == b"1\n2\n3\n"


def test_a_python_record_has_the_rows_of_both():
    base, path = b"a.py,sha256=1,1\n", "usr/lib/python3/dist-packages/a-1.dist-info/RECORD"
    outcome = merged(path, base, base + b"b.py,sha256=2,2\n", base + b'"c,d.py",sha256=3,3\n')
    assert outcome.content == base + b'"c,d.py",sha256=3,3\nb.py,sha256=2,2\n'
    assert [clash.subject for clash in merged(path, base, b"a.py,sha256=2,2\n", b"a.py,sha256=3,3\n").clashes] == [
        "a.py"
    ]


def lock(**packages: str) -> bytes:
    names = {f"node_modules/{name}": {"version": version} for name, version in packages.items()}
    return (json.dumps({"lockfileVersion": 3, "packages": names}, indent=2) + "\n").encode()


def test_npms_lock_is_merged_by_package():
    path = "app/node_modules/.package-lock.json"
    outcome = merged(path, lock(ms="1"), lock(left="2", ms="1"), lock(ms="2", right="3"))
    assert outcome.content == lock(left="2", ms="2", right="3")
    apart = merged(path, lock(ms="1"), lock(ms="2"), lock(ms="3"))
    assert [(clash.kind, clash.package, clash.sides) for clash in apart.clashes] == [("package", "ms", ("1", "2", "3"))]


@pytest.fixture
def recursion_limit() -> Iterator[None]:
    """Python's limit as the command line has it."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    yield
    sys.setrecursionlimit(before)


@pytest.mark.parametrize(
    "content", [b"[1]", b"{", b"\xff", b'{"a":1,"a":2}', b"[" * 100_000, b'{"a":' * 5000 + b"1" + b"}" * 5000]
)
def test_what_is_no_document_is_merged_as_any_other_file(content, recursion_limit):
    with pytest.raises(BadDatabase):
        merged("x.json", b"{}", content, content + b" ")


texts = st.lists(st.sampled_from(["a", "b", "c", "d", "e"]), max_size=8).map(
    lambda lines: "".join(f"{line}\n" for line in lines).encode()
)


@given(texts, texts, texts)
def test_texts_merge_the_same_way_whoever_merges(base, ours, theirs):
    there, back = merge_texts(base, ours, theirs, git=False), merge_texts(base, theirs, ours, git=False)
    assert there.conflicts == back.conflicts
    if not there.conflicts:
        assert there.content == back.content
    assert merge_texts(base, ours, base, git=False).content == ours
    assert merge_texts(base, base, theirs, git=False).content == theirs


@pytest.mark.parametrize("git", [True, False])
def test_lines_far_apart_go_together_and_near_ones_conflict(git):
    base = "".join(f"{number}\n" for number in range(9)).encode()
    both = merge_texts(base, base.replace(b"1", b"ours"), base.replace(b"7", b"theirs"), git=git)
    assert both == (base.replace(b"1", b"ours").replace(b"7", b"theirs"), 0)
    apart = merge_texts(base, base.replace(b"4", b"ours"), base.replace(b"4", b"theirs"), git=git)
    assert apart.conflicts == 1
    marked = b"3\n<<<<<<< ours\nours\n||||||| base\n4\n=======\ntheirs\n>>>>>>> theirs\n5\n"
    assert marked in apart.content


databases = st.sampled_from(
    [
        b"",
        b"\0" * 50,
        b"\xff\xfe" * 20,
        b"a:b\n" * 3,
        b"Package: a\n" * 3,
        b"Package: a\n\nPackage: a\n\n",
        b"Package\n\n:\n\n",
        b" continued\n",
        b"\n\n\n\n",
        b"a\n" * 1000,
        b"{}",
        b'{"packages": [1]}',
    ]
) | st.binary(max_size=60)


@given(
    st.sampled_from(
        [
            STATUS_PATH,
            "var/lib/apt/extended_states",
            "var/cache/debconf/config.dat",
            "var/lib/dpkg/diversions",
            "var/lib/dpkg/alternatives/x",
            "var/lib/dpkg/triggers/File",
            "etc/passwd",
            "etc/shadow",
            "etc/subuid",
            "x.json",
            "a.dist-info/RECORD",
            "usr/share/info/dir",
            "var/log/x",
        ]
    ),
    databases,
    databases,
    databases,
)
def test_whatever_a_database_holds_it_is_merged_or_refused(path, base, ours, theirs):
    try:
        outcome = merged(path, base, ours, theirs)
    except BadDatabase:
        return
    assert isinstance(outcome.content, bytes)


def test_a_status_of_many_packages_costs_what_its_size_does():
    base = status(*((f"p{number}", "1") for number in range(20_000)))
    started = time.process_time()
    outcome = merge_paragraphs(STATUS, base, base + status(("ours", "1")), base + status(("theirs", "1")), undecided)
    assert outcome.clashes == ()
    assert len(outcome.content) > len(base)
    assert time.process_time() - started < 6, "not its square"


DIVERSIONS, OVERRIDES = "var/lib/dpkg/diversions", "var/lib/dpkg/statoverride"


def test_dpkg_takes_one_diversion_and_one_override_of_a_path():
    shared, mine, yours = b"/a\n/a.x\nx\n", b"/b\n/b.ours\nours\n", b"/c\n/c.theirs\ntheirs\n"
    outcome = merged(DIVERSIONS, shared, shared + mine, yours)
    assert (outcome.clashes, outcome.content) == ((), yours + mine)
    other = b"/b\n/b.theirs\ntheirs\n"
    outcome = merged(DIVERSIONS, shared, shared + mine, shared + other)
    assert [(clash.subject, clash.sides) for clash in outcome.clashes] == [
        ("/b", ("nothing", "/b, /b.ours, ours", "/b, /b.theirs, theirs"))
    ]
    chosen = merged(DIVERSIONS, shared, shared + mine, shared + other, prefer=lambda subject, package: "theirs")
    assert (chosen.content, chosen.settled) == (shared + other, ("/b",))
    outcome = merged(OVERRIDES, b"", b"root a 4755 /bin/my tool\n", b"root b 755 /bin/my tool\nroot b 644 /x")
    assert [clash.subject for clash in outcome.clashes] == ["/bin/my tool"]
    assert outcome.content == b"root a 4755 /bin/my tool\nroot b 644 /x\n"


@pytest.mark.parametrize(
    ("path", "content"),
    [
        (DIVERSIONS, b"/a\n/b\n"),
        (DIVERSIONS, b"/a\n/b\nc"),
        (DIVERSIONS, b"/a\n/b\nc\n" * 2),
        (OVERRIDES, b"root a 4755\n"),
    ],
)
def test_what_dpkg_itself_would_refuse_is_merged_as_any_other_file(path, content):
    with pytest.raises(BadDatabase):
        merged(path, b"", content, b"")

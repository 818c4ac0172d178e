"""Contents of files that take their comparison for ever, or all the memory."""

from __future__ import annotations

import random
from difflib import SequenceMatcher
from pathlib import Path

import pytest

from envbuild.debian.elf import parse_elf
from envbuild.history.line_diff import MAX_WORK, _work, grouped, opcodes, unified
from tests.attacks.limited import limited, within
from tests.conftest import Project

pytestmark = pytest.mark.namespaces


def applied(old: list[str], new: list[str]) -> list[str]:
    """What the opcodes make of the old text."""
    made: list[str] = []
    at = 0
    for kind, a, b, c, d in opcodes(old, new):
        assert a == at
        at = b
        made += old[a:b] if kind == "equal" else new[c:d]
    assert at == len(old)
    return made


def test_every_comparison_gives_the_new_text():
    source = random.Random(7)
    for size in (0, 1, 5, 60, 3_000, 30_000):
        for alphabet in (2, 50, 10**6):
            old = [str(source.randrange(alphabet)) for _ in range(size)]
            new = list(old)
            for _ in range(size // 10 + 1):
                at = source.randrange(len(new) + 1)
                new[at : at + source.randrange(3)] = [
                    str(source.randrange(alphabet)) for _ in range(source.randrange(3))
                ]
            assert applied(old, new) == new


def test_hunks_are_those_of_difflib():
    source = random.Random(11)
    for size in (1, 2, 7, 8, 40, 200):
        for _ in range(20):
            old = [str(source.randrange(size)) for _ in range(size)]
            new = [line for line in old if source.randrange(9)] + [str(size)] * source.randrange(2)
            matcher = SequenceMatcher(None, old, new, autojunk=False)
            expected = [] if old == new else [list(map(tuple, group)) for group in matcher.get_grouped_opcodes(3)]
            assert grouped(opcodes(old, new), 3) == expected


def test_a_large_text_with_few_changes_shows_these_alone():
    old = [f"line {n}" for n in range(100_000)]
    new = [*old[:10], "new", *old[10:70_000], *old[70_001:]]
    lines = [line for line in unified(old, new) if line[0] in "+-"]
    assert lines == ["+new", "-line 70000"]


# Functions, as megabytes of text in each process that collects tests make all its forks slower.
BOMBS = {
    "equal lines": lambda: ("a\n" * 100_000, "b\n" + "a\n" * 99_999 + "c\n"),
    "every second line": lambda: tuple("".join(f"{n}\n{n}{end}\n" for n in range(15_000)) for end in "xy"),
    "few lines in another order": lambda: tuple(
        "".join(f"{n * step % 97}\n" for n in range(30_000)) for step in (1, 7)
    ),
    "backwards": lambda: tuple("".join(f"{n}\n" for n in order) for order in (range(15_000), range(15_000, 0, -1))),
}


@pytest.mark.parametrize("case", BOMBS)
def test_texts_are_compared_in_bounded_time(case: str):
    old, new = (text.splitlines() for text in BOMBS[case]())

    def compare() -> None:
        changes = [line for line in unified(old, new) if line[0] in "+-"]
        assert len(changes) >= len(set(old) ^ set(new))

    # All of these would take difflib more than it may.
    assert _work(old, new) > MAX_WORK
    within(compare, memory=1 << 30, seconds=60)


def test_diff_compares_texts_in_bounded_time(project: Project):
    for name, text in zip(("old", "new"), BOMBS["equal lines"](), strict=True):
        (project.folder / "text").write_text(text)
        assert project.build("copy text -> /text", name=f"{name}.env").code == 0
    done = limited(project, "diff", "old", "new", "--text", "/text", memory=1 << 30, seconds=60)
    assert done.returncode == 1
    assert "+++ b/text" in done.stdout


def test_a_file_that_fills_the_memory_is_described(project: Project):
    for name, size in (("old", 100_000_000), ("new", 100_000_001)):
        assert project.build(f"run truncate -s {size} /data", name=f"{name}.env").code == 0
    done = limited(project, "diff", "old", "new", "--text", "/data", memory=100_000_000)
    assert done.stdout == "/data: binary, 100000000 bytes -> binary, 100000001 bytes\n"


def test_programs_that_lie_about_their_tables_are_none():
    true = Path("/bin/true").read_bytes() if Path("/bin/true").exists() else b"\x7fELF"
    source = random.Random(3)
    for _ in range(3_000):
        data = bytearray(true)
        for _ in range(source.randrange(1, 8)):
            data[source.randrange(min(len(data), 4_000))] = source.randrange(256)
        parse_elf(bytes(data))

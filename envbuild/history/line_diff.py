"""The difference of two lists of lines, at a bounded cost whoever wrote them.

difflib compares each pair of equal lines, again for each block that it finds: two texts of a hundred thousand lines can
keep it busy for days. So larger texts are first cut at the lines that occur once in both, in the same order (as Bram
Cohen's "patience diff" does), and the parts in between are compared until a budget of work is spent.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from difflib import SequenceMatcher

MAX_WORK = 50_000_000
"""Steps of difflib, a tenth of a microsecond each."""

_CONTEXT = 3

Opcode = tuple[str, int, int, int, int]
"""As in difflib: equal, replace, delete or insert; the first and last line in the old text, and in the new."""


def unified(old: list[str], new: list[str]) -> Iterator[str]:
    """Yield the hunks of a unified diff of two lists of lines.

    Common lines at both ends are skipped first: the comparison's cost grows with the square of the rest.
    """
    start = 0
    while start < min(len(old), len(new)) and old[start] == new[start]:
        start += 1
    end = 0
    while end < min(len(old), len(new)) - start and old[-1 - end] == new[-1 - end]:
        end += 1
    lead, tail = min(start, _CONTEXT), min(end, _CONTEXT)
    skipped = start - lead
    old, new = old[skipped : len(old) - end + tail], new[skipped : len(new) - end + tail]
    for group in grouped(opcodes(old, new), _CONTEXT):
        first, last = group[0], group[-1]
        yield f"@@ -{_range(skipped + first[1], skipped + last[2])} +{_range(skipped + first[3], skipped + last[4])} @@"
        for kind, a, b, c, d in group:
            if kind == "equal":
                yield from (f" {line}" for line in old[a:b])
            else:
                yield from (f"-{line}" for line in old[a:b])
                yield from (f"+{line}" for line in new[c:d])


def _range(start: int, stop: int) -> str:
    length = stop - start
    begin = start + 1 if length else start
    return str(begin) if length == 1 else f"{begin},{length}"


def opcodes(old: list[str], new: list[str]) -> list[Opcode]:
    """Return how the lines of `old` become those of `new`. Parts that take too long to compare are replaced as a
    whole."""
    work = _work(old, new)
    if work <= MAX_WORK:
        return _compared(old, new, 0, 0)
    codes: list[Opcode] = []
    left = MAX_WORK
    i = j = 0
    for a, c in [*_anchors(old, new), (len(old), len(new))]:
        ours, theirs = old[i:a], new[j:c]
        if ours and theirs:
            work = _work(ours, theirs)
            left -= work
            codes += _compared(ours, theirs, i, j) if left >= 0 else [("replace", i, a, j, c)]
            left += work if left < 0 else 0
        elif ours or theirs:
            codes.append(("delete" if ours else "insert", i, a, j, c))
        if a < len(old):
            codes.append(("equal", a, a + 1, c, c + 1))
        i, j = a + 1, c + 1
    return _joined(codes)


def grouped(codes: list[Opcode], context: int) -> list[list[Opcode]]:
    """Return the changes in groups, each with `context` equal lines around it."""
    groups: list[list[Opcode]] = []
    group: list[Opcode] = []
    for number, (kind, a, b, c, d) in enumerate(codes):
        if kind != "equal":
            group.append((kind, a, b, c, d))
            continue
        first, last = number == 0, number == len(codes) - 1
        if not first and (last or b - a > 2 * context):
            group.append((kind, a, min(b, a + context), c, min(d, c + context)))
            groups.append(group)
            group = []
        if not last:
            keep = b - a if group else min(b - a, context)
            group.append((kind, b - keep, b, d - keep, d))
    return [codes for codes in [*groups, group] if any(kind != "equal" for kind, *_ in codes)]


def _work(old: list[str], new: list[str]) -> int:
    ours, theirs = Counter(old), Counter(new)
    pairs = sum(number * theirs[line] for line, number in ours.items() if line in theirs)
    return min(len(old), len(new)) * (len(old) + pairs)


def _compared(old: list[str], new: list[str], i: int, j: int) -> list[Opcode]:
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    return [(kind, i + a, i + b, j + c, j + d) for kind, a, b, c, d in matcher.get_opcodes()]


def _anchors(old: list[str], new: list[str]) -> list[tuple[int, int]]:
    """Return the lines that occur once in each text, as far as their order is the same in both."""
    ours, theirs = Counter(old), Counter(new)
    place = {line: at for at, line in enumerate(new) if theirs[line] == 1}
    pairs = [(at, place[line]) for at, line in enumerate(old) if ours[line] == 1 and line in place]
    # The longest increasing subsequence: `ends` has the smallest last place for each length.
    ends: list[int] = []
    last: list[int] = []
    before: list[int] = []
    for number, (_, at) in enumerate(pairs):
        length = bisect_left(ends, at)
        before.append(last[length - 1] if length else -1)
        if length == len(ends):
            ends.append(at)
            last.append(number)
        else:
            ends[length] = at
            last[length] = number
    chain = []
    number = last[-1] if last else -1
    while number >= 0:
        chain.append(pairs[number])
        number = before[number]
    return chain[::-1]


def _joined(codes: list[Opcode]) -> list[Opcode]:
    joined: list[Opcode] = []
    for kind, a, b, c, d in codes:
        if joined and joined[-1][0] == kind == "equal":
            joined[-1] = (kind, joined[-1][1], b, joined[-1][3], d)
        else:
            joined.append((kind, a, b, c, d))
    return joined

"""What came through the network of a step, as a lock has it: what follows `ARCH network KEY` in lines of results.

`reach any|listed|machine`: which hosts the step could ask (store/network_record.py).
`asked HOST:PORT`, `refused HOST:PORT`: a host that it asked, or that it was refused.
`fetched METHOD ADDRESS STATUS SHA256 SIZE`: an answer over plain HTTP.
`more N`: so many more there were that no line has.

No pin depends on them. They say what came through when the step gave the tree that the lock has for its key.
"""

from __future__ import annotations

from envbuild.record import values
from envbuild.store.network_record import ANY, LISTED, MACHINE, REACH_WORDS, Answer, NetworkRecord

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import TypeVar

    Item = TypeVar("Item", bound=str | Answer)
    Parts = tuple[str, ...]

MAX_HOSTS = 100
"""Hosts of one step that are listed, and as many that were refused."""
MAX_ANSWERS = 200
"""Answers of one step that are listed."""
MAX_LINES = 1000
"""Lines about the network in one lock that a build writes; steps that come first have theirs first."""
MAX_LINES_OF_STEP = 5000
"""Lines about one step that are read: merges may have put those of several builds together."""
_REACH = (MACHINE, ANY, LISTED)
"""The widest first."""
_MAX_PLACE = 300
_MAX_ADDRESS = 520
_MAX_METHOD = 20
_MAX_DIGITS = 18
_OF_PLACES = frozenset("abcdefghijklmnopqrstuvwxyz0123456789._-*[]:")


def parts_of(record: NetworkRecord) -> Iterator[Parts]:
    """Yield the lines of a record, each as its words."""
    yield "reach", record.mode
    yield from (("asked", _word(host)) for host in record.asked)
    yield from (("refused", _word(host)) for host in record.refused)
    for answer in record.answers:
        method, address = _word(answer.method), _word(answer.address)
        yield "fetched", method, address, str(answer.status), answer.sha256, str(answer.size)
    if record.more:
        yield "more", str(record.more)


def record_of(lines: Iterable[Parts]) -> NetworkRecord:
    """record_of(parts_of(record)) == record. Of several builds, as a merge leaves them, it is all that they say. Raises
    ValueError for what is no line about a network."""
    reach, asked, refused, answers, more = set[str](), set[str](), set[str](), set[Answer](), 0
    for number, line in enumerate(lines):
        match line:
            case _ if number >= MAX_LINES_OF_STEP:
                raise ValueError(f"it has more than {MAX_LINES_OF_STEP} lines about the network of one step")
            case ("reach", mode) if mode in _REACH:
                reach.add(mode)
            case ("asked", host) if _is_place(host):
                asked.add(host)
            case ("refused", host) if _is_place(host):
                refused.add(host)
            case ("fetched", method, address, status, digest, size) if _is_answer(method, address, status, size):
                if len(digest) != 64 or digest.strip("0123456789abcdef"):
                    raise ValueError(f"{digest[:100]!r} is not the sha256 of an answer")
                answers.add(Answer(method, address, int(status), digest, int(size)))
            case ("more", count) if _is_number(count):
                more = max(more, int(count))
            case _:
                raise ValueError(f"{' '.join(line)[:100]!r} is nothing that a lock says of the network of a step")
    mode = next((mode for mode in _REACH if mode in reach), ANY)
    return NetworkRecord(mode, tuple(sorted(asked)), tuple(sorted(refused)), tuple(sorted(answers, key=values)), more)


def joined(kept: NetworkRecord | None, own: NetworkRecord, most: int = MAX_LINES) -> NetworkRecord:
    """Return what a lock says of a step after a build: all that it says already, and what the build has beyond that, in
    `most` lines. An answer that differs from the kept one of the same address is not beyond it: the tree is the same.
    """
    if kept is None:
        kept = NetworkRecord(own.mode)
    room = max(most - 2, 0)
    asked, asked_left = _filled(kept.asked, own.asked, min(MAX_HOSTS, room))
    refused, refused_left = _filled(kept.refused, own.refused, min(MAX_HOSTS, room - len(asked)))
    known = {(answer.method, answer.address) for answer in kept.answers}
    others = [answer for answer in own.answers if (answer.method, answer.address) not in known]
    rest = room - len(asked) - len(refused)
    answers, answers_left = _filled(kept.answers, others, min(MAX_ANSWERS, rest))
    more = max(kept.more, own.more + asked_left + refused_left + answers_left)
    # The step's key says how far it reaches.
    return NetworkRecord(own.mode, asked, refused, answers, more)


def beyond(kept: NetworkRecord | None, own: NetworkRecord) -> list[str]:
    """Return what a build reached that a lock does not say of the same step."""
    if kept is None:
        kept = NetworkRecord(LISTED)
    wider = ["the whole network of the machine"] if own.mode == MACHINE and kept.mode != MACHINE else []
    return [*wider, *(host for host in own.asked if host not in kept.asked)]


def readable_network(records: Iterable[NetworkRecord], digits: int) -> Iterator[str]:
    """Yield a line for each thing that one of some steps asked, with so many digits of digests."""
    known = list(records)
    yield from (f"reaches {REACH_WORDS[mode]}" for mode in _REACH if any(record.mode == mode for record in known))
    yield from (f"asked {host}" for host in sorted({host for record in known for host in record.asked}))
    yield from (f"refused {host}" for host in sorted({host for record in known for host in record.refused}))
    answers = {
        f"fetched {answer.method} {answer.address} {answer.status} ({answer.sha256[:digits]}, {answer.size} bytes)"
        for record in known
        for answer in record.answers
    }
    yield from sorted(answers)
    more = sum(record.more for record in known)
    if more:
        yield f"and {more} more that are not listed"


def _filled(kept: Sequence[Item], own: Iterable[Item], most: int) -> tuple[tuple[Item, ...], int]:
    """Return the first `most` of what is kept and then of what a build has beside it, sorted, and how many are left."""
    items = list(dict.fromkeys((*kept, *own)))
    taken: list[Item] = sorted(items[:most], key=_order)
    return tuple(taken), len(items[most:])


def _order(item: str | Answer) -> tuple[object, ...]:
    return (item,) if isinstance(item, str) else values(item)


def _word(text: str) -> str:
    """Return a text as one word of a line."""
    if all("!" <= character <= "~" for character in text):
        return text
    return "".join(character if "!" <= character <= "~" else f"%{ord(character):02X}" for character in text)


def _is_place(text: str) -> bool:
    name, colon, port = text.rpartition(":")
    return bool(name and colon) and len(text) <= _MAX_PLACE and _OF_PLACES.issuperset(name) and _is_number(port)


def _is_answer(method: str, address: str, status: str, size: str) -> bool:
    if not all("!" <= character <= "~" for character in f"{method}{address}") or not address.startswith("http://"):
        return False
    fits = 0 < len(method) <= _MAX_METHOD and len(address) <= _MAX_ADDRESS and len(status) == 3 and status[0] in "12345"
    return fits and _is_number(status) and _is_number(size)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS

"""The merge of update-alternatives(1)'s records, and where the links then lead.

A record in /var/lib/dpkg/alternatives/NAME is: `auto` or `manual`; the link of the name; for each slave its name and
its link; an empty line; then for each choice its path, its priority, and a path for each slave; and an empty line
(dpkg, utils/update-alternatives.c, "alternative_save").
"""

from __future__ import annotations

from envbuild.merge.choices import THEIRS
from envbuild.merge.conflict import ABSENT, ALTERNATIVE, Clash, Sides
from envbuild.merge.records import BadDatabase, Outcome, merge_records
from envbuild.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from envbuild.merge.records import Prefer

FOLDER, LINKS = b"var/lib/dpkg/alternatives/", b"etc/alternatives/"
MAX_ALTERNATIVE = 1 << 20
"""Bytes of the record of one name."""
_MANUAL = "manual"

Choice = tuple[int, tuple[tuple[str, str], ...]]
"""The priority of a choice, and the path for each slave that it has one for."""


class Alternative(Record):
    """A name's record: `slaves` are their links by their names, `choices` are by path."""

    status: str
    link: str
    slaves: dict[str, str]
    choices: dict[str, Choice]

    @property
    def best(self) -> str:
        """The path of the choice with the highest priority, the first of equal ones; "" without any."""
        ranked = sorted(self.choices.items(), key=lambda choice: (-choice[1][0], choice[0]))
        return ranked[0][0] if ranked else ""

    def targets(self, path: str) -> dict[str, str | None]:
        """Return where the slaves' links in /etc/alternatives lead with a choice, None for those that are then gone."""
        _, given = self.choices[path]
        return {name: dict(given).get(name) or None for name in self.slaves}


def read_alternative(content: bytes) -> Alternative:
    """Return a record. Raises BadDatabase for what is none, and for paths that lead elsewhere than they say."""
    if b"\0" in content:
        raise BadDatabase
    lines = content.decode("utf-8", "surrogateescape").split("\n")
    try:
        status, link = lines[0], lines[1]
        at = 2
        slaves: dict[str, str] = {}
        while lines[at]:
            slaves[lines[at]] = lines[at + 1]
            at += 2
        at += 1
        choices: dict[str, Choice] = {}
        while lines[at]:
            priority, paths = lines[at + 1], lines[at + 2 : at + 2 + len(slaves)]
            if len(priority) > 11 or len(paths) < len(slaves) or lines[at] in choices:
                raise BadDatabase
            choices[lines[at]] = int(priority), tuple(zip(slaves, paths, strict=True))
            at += 2 + len(slaves)
    except (IndexError, ValueError) as error:
        raise BadDatabase from error
    if any(lines[at:]):
        raise BadDatabase
    if status not in ("auto", _MANUAL) or not all(map(is_plain, (link, *slaves.values(), *choices))):
        raise BadDatabase
    if any("/" in name or name in ("", ".", "..") for name in slaves):
        raise BadDatabase
    return Alternative(status, link, slaves, choices)


def is_plain(path: str) -> bool:
    """Return whether a path is absolute, and its parts are names."""
    return path.startswith("/") and not any(part in ("", ".", "..") for part in path[1:].split("/"))


def write_alternative(alternative: Alternative) -> bytes:
    """write_alternative(read_alternative(content)) == content, for what update-alternatives wrote."""
    lines = [alternative.status, alternative.link]
    for name, link in alternative.slaves.items():
        lines += [name, link]
    lines.append("")
    for path, (priority, given) in alternative.choices.items():
        paths = dict(given)
        lines += [path, str(priority), *(paths.get(name, "") for name in alternative.slaves)]
    return "\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape")


def merge_alternatives(base: bytes, ours: bytes, theirs: bytes, prefer: Prefer) -> Outcome:
    """Return the merge of a name's record: choices by their paths. Raises BadDatabase."""
    nothing = Alternative("auto", "", {}, {})
    before = read_alternative(base) if base else nothing
    # Who removed a name removed its choices: the rest is as the other side has it.
    left, right = (read_alternative(text) if text else before.replace(choices={}) for text in (ours, theirs))
    clashes: list[Clash] = []
    settled: list[str] = []

    def pick(subject: str, sides: Sides) -> str:
        was, our, their = sides
        if our == their or their == was:
            return our
        if our == was:
            return their
        side = prefer(subject, "")
        if side:
            settled.append(subject)
        else:
            clashes.append(Clash(subject, Sides(*(text or ABSENT for text in sides)), kind=ALTERNATIVE))
        return their if side == THEIRS else our

    def never(was: object, our: object, their: object) -> None:
        return None

    slaves, apart = merge_records(before.slaves, left.slaves, right.slaves, never)
    for name in apart:
        place = pick(f"link of {name}", Sides(*(side.slaves.get(name, "") for side in (before, left, right))))
        slaves.pop(name, None)
        slaves |= {name: place} if place else {}
    choices, apart = merge_records(before.choices, left.choices, right.choices, _join)
    for path in apart:
        shown = Sides(*(_priority(side, path) for side in (before, left, right)))
        if pick(f"choice {path}", shown) == shown.theirs and path in right.choices:
            choices[path] = right.choices[path]
    status = pick("status", Sides(before.status, left.status, right.status))
    link = pick("link", Sides(before.link, left.link, right.link))
    if not choices:
        return Outcome(b"", tuple(clashes), tuple(settled))
    merged = Alternative(status, link, dict(sorted(slaves.items())), dict(sorted(choices.items())))
    return Outcome(write_alternative(merged), tuple(clashes), tuple(settled))


def _priority(side: Alternative, path: str) -> str:
    return str(side.choices[path][0]) if path in side.choices else ""


def _join(was: Choice | None, ours: Choice, theirs: Choice) -> Choice | None:
    """Return a choice to which both added paths of slaves."""
    if ours[0] != theirs[0]:
        return None
    paths = dict(theirs[1]) | {name: path for name, path in ours[1] if path}
    if any(path and paths[name] != path for name, path in theirs[1]):
        return None
    return ours[0], tuple(sorted(paths.items()))

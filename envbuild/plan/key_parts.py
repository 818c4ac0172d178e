"""The parts that a step's key is made of, kept beside its result: a later build can say which of them differ."""

from __future__ import annotations

from envbuild.plan.step import Action, Execute, InstallPackages, Step
from envbuild.record import Record, values
from envbuild.text import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_WORDS = {
    "argv": "command",
    "from_": "from",
    "workdir": "working directory",
    "caches": "cache=",
    "secrets": "secret=",
    "mounts": "mount=",
    "shown": "mount=",
    "tmpfs": "tmpfs=",
    "devices": "device=",
    "sources": "what is copied",
    "exclude": "exclude=",
    "include": "include=",
    "variables": "parameters",
    "wanted": "packages",
}
"""What a field of an action is called in front of a user, where its own name is not the word."""


class Input(Record):
    """What a step took from elsewhere: its name for a user, the letter of its kind (tree/entry.py; "" where it is no
    entry) and its digest, for a folder that of the tree."""

    name: str
    kind: str
    digest: str


class Parts(Record):
    """All that went into one key. `fields` are those of the action as JSON types; `parent` is the tree's digest."""

    action: str
    fields: tuple[tuple[str, object], ...]
    discard: tuple[str, ...]
    parent: str
    inputs: tuple[Input, ...]
    epoch: int
    owners_kept: bool = True


def parts_of(step: Step, parent: str, inputs: Sequence[Input], epoch: int, *, owners_kept: bool = True) -> Parts:
    """Return the parts of a step's key (plan/key.py)."""
    kept = owners_kept or not isinstance(step.action, (Execute, InstallPackages))
    return Parts(type(step.action).__name__, _fields(step.action), step.discard, parent, tuple(inputs), epoch, kept)


def dump(parts: Parts) -> str:
    """load(dump(parts)) == parts."""
    plain = [
        parts.action,
        parts.fields,
        parts.discard,
        parts.parent,
        [values(taken) for taken in parts.inputs],
        parts.epoch,
        parts.owners_kept,
    ]
    return json.dumps(plain, separators=(",", ":"))


def load(text: str) -> Parts | None:
    """Return the parts that `dump` wrote; None for another text, such as a damaged one: they only serve to explain."""
    try:
        action, fields, discard, parent, inputs, epoch, owners_kept = json.loads(text)
        parts = Parts(
            action,
            tuple((str(name), _frozen(value)) for name, value in fields),
            tuple(discard),
            parent,
            tuple(Input(*map(str, taken)) for taken in inputs),
            epoch,
            owners_kept,
        )
        hash(parts)  # what can't be hashed was never a step's
    except (ValueError, TypeError, RecursionError):
        return None
    return parts


def own_differences(before: Parts, after: Parts) -> Iterator[str]:
    """Return what differs that needs no look at trees: the action, what is discarded, the epoch. One text for each."""
    if before.action != after.action:
        yield f"it is another statement now ({before.action} before, {after.action} now)"
        return
    old = dict(before.fields)
    new = dict(after.fields)
    for name in {**new, **old}:
        if old.get(name) != new.get(name):
            yield from _difference(name, old.get(name), new.get(name))
    if before.discard != after.discard:
        yield from _members("discard", before.discard, after.discard)
    if before.epoch != after.epoch:
        yield f"SOURCE_DATE_EPOCH changed: {before.epoch} -> {after.epoch}"
    if before.owners_kept != after.owners_kept:
        yield (
            "it ran with a single id before"
            if after.owners_kept
            else "it ran with all ids before, now with a single one"
        )


def _difference(name: str, old: object, new: object) -> Iterator[str]:
    word = _WORDS.get(name, name)
    if name == "argv" and isinstance(old, tuple) and isinstance(new, tuple) and old and new:
        if old[:-1] != new[:-1]:
            yield f"shell changed: {' '.join(map(str, old[:-2]))} -> {' '.join(map(str, new[:-2]))}"
        if old[-1] != new[-1]:
            yield f"command changed: {_short(old[-1])} -> {_short(new[-1])}"
    elif name in ("environment", "parameters", "variables"):
        before, after = _pairs(old), _pairs(new)
        for key in sorted(before.keys() | after.keys()):
            if before.get(key) != after.get(key):
                what = "parameter" if name != "environment" else "environment variable"
                yield f"{what} {key} {_change(before.get(key), after.get(key))}"
    elif isinstance(old if new is None else new, tuple):
        yield from _members(word, _tuple(old), _tuple(new))
    elif isinstance(old if new is None else new, bool):
        yield f"{word} is {'gone' if new is None else 'new'}"
    else:
        yield f"{word} {_change(old, new)}"


def _members(word: str, old: Sequence[object], new: Sequence[object]) -> Iterator[str]:
    removed = [member for member in old if member not in new]
    added = [member for member in new if member not in old]
    for member in removed:
        yield f"{word}: {_text(member)} is gone"
    for member in added:
        yield f"{word}: {_text(member)} is new"
    if not removed and not added:
        yield f"{word}: another order"


def _tuple(value: object) -> tuple[object, ...]:
    return value if isinstance(value, tuple) else ()


def _change(old: object, new: object) -> str:
    if old is None:
        return f"is new: {_short(new)}"
    return "is gone" if new is None else f"changed: {_short(old)} -> {_short(new)}"


def _short(value: object) -> str:
    """Return a value in one short line."""
    text = " ".join(_text(value).split()) or "''"
    return text if len(text) <= 60 else text[:57] + "..."


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ":".join(str(part) for part in value if part not in (None, ""))
    return str(value)


def _pairs(value: object) -> dict[str, str]:
    return {str(pair[0]): str(pair[1]) for pair in value} if isinstance(value, tuple) else {}


def _fields(action: Action) -> tuple[tuple[str, object], ...]:
    # The folder only says where paths are looked up: as for the key.
    later = action.__field_defaults__
    fields = [(name, getattr(action, name)) for name in action.__match_args__ if name != "folder"]
    return tuple((name, _plain(value)) for name, value in fields if name not in later or value != later[name])


def _plain(value: object) -> object:
    if isinstance(value, Record):
        return tuple(
            _plain(field) for name, field in zip(value.__match_args__, values(value), strict=True) if name != "folder"
        )
    return tuple(_plain(item) for item in value) if isinstance(value, tuple) else value


def _frozen(value: object) -> object:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value

"""The difference between two images in one line, kept in the store since images never change."""

from __future__ import annotations

from envbuild.errors import EnvbuildError
from envbuild.history.compare import Comparison, compare
from envbuild.history.explained_changes import PackageDifference
from envbuild.history.network_changes import COMMIT
from envbuild.history.operand import operand_of_image
from envbuild.history.packages_in_brief import FOLDED, packages_in_brief
from envbuild.store.database import StoreDamaged
from envbuild.store.store import Store
from envbuild.text.enumeration import first_of
from envbuild.tree.diff import Change
from envbuild.tree.entry import Digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from envbuild.history.causes import Cause

KIND = "change 4"
"""The kind of the lines in the store's memo; a new form of the line needs a new number."""
_EARLIER = ("change 3", "change 2", "change 1")
"""Earlier forms, which are all that is left of images that were removed."""
_MAX_SHOWN = 3


def change_between(store: Store, old: Digest, new: Digest) -> str:
    """Return the packages and files that differ between two images in one line; "" if an image is gone and the line was
    not kept. Raises PermissionError for files that only the image's users may read."""
    if old == new:
        return "the same image"
    key = f"{old} {new}"
    known = store.memo.get(KIND, key)
    if known is not None:
        return known.decode()
    before, after = store.images.get(old), store.images.get(new)
    if before is None or after is None:
        kept = (store.memo.get(kind, key) for kind in _EARLIER)
        return next((line.decode() for line in kept if line is not None), "")
    try:
        text = _line(compare(store, operand_of_image(store, "", before), operand_of_image(store, "", after)))
    except StoreDamaged:
        return ""
    store.memo.put(KIND, key, text.encode())
    return text


def _line(comparison: Comparison) -> str:
    brief = packages_in_brief(
        (difference.change.verb, _name(difference), difference.asked) for difference in comparison.packages
    )
    # What the recipe asks for comes first; all else follows from it, or is to be looked at.
    parts = [brief] if brief else []
    moved = [change for change in comparison.network if change.kind == COMMIT and change.verb == "changed"]
    if moved:
        named = [f"{change.name.split('/', 3)[-1]} {change.new[:12]}" for change in moved[:_MAX_SHOWN]]
        more = f" and {len(moved) - _MAX_SHOWN} more" if len(moved) > _MAX_SHOWN else ""
        parts.append(f"fetched {', '.join(named)}{more}")
    if comparison.notices:
        # The first of each kind, so that many of one kind never hide another.
        by_kind = {notice.kind: notice for notice in reversed(comparison.notices)}
        first = sorted(by_kind.values(), key=comparison.notices.index)
        chosen = [*first, *(notice for notice in comparison.notices if notice not in first)][
            : max(_MAX_SHOWN, len(first))
        ]
        named = [_path(notice.change) + (f" ({notice.reason})" if notice.reason else "") for notice in chosen]
        more = f" and {len(comparison.notices) - len(chosen)} more" if len(comparison.notices) > len(chosen) else ""
        parts.append(f"look at {', '.join(named)}{more}")
    if comparison.machine is not None:
        parts += [_cause(cause) for cause in comparison.machine.causes]
    by_verb: dict[str, list[str]] = {}
    for difference in sorted(comparison.packages, key=lambda difference: not difference.asked):
        name, verb = _name(difference), difference.change.verb
        if brief and verb in FOLDED:
            continue
        if verb in ("upgraded", "downgraded") and difference.change.new is not None:
            name = f"{name} {difference.change.new.version}"
        by_verb.setdefault(verb, []).append(name)
    for verb in ("upgraded", "downgraded", "added", "removed", "rebuilt"):
        names = by_verb.get(verb, [])
        if names:
            parts.append(f"{verb} {first_of(names, _MAX_SHOWN)}")
    if comparison.facts:
        parts.append(f"facts {first_of([fact.name for fact in comparison.facts], _MAX_SHOWN)}")
    others = [_path(change) for change in comparison.others]
    if others:
        word = f"{'other ' if comparison.notices else ''}path{'s' if len(others) > 1 else ''}"
        parts.append(f"{len(others)} {word}: {first_of(others, _MAX_SHOWN)}")
    if not parts:
        count = len(comparison.times) + len(comparison.records)
        files = f"{count} file{'s' * (count > 1)}"
        parts.append(f"{files} of package managers, or with only another time" if count else "nothing")
    return "; ".join(parts)


def _cause(cause: Cause) -> str:
    """Return what was done to a machine in a word or two: `users anna`, `time zone Asia/Tokyo`."""
    from envbuild.history.causes import ZONE  # only of captures
    from envbuild.history.state_changes import ADDED

    if cause.name == ZONE:
        named = [record.fields[-1] for record in cause.records if record.verb == ADDED]
    else:
        named = [record.subject for record in cause.records if not record.subject.startswith("(")] or [
            _path(change) for change in cause.listed
        ]
    names = list(dict.fromkeys(filter(None, named)))
    return f"{cause.name} {first_of(names, _MAX_SHOWN)}" if names else cause.name


def _name(difference: PackageDifference) -> str:
    package = difference.change.package
    return package.name.partition(":")[0] if package.kind == "dpkg" else package.name


def _path(change: Change) -> str:
    return "/" + change.path.decode("utf-8", "backslashreplace")


def remember_changes(store: Store, gone: set[Digest]) -> None:
    """Keep the line for each entry of the history that has one of these images, before they are removed."""
    for name, tag in store.tags.with_history():
        newer: Digest | None = None
        for entry in store.tags.history(name, tag):
            if entry.image is not None and newer is not None and (entry.image in gone or newer in gone):
                try:
                    change_between(store, entry.image, newer)
                except (EnvbuildError, PermissionError):
                    pass  # what can't be read now can't be read later either
            newer = entry.image or newer

"""The requirements between groups, read from the records of the packages in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from envbuild.bisect.differences import Group, PathPart, StanzaPart
from envbuild.bisect.package_needs import debian_state, node_states, python_state
from envbuild.bisect.requirements import ABSENT, States, requirements
from envbuild.bisect.status_stanzas import StatusChanges
from envbuild.packages.inventory.bad_record import MAX_JSON, MAX_RECORD
from envbuild.store.objects import Objects
from envbuild.tree.entry import FILE, Entry

_METADATA = (".dist-info/METADATA", ".egg-info/PKG-INFO")
_MODULES = "node_modules/"
_MANIFEST = "/package.json"


def required_groups(objects: Objects, groups: Sequence[Group], status: StatusChanges | None) -> dict[int, set[int]]:
    """Return which groups each group requires, by numbers. Raises StoreDamaged."""
    required: dict[int, set[int]] = {}
    unchanged = [] if status is None else [debian_state(text) for text in status.unchanged]
    for packages, fixed in (
        (_of_debian(groups), unchanged),
        (_of_python(objects, groups), []),
        (_of_node(objects, groups), []),
    ):
        changed: dict[int, list[States]] = {}
        for number, states in packages:
            changed.setdefault(number, []).append(states)
        for number, others in requirements(changed, fixed).items():
            required.setdefault(number, set()).update(others)
    return required


def _of_debian(groups: Sequence[Group]) -> Iterator[tuple[int, States]]:
    for number, group in enumerate(groups):
        for part in group.parts:
            if isinstance(part, StanzaPart):
                yield number, (debian_state(part.before), debian_state(part.after))


def _of_python(objects: Objects, groups: Sequence[Group]) -> Iterator[tuple[int, States]]:
    for number, path, part in _records(groups):
        if path.endswith(_METADATA) and "-packages/" in path:
            where = path.rpartition("/")[0].rpartition("/")[0]
            contents = [_content(objects, entry, MAX_RECORD) for entry in (part.before, part.after)]
            old, new = (ABSENT if content is None else python_state(content, where) for content in contents)
            yield number, (old, new)


def _of_node(objects: Objects, groups: Sequence[Group]) -> Iterator[tuple[int, States]]:
    numbers: dict[str, int] = {}
    manifests: dict[str, tuple[bytes | None, bytes | None]] = {}
    for number, path, part in _records(groups):
        folder = path.removesuffix(_MANIFEST)
        name = folder.rpartition(_MODULES)[2]
        if path.endswith(_MANIFEST) and _MODULES in path and name.count("/") == name.startswith("@"):
            numbers[folder] = number
            manifests[folder] = (
                _content(objects, part.before, MAX_JSON),
                _content(objects, part.after, MAX_JSON),
            )
    for folder, states in node_states(manifests).items():
        yield numbers[folder], states


def _records(groups: Sequence[Group]) -> Iterator[tuple[int, str, PathPart]]:
    for number, group in enumerate(groups):
        for part in group.parts:
            if isinstance(part, PathPart):
                yield number, part.path.decode("utf-8", "surrogateescape"), part


def _content(objects: Objects, entry: Entry | None, most: int) -> bytes | None:
    return objects.read(entry) if entry is not None and entry.kind == FILE and entry.size <= most else None

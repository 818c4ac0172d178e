"""The layers that an image of the store is exported in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from envbuild.debian.deb822 import stanzas
from envbuild.images.build_steps import build_steps
from envbuild.oci.layer_groups import MAX_LAYERS, Layer, Step, by_steps, grouped, whole
from envbuild.packages.inventory.owners import INFO, owners_of
from envbuild.store.images import Image
from envbuild.store.store import Store
from envbuild.tree.entry import Digest

STEPS = "steps"
_STATUS = "var/lib/dpkg/status"
_MAX_STATUS = 64 << 20
_BYTECODE = b"/__pycache__/"


def layers_of(store: Store, image: Image, layering: str | int = MAX_LAYERS) -> list[Layer]:
    """Return the layers of an image, lowest first: at most so many, or one for each step (STEPS)."""
    if layering == 1:
        return [whole(store.trees, image.tree, "all files")]
    base, steps = lineage_of(store, image)
    if layering == STEPS:
        return by_steps(store.trees, base, steps, image.tree)
    assert isinstance(layering, int)
    return grouped(store.trees, base, image.tree, steps, lambda paths: _units_of(store, image.tree, paths), layering)


def lineage_of(store: Store, image: Image) -> tuple[Step | None, list[Step]]:
    """Return what an image began with, None if its tree is not there any more or has nothing, and the steps since then:
    also those of stages and recipes that its stage stands on."""
    steps: list[Step] = []
    base: Step | None = None
    seen: set[Digest] = set()
    current: Image | None = image
    while current is not None and current.digest not in seen:
        seen.add(current.digest)
        base, earlier = _own_lineage(current)
        steps = [*earlier, *steps]
        current = store.images.of_tree(base.after) if base is not None else None
    steps = [step for step in steps if store.trees.has(step.before) and store.trees.has(step.after)]
    if base is None or not store.trees.has(base.after) or not any(store.trees.load(base.after)):
        return None, steps
    return base, steps


def _own_lineage(image: Image) -> tuple[Step | None, list[Step]]:
    bases: dict[str, Step] = {}
    steps: dict[str, list[Step]] = {}
    last = ""
    for step in build_steps(image):
        if step.base:
            bases[step.stage] = Step(step.text, "", step.tree)
            steps[step.stage] = []
            last = step.stage
        else:
            steps[step.stage].append(Step(step.text, step.before, step.tree))
    if not last:
        return None, []
    own = steps[last]
    base = bases[last]
    # A stage that stands on another one goes on with its steps.
    for _ in bases:
        below = next((name for name in bases if name != last and _result(bases, steps, name) == base.after), None)
        if below is None:
            break
        own = [*steps[below], *own]
        base, last = bases[below], below
    return base, own


def _result(bases: Mapping[str, Step], steps: Mapping[str, Sequence[Step]], stage: str) -> Digest:
    return steps[stage][-1].after if steps[stage] else bases[stage].after


def _units_of(store: Store, tree: Digest, paths: Sequence[bytes]) -> dict[bytes, str]:
    """Return the package of each path that belongs to one: for Debian's the source that it is built from."""
    sources = dict(_sources(store, tree))
    asked = {path: _source_path(path) for path in paths}
    owners = owners_of(store, tree, {*asked, *asked.values()})
    units = {}
    for path, source in asked.items():
        owner = owners.get(path) or owners.get(source) or _of_records(path)
        if owner:
            units[path] = sources.get(owner, owner)
    return units


def _sources(store: Store, tree: Digest) -> Iterator[tuple[str, str]]:
    content = store.read_file(tree, _STATUS, _MAX_STATUS)
    for fields in stanzas(content.decode("utf-8", "replace")) if content is not None else ():
        name = fields.get("package", "")
        yield name, fields.get("source", name).partition(" ")[0]


def _source_path(path: bytes) -> bytes:
    """Return the module that a file of bytecode was made of (PEP 3147), of other files the path itself."""
    folder, mark, name = path.rpartition(_BYTECODE)
    return folder + b"/" + name.partition(b".")[0] + b".py" if mark else path


def _of_records(path: bytes) -> str:
    """Return the package that a file of dpkg's own records is about."""
    folder, _, name = path.rpartition(b"/")
    if folder != INFO:
        return ""
    return name.rpartition(b".")[0].partition(b":")[0].decode(errors="surrogateescape")

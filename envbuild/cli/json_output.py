"""An image as the commands show it: the JSON form that `images` and `show` document."""

from __future__ import annotations

import json

from envbuild.images.build_steps import BuildStep, build_steps
from envbuild.images.find import facts_of
from envbuild.images.names import place_of
from envbuild.plan.image_config import to_plain
from envbuild.store.images import Image
from envbuild.store.network_record import records_of
from envbuild.store.project import split_project
from envbuild.store.store import Store
from envbuild.text.dates import iso
from envbuild.tree.diff import amount, removed_amount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from envbuild.lockfile.lock import Lock
    from envbuild.store.tags import Tag


def describe(store: Store, image: Image, *, sizes: bool = False) -> dict[str, Any]:
    """Return the documented form (docs/commands.md), with the `sizes` of steps if they are asked for.

    Digests begin with `sha256:`; sizes in bytes, times in ISO 8601.
    """
    detail = image.known
    tags = store.tags.all(image.digest)
    files, size = store.size(image.tree)
    networks = records_of(store.database, detail)
    bases = [step for step in build_steps(image) if step.base]
    steps = [
        {
            "number": step.number,
            "stage": step.stage,
            "text": step.text,
            "file": step.known["file"],
            "line": step.known["line"],
            "kind": step.kind,
            "key": step.known["key"],
            "tree": f"sha256:{step.tree}",
            "seconds": step.known["seconds"],
            "owners_kept": step.known["owners_kept"],
            **(_sizes(store, step) if sizes else {}),
            **({"commit": step.known["commit"][1]} if "commit" in step.known else {}),
            **({"network": networks[step.known["key"]].plain} if step.known["key"] in networks else {}),
        }
        for step in build_steps(image)
        if not step.base
    ]
    stages = [
        {
            "stage": base.stage,
            "base": base.known["base"],
            "origin": base.known["origin"],
            "tree": f"sha256:{base.tree}",
            "number": base.number,
            **(_sizes(store, base) if sizes else {}),
        }
        for base in bases
    ]
    return {
        "name": detail.get("recipe", ""),
        "tags": [store.projects.shown(tag.full) for tag in tags],
        "project": _project(store, tags),
        "digest": f"sha256:{image.digest}",
        "tree": f"sha256:{image.tree}",
        "made": iso(image.made),
        "files": files,
        "size": size,
        "facts": to_plain(facts_of(image)),
        "parameters": detail.get("parameters", {}),
        "stages": stages,
        "steps": steps,
    }


def lock_plain(lock: Lock) -> dict[str, Any]:
    """Return the documented form of what a lock says of an image that is not at hand."""
    return {
        "name": lock.recipe,
        "digest": f"sha256:{lock.image}" if lock.image else "",
        "in_store": False,
        "size": lock.size,
        "parameters": dict(lock.parameters),
        "stages": [
            {
                "stage": stage.name,
                "base": stage.base,
                "origin": stage.origin,
                "digest": f"sha256:{stage.digest}" if stage.digest else "",
                "packages": [
                    {"manager": install.manager, "name": package.name, "version": package.version, "hash": package.hash}
                    for install in stage.installs
                    for package in install.packages
                ],
            }
            for stage in lock.stages
        ],
        "network": [{"key": key, **record.plain} for key, record in sorted(lock.results.network.items())],
    }


def _sizes(store: Store, step: BuildStep) -> dict[str, int | None]:
    """Return what a step added and removed, in the words of a build's events; null where `gc` removed its tree."""
    if not all(store.trees.has(tree) for tree in (step.before, step.tree) if tree):
        return dict.fromkeys(("files", "size", "removed", "freed"))
    if step.base:
        files, size = store.size(step.tree)
        return {"files": files, "size": size, "removed": 0, "freed": 0}
    files, size = amount(store.trees, step.before, step.tree)
    removed, freed = removed_amount(store.trees, step.before, step.tree)
    return {"files": files, "size": size, "removed": removed, "freed": freed}


def _project(store: Store, tags: Sequence[Tag]) -> dict[str, str] | None:
    """Return the project that these tags are of, None if they are of none; the current one, if they are of several."""
    projects = dict.fromkeys(filter(None, (split_project(tag.name)[0] for tag in tags)))
    here = place_of(".").id if len(projects) > 1 else ""
    project = store.projects.get(here if here in projects else next(iter(projects), ""))
    return {"name": store.projects.name(project.id), "path": project.path} if project is not None else None


def add_format(parser: Any) -> None:
    """Add the option `--format`, the same for each command that lists or shows."""
    parser.add_argument("--format", choices=("text", "json"), default="text", help="print text or JSON")


def print_json(value: object, stream: Any) -> None:
    """Write one JSON document, indented, names in a fixed order. Characters that can't be seen, which a terminal may
    act on and a stream may not take, are escaped as JSON has it."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    if not text.replace("\n", "").isprintable():
        text = "".join(
            character if character == "\n" or character.isprintable() else json.dumps(character)[1:-1]
            for character in text
        )
        text = text.replace("\x7f", "\\u007f")
    stream.write(text + "\n")

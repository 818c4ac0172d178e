"""What differs between two images of registries, by their manifests and configurations alone."""

from __future__ import annotations

import json
from typing import Any

from envbuild.oci.manifest import MAX_CONFIG, Config, read_config
from envbuild.record import Record
from envbuild.registry.client import Repository
from envbuild.registry.reference import RegistryReference
from envbuild.sharing.pull import Remote, resolve
from envbuild.store.database import StoreDamaged
from envbuild.store.record_text import DETAIL, read_text

_MOST = 200
"""Characters of a value that is shown."""


class Layer(Record):
    """A layer: its digest, its bytes as they travel, and what made it, as its image says."""

    digest: str
    size: int
    title: str


class Described(Record):
    """An image of a registry, as far as its documents go."""

    remote: Remote
    config: Config


class Difference(Record):
    """What differs: facts, and packages that statements asked for (`apt nginx`), with their old and new values ("" for
    none), layers that only the old or the new image has; and how many are in both."""

    facts: tuple[tuple[str, str, str], ...]
    packages: tuple[tuple[str, str, str], ...]
    removed: tuple[Layer, ...]
    added: tuple[Layer, ...]
    same: int
    manifests: tuple[str, str]

    @property
    def to_fetch(self) -> int:
        """The bytes of the layers that only the new image has."""
        return sum(layer.size for layer in self.added)

    def plain(self) -> dict[str, Any]:
        """Return it as JSON types."""
        return {
            "manifests": list(self.manifests),
            "facts": [{"name": name, "old": old, "new": new} for name, old, new in self.facts],
            "packages": [{"name": name, "old": old, "new": new} for name, old, new in self.packages],
            "removed": [_plain(layer) for layer in self.removed],
            "added": [_plain(layer) for layer in self.added],
            "same": self.same,
            "to_fetch": self.to_fetch,
        }


def describe(repository: Repository, reference: RegistryReference, architecture: str, variant: str) -> Described:
    """Return what a registry says of an image. Raises BadImage and what asking raises."""
    remote = resolve(repository, reference, architecture, variant)
    content = repository.small_blob(remote.manifest.config, MAX_CONFIG, "the configuration")
    return Described(remote, read_config(content, reference.text))


def compare(old: Described, new: Described) -> Difference:
    """Return what differs between two images."""
    facts = _differing(_facts(old.config), _facts(new.config))
    packages = _differing(_packages(old.config), _packages(new.config))
    layers = [_layers(image) for image in (old, new)]
    known = [{layer.digest for layer in each} for each in layers]
    return Difference(
        facts,
        packages,
        tuple(layer for layer in layers[0] if layer.digest not in known[1]),
        tuple(layer for layer in layers[1] if layer.digest not in known[0]),
        sum(layer.digest in known[0] for layer in layers[1]),
        (old.remote.descriptor.digest, new.remote.descriptor.digest),
    )


def _differing(before: dict[str, str], after: dict[str, str]) -> tuple[tuple[str, str, str], ...]:
    names = sorted({*before, *after})
    return tuple(
        (name, before.get(name, ""), after.get(name, "")) for name in names if before.get(name) != after.get(name)
    )


def _packages(config: Config) -> dict[str, str]:
    """Return the packages that the statements of an image's recipe came to, with their versions, as far as its
    configuration says."""
    detail = config.own.get("detail")
    try:
        known = read_text(detail, DETAIL, "an image") if isinstance(detail, str) else {}
    except StoreDamaged:
        return {}
    return {
        f"{manager} {name}"[:_MOST]: version[:_MOST]
        for stage in known.get("stages", ())
        for step in stage["steps"]
        for manager, name, version, _ in step.get("packages", ())
    }


def _facts(config: Config) -> dict[str, str]:
    facts = {name: _text(value) for name, value in config.settings.items() if value not in (None, "", [], {})}
    env = config.settings.get("Env")
    if isinstance(env, list) and all(isinstance(item, str) for item in env):
        del facts["Env"]
        facts.update({f"Env {item.partition('=')[0]}": item.partition("=")[2][:_MOST] for item in env})
    platform = "/".join(filter(None, (config.architecture, config.variant)))
    return {**facts, "platform": platform, **({"created": config.created} if config.created else {})}


def _text(value: object) -> str:
    return (value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False))[:_MOST]


def _layers(image: Described) -> list[Layer]:
    manifest = image.remote.manifest
    titles = image.config.titles
    return [
        Layer(layer.digest, layer.size, titles[number][:_MOST] if number < len(titles) else "")
        for number, layer in enumerate(manifest.layers)
    ]


def _plain(layer: Layer) -> dict[str, Any]:
    return {"digest": layer.digest, "size": layer.size, "title": layer.title}

"""Crates, Go modules and Maven artifacts that an image was built with, as the build noted them.

What is compiled has no record in the tree that it ends in. So these are listed with the stage that took them from a
project's lock, also where only that stage's results were copied; no file of the tree is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator

from envbuild.images.ancestry import with_those_below
from envbuild.packages.go_names import GO_MOD
from envbuild.packages.inventory.component import CARGO, GO, MAVEN, Component
from envbuild.packages.maven_names import JAR, POM, Coordinates
from envbuild.packages.plain_names import plain_name
from envbuild.store.images import Image
from envbuild.store.store import Store


def locked_packages(store: Store, image: Image) -> Iterator[Component]:
    """Yield what the stages of an image, and of those that it stands on, took from locks of projects."""
    seen: set[tuple[str, ...]] = set()
    for stage in (stage for known in with_those_below(store, image) for stage in known.known.get("stages", [])):
        for step in stage["steps"]:
            for manager, name, version, digest in step.get("packages", []):
                # Of a go.mod and a pom nothing is compiled.
                if manager not in (CARGO, GO, MAVEN) or (manager == GO and name.endswith(GO_MOD)):
                    continue
                meant = Coordinates.of_name(name) if manager == MAVEN else None
                if meant is not None and meant.extension == POM:
                    continue
                if (manager, name, version) not in seen:
                    seen.add((manager, name, version))
                    yield Component(
                        manager,
                        plain_name(name),
                        version,
                        "",
                        "",
                        (),
                        hash=digest,
                        stage=stage["stage"],
                        qualifiers=_qualifiers(meant) if meant is not None else "",
                    )


def _qualifiers(meant: Coordinates) -> str:
    """Return what a package URL says of a file that is not an artifact's plain jar (package-url/purl-spec: maven)."""
    classifier = f"classifier={meant.classifier}" if meant.classifier else ""
    kind = f"type={meant.extension}" if meant.extension != JAR else ""
    return "&".join(filter(None, (classifier, kind)))

"""Runs of the test in an image as it is, as commits have them."""

from __future__ import annotations

from envbuild.bisect.probe import Candidate, Probe, Prober, Surroundings
from envbuild.bisect.verdict import Observation
from envbuild.build.sandbox_worker import Worker
from envbuild.images.find import facts_of
from envbuild.store.images import Image
from envbuild.store.store import Store
from envbuild.tree.entry import Digest


class _StoreLayers:
    """The layers that a store has of a tree."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def of(self, _selection: int, tree: Digest) -> tuple[str, ...]:
        return self._store.layers(tree)


def try_image(
    store: Store, worker: Worker, image: Image, probe: Probe, runs: int, around: Surroundings
) -> tuple[list[Observation], int]:
    """Run the test in an image until there are so many runs, with those that are remembered; return all, and how many
    ran now. The process is root of the user namespace and uses the store (`share`)."""
    prober = Prober(store, worker, _StoreLayers(store), probe, around)
    candidate = Candidate(0, image.tree, facts_of(image))
    seen = prober.known(candidate)
    ran = 0
    while len(seen) < runs:
        seen.append(prober.run(candidate, prober.request(candidate)))
        ran += 1
    if ran:
        prober.remember(candidate, seen)
    return seen, ran

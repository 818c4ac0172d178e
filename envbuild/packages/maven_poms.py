"""The poms that Maven reads to build without a network: those of the artifacts, those above each, those imported, and
those that only say that an artifact has another name by now.

Maven itself is not run: what poms say is read as data, level by level, and each pom is fetched once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set

from envbuild.packages.maven_lineage import Lineage, Versions
from envbuild.packages.maven_names import CENTRAL, Coordinates, RepositoryOrigin
from envbuild.packages.maven_pom import BadPom, Pom

MAX_POMS = 20_000
"""Poms that are asked for in all."""
MAX_PARENTS = 50
MAX_ROUNDS = 100
"""How deep imports may import others, and moved artifacts move again."""

Wanted = Mapping[Coordinates, RepositoryOrigin]
"""Poms, with the repository that is asked first."""
Fetch = Callable[[Sequence[tuple[Coordinates, RepositoryOrigin]]], Mapping[Coordinates, Pom]]
"""What returns poms, without those that no repository has."""


class Poms:
    """The poms of a project. `kept` are those that Maven reads, as far as they are known."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._known: dict[Coordinates, Pom | None] = {}
        self._managed: dict[Coordinates, Versions] = {}
        self.kept: dict[Coordinates, RepositoryOrigin] = {}

    def follow(self, read: Wanted, chosen: Set[Coordinates]) -> None:
        """Fetch the poms of artifacts, and all that these lead to. Of `chosen`, also what they need is looked at: the
        lock has that by its name of today. What no repository has is left out: Maven goes on without it, too. Raises
        BadPom, and what fetching raises."""
        waiting, looked_at = dict(read), set[Coordinates]()
        for _ in range(MAX_ROUNDS):
            if not waiting:
                return
            self._keep(waiting)
            looked_at |= waiting.keys()
            following: dict[Coordinates, RepositoryOrigin] = {}
            lineages = {meant: self._lineage(meant) for meant in waiting if self._known[meant] is not None}
            for meant, lineage in lineages.items():
                moved = [lineage.relocation] if lineage.relocation is not None else []
                following |= {other: self.kept[meant] for other in (*lineage.imports, *moved) if other not in looked_at}
            if not following:
                following = self._moved(chosen & looked_at)
                chosen = chosen - looked_at
            waiting = following
        raise BadPom(next(iter(waiting)).name, f"it is imported by imports of imports, more than {MAX_ROUNDS} deep")

    def _moved(self, users: Set[Coordinates]) -> dict[Coordinates, RepositoryOrigin]:
        """Return those poms of what `users` need that say that it has moved."""
        needed: dict[Coordinates, RepositoryOrigin] = {}
        for meant in sorted(users):
            if self._known[meant] is not None:
                for other in self._lineage(meant).needs(self._managed_by(meant, ())):
                    if other not in self.kept:
                        needed.setdefault(other, self.kept[meant])
        self._load(needed)
        return {
            meant: origin
            for meant, origin in needed.items()
            if (pom := self._known[meant]) is not None and pom.relocation is not None
        }

    def _managed_by(self, meant: Coordinates, importing: tuple[Coordinates, ...]) -> Versions:
        """Return the versions that a pom manages, itself and by what it imports; `importing` are those on the way."""
        if meant not in self._managed:
            lineage = self._lineage(meant)
            versions = lineage.managed
            for other in lineage.imports:
                if self._known.get(other) is not None and other not in importing and len(importing) < MAX_ROUNDS:
                    versions = {**self._managed_by(other, (*importing, meant)), **versions}
            self._managed[meant] = versions
        return self._managed[meant]

    def _keep(self, wanted: Wanted) -> None:
        """Fetch poms and those above them."""
        missing = {meant: origin for meant, origin in wanted.items() if meant not in self.kept}
        for _ in range(MAX_PARENTS):
            if not missing:
                return
            self.kept |= missing
            self._load(missing)
            missing = {
                pom.parent: origin
                for meant, origin in missing.items()
                if (pom := self._known[meant]) is not None and pom.parent is not None and pom.parent not in self.kept
            }
        if missing:
            raise BadPom(next(iter(missing)).name, f"it stands above more than {MAX_PARENTS} poms")

    def _load(self, wanted: Wanted) -> None:
        unknown = [(meant, origin) for meant, origin in wanted.items() if meant not in self._known]
        if len(self._known) + len(unknown) > MAX_POMS:
            raise BadPom(unknown[0][0].name, f"with it there are more than {MAX_POMS:,} poms")
        self._known |= dict.fromkeys(meant for meant, _ in unknown)
        self._known |= self._fetch(unknown)

    def _lineage(self, meant: Coordinates) -> Lineage:
        """Return a pom with those above it."""
        poms: list[Pom] = []
        here: Coordinates | None = meant
        while here is not None and (pom := self._known.get(here)) is not None:
            if len(poms) > MAX_PARENTS or pom in poms:
                raise BadPom(meant.name, f"the poms above it have no end: {here.name} stands above itself")
            poms.append(pom)
            here = pom.parent
        return Lineage(poms)


def repositories_of(origin: RepositoryOrigin) -> list[RepositoryOrigin]:
    """Return the repositories that may have a pom: that of what needs it, then central."""
    central = RepositoryOrigin(CENTRAL)
    return [origin] if origin == central else [origin, central]

"""The poms that Maven reads to build without a network: those of the artifacts, those above each, and those imported.

Maven itself is not run: what poms say is read as data, level by level, and each pom is fetched once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from envbuild.packages.maven_names import CENTRAL, Coordinates, RepositoryOrigin
from envbuild.packages.maven_pom import MAX_PARENTS, BadPom, Pom, imports_of

MAX_POMS = 20_000
_MAX_ROUNDS = 100
"""How often imports may import others."""

Fetch = Callable[[Sequence[tuple[Coordinates, RepositoryOrigin]]], Mapping[Coordinates, Pom]]
"""What returns poms, without those that no repository has; each is given with the repository that is asked first."""


class Poms:
    """The poms of a project, as far as they are known."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._known: dict[Coordinates, Pom] = {}
        self._origins: dict[Coordinates, RepositoryOrigin] = {}

    def follow(self, read: Mapping[Coordinates, RepositoryOrigin]) -> None:
        """Fetch poms, the poms above them, and those that these import in turn. What no repository has is left out:
        Maven goes on without it, too. Raises BadPom, and what fetching raises."""
        waiting = dict(read)
        read_before: set[Coordinates] = set()
        for _ in range(_MAX_ROUNDS):
            if not waiting:
                return
            self._with_parents(waiting)
            read_before |= waiting.keys()
            imported: dict[Coordinates, RepositoryOrigin] = {}
            for meant in waiting.keys() & self._known.keys():
                for other in imports_of(self._lineage(meant)):
                    if other not in read_before:
                        imported.setdefault(other, self._origins[meant])
            waiting = imported
        raise BadPom(next(iter(waiting)).name, f"it is imported by imports of imports, more than {_MAX_ROUNDS} deep")

    def _with_parents(self, read: Mapping[Coordinates, RepositoryOrigin]) -> None:
        missing = {meant: origin for meant, origin in read.items() if meant not in self._origins}
        for _ in range(MAX_PARENTS):
            if not missing:
                return
            if len(self._origins) + len(missing) > MAX_POMS:
                raise BadPom(next(iter(missing)).name, f"with it there are more than {MAX_POMS:,} poms")
            fetched = self._fetch(list(missing.items()))
            self._known |= fetched
            self._origins |= missing
            missing = {
                pom.parent: self._origins[meant]
                for meant, pom in fetched.items()
                if pom.parent is not None and pom.parent not in self._origins
            }
        if missing:
            raise BadPom(next(iter(missing)).name, f"it stands above more than {MAX_PARENTS} poms")

    def _lineage(self, meant: Coordinates) -> list[Pom]:
        """Return a pom, the one above it, and so on."""
        lineage = [self._known[meant]]
        while (parent := lineage[-1].parent) is not None and parent in self._known:
            if len(lineage) > MAX_PARENTS or any(pom.meant == parent for pom in lineage):
                raise BadPom(meant.name, f"the poms above it have no end: {parent.name} stands above itself")
            lineage.append(self._known[parent])
        return lineage


def repositories_of(origin: RepositoryOrigin) -> list[RepositoryOrigin]:
    """Return the repositories that may have a pom: that of what needs it, then central."""
    central = RepositoryOrigin(CENTRAL)
    return [origin] if origin == central else [origin, central]

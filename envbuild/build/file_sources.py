"""Where a build looks for pinned files that its store lacks, before it asks whoever publishes them: the team's places.

And where it must not look: an offline build goes no further.
"""

from __future__ import annotations

from envbuild.build.events import Emit, Notice
from envbuild.build.request import BuildRequest
from envbuild.errors import WorkFailed, fields
from envbuild.language.one_line import one_line
from envbuild.plan.step import Execute, Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from envbuild.lockfile.lock import Package
    from envbuild.packages.cache import Cache
    from envbuild.packages.places import Places

MAX_SHOWN = 30
"""Lines about what an offline build lacks; a base alone has a hundred packages."""


@fields
class NeedsNetwork(WorkFailed):
    """A build that is to do without the network can't."""

    recipe: str
    needs: list[str]
    vendored: bool = True

    def text(self) -> tuple[str, str]:
        shown = self.needs[:MAX_SHOWN]
        if len(self.needs) > len(shown):
            shown.append(f"and {len(self.needs) - len(shown)} more")
        hint = (
            f"with the network: envbuild vendor {self.recipe} -o DIR; then here: "
            f"envbuild build {self.recipe} --offline --vendor DIR"
        )
        return (
            "\n  ".join(["--offline: the store and the places do not have all that this build needs:", *shown]),
            hint if self.vendored else "build it once with the network: its result is then in the store",
        )


class FileSources:
    """The places of one build. They are asked for nothing before a file is missing."""

    def __init__(self, request: BuildRequest, emit: Emit, stopped: Callable[[], bool] = lambda: False) -> None:
        """`stopped` tells whether the build has no more use for what is fetched."""
        self._request = request
        self._emit = emit
        self.stopped = stopped
        self._places: Places | None = None

    @property
    def offline(self) -> bool:
        """Whether nobody else may be asked."""
        return self._request.offline

    @property
    def recipe(self) -> str:
        """The recipe that is built."""
        return self._request.path

    def needed_by(self, step: Step, reason: str) -> NeedsNetwork:
        """Return the error of an offline build that a step stops."""
        line = f"{step.place.file}:{step.place.line}: {one_line(step.text)}: {reason}"
        return NeedsNetwork(self.recipe, [line], not isinstance(step.action, Execute))

    @property
    def places(self) -> Places | None:
        """The places, None where the user names none."""
        request = self._request
        if self._places is not None or not request.places:
            return self._places
        places = tuple(place for place in request.places if place.startswith("/") or not request.offline)
        if not places:
            return None
        from envbuild.packages.places import Places

        self._places = Places(places, request.fetch_limit, request.home, self._warn)
        return self._places

    def _warn(self, line: str) -> None:
        self._emit(Notice("warning", line))

    def has(self, hash: str) -> bool:
        """Return whether a place has the file of a hash."""
        return self.places is not None and bool(self.places.find(hash))

    def bring(
        self, cache: Cache, packages: Sequence[Package], progress: Callable[[int, int], None]
    ) -> Sequence[Package]:
        """Bring files into the cache; return the packages whose files come from elsewhere. Raises NeedsNetwork if
        nothing may."""
        left: Sequence[Package] = packages
        if packages and self.places is not None:
            left = self.places.bring(cache, packages, progress)
        if left and self.offline:
            raise NeedsNetwork(self._request.path, [f"{file_line(package)} ({package.origin})" for package in left])
        return left

    def take(self, hash: str, path: str, progress: Callable[[int], None]) -> bool:
        """Write the file of a hash to `path`, which does not exist; return whether a place has it."""
        return self.places is not None and self.places.take(hash, path, progress)

    def problems(self, hash: str) -> list[str]:
        """Return why a file does not come from a place."""
        return self.places.problems(hash) if self.places is not None else []


def file_line(package: Package) -> str:
    """Return what a message says of a file that is missing."""
    return f"{package.name} {package.version}"

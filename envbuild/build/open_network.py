"""The statements that have the whole network of the machine, `run(network=host)`: nobody sees afterwards what they
fetched, so it is said wherever somebody looks at their recipe."""

from __future__ import annotations

from envbuild.build.recipe_cache import load
from envbuild.errors import EnvbuildError
from envbuild.language.model import Run, Test
from envbuild.language.network_hosts import HOST_NETWORK
from envbuild.store.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from envbuild.language.model import Statement
    from envbuild.language.statement_parts import Place

INSTEAD = 'name the hosts that it needs: network="HOST, HOST:PORT, *.DOMAIN"'


def places_of(statements: Iterable[Statement]) -> Iterator[Place]:
    """Yield where such statements stand."""
    for statement in statements:
        if isinstance(statement, (Run, Test)) and statement.options.network == HOST_NETWORK:
            yield statement.place


def note_of(place: Place) -> str:
    """Return what is said of such a statement."""
    return (
        f"{place.file}:{place.line}: with network=host the step reaches all that this machine does, also its loopback, "
        "and what it fetches is not on record"
    )


def notes_of(path: str, store: Store, folder: str) -> tuple[str, ...]:
    """Return what is to be said of the recipe at `path`, which lies in `folder`; nothing of one that can't be read,
    since that is told in other words."""
    try:
        recipe = load(path, (), store, folder)
    except EnvbuildError:
        return ()
    return tuple(note_of(place) for stage in recipe.stages for place in places_of(stage.statements))

"""The interface of networks that an instance can be connected to.

Each start of an instance's command has a network namespace of its own, which is connected before the command runs.
"""

from __future__ import annotations

from envbuild.sandbox.exec_client import Session
from envbuild.sandbox.spec import Bind, Request
from envbuild.sandbox.user_namespace import IdMap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self


class Network:
    """A network that a process has to enter."""

    address = ""
    """The instance's own, where others reach it."""

    def __init__(self, ids: IdMap) -> None:
        self.ids = ids

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def attach(self, folder: str, names: tuple[str, ...], request: Request, session: Session) -> Request:
        """Return the request of an instance with what it takes to be in this network; `session` connects each start of
        its command. `folder` is the instance's own, `names` are what others find it by. Raises WorkFailed."""
        raise NotImplementedError

    def leave(self) -> None:
        """End what this has started. The sandbox is gone."""
        raise NotImplementedError


def with_bind(request: Request, bind: Bind) -> Request:
    """Return the request with this shown at its target, instead of what was to be there."""
    kept = tuple(other for other in request.binds if other.target != bind.target)
    return request.replace(binds=(*kept, bind))

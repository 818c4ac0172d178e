"""What the network of an instance is connected to: nothing, this machine's network, a way out of its own, or others of
its kind.

A network is entered once, by the process that looks after the instance, before that has started anything or has a
second thread: for a named network it enters namespaces that others are in already. Each start of the instance's
command then has a network namespace of its own, which is connected to it before the command runs.
"""

from __future__ import annotations

from envbuild.runtime.settings import HOST_NETWORK, NO_NETWORK, PRIVATE_NETWORK
from envbuild.sandbox.ids import IdMap, enter_user_namespace
from envbuild.sandbox.request import Bind, Request
from envbuild.sandbox.session import Session
from envbuild.store.instances import check_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

RESERVED = (NO_NETWORK, HOST_NETWORK, PRIVATE_NETWORK)
FOLDER = "networks"
"""Where in a store the named networks are."""


class Network:
    """One that has to be entered."""

    address = ""
    """The instance's own, where others reach it."""

    def __init__(self, ids: IdMap) -> None:
        self.ids = ids

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def attach(self, folder: str, names: tuple[str, ...], request: Request, session: Session) -> Request:
        """The request of an instance with what it takes to be in this network; `session` connects each start of its
        command. `folder` is the instance's own, `names` are what others find it by. Raises WorkFailed."""
        raise NotImplementedError

    def leave(self) -> None:
        """Ends what this has started. The sandbox is gone."""
        raise NotImplementedError


def is_named(name: str) -> bool:
    """Whether it is the name of a network, and not one of the modes."""
    return name not in RESERVED


def check_network(name: str) -> None:
    """Raises BadName for what can't be a network's name, and MachineLacks where this machine can't do it: before
    anything starts."""
    if is_named(name):
        check_name(name, "a network")
    if name == PRIVATE_NETWORK:
        from envbuild.runtime.outgoing import find_tool

        find_tool()


def enter_network(name: str, store_path: str) -> Network:
    """Enters a private or a named one for an instance, with a user namespace. The process has one thread and, for a
    named network, is in no user namespace of its own. Raises MachineLacks and WorkFailed."""
    if name == PRIVATE_NETWORK:
        from envbuild.runtime.outgoing import Outgoing

        return Outgoing(enter_user_namespace())
    from envbuild.runtime.named_network import NamedNetwork

    return NamedNetwork.join(f"{store_path}/{FOLDER}", name)


def with_bind(request: Request, bind: Bind) -> Request:
    """The request with this shown at its target, instead of what was to be there."""
    kept = tuple(one for one in request.binds if one.target != bind.target)
    return request.replace(binds=(*kept, bind))

"""Which kind of network a name stands for, and entering it.

A network is entered once, by the process that looks after the instance, before that has started anything or has a
second thread: for a named network it enters namespaces that others are in already.
"""

from __future__ import annotations

from envbuild.errors import UsageError, fields
from envbuild.instances.instance_names import check_name
from envbuild.instances.network import PRIVATE_NETWORK, RESERVED
from envbuild.instances.network.interface import Network
from envbuild.sandbox.user_namespace import enter_user_namespace

OF_DOCKER = ("bridge", "default", "nat")
"""Names of docker's own networks: who gives one means the way out that a private network has."""
FOLDER = "networks"
"""Where in a store the named networks are."""


@fields
class NetworkOfDocker(UsageError):
    """docker has a network of this name, and means another one by it."""

    name: str

    def text(self) -> tuple[str, str]:
        return f"--network {self.name}: that is docker's network", f"as in: --network {PRIVATE_NETWORK}"


def check_network(name: str) -> None:
    """Raise BadName for what can't be a network's name, and MachineLacks where this machine can't do it: before
    anything starts."""
    if name in OF_DOCKER:
        raise NetworkOfDocker(name)
    if name not in RESERVED:
        check_name(name, "a network")
    if name == PRIVATE_NETWORK:
        from envbuild.instances.network.private import find_tool

        find_tool()


def enter_network(name: str, store_path: str) -> Network:
    """Enter a private or a named one for an instance, with a user namespace.

    The process has one thread and, for a named network, is in no user namespace of its own. Raises MachineLacks and
    WorkFailed.
    """
    if name == PRIVATE_NETWORK:
        from envbuild.instances.network.private import PrivateNetwork

        return PrivateNetwork(enter_user_namespace())
    from envbuild.instances.network.named import NamedNetwork

    return NamedNetwork.join(f"{store_path}/{FOLDER}", name)

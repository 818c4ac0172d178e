"""A named network, which instances share: they reach each other, by name, and nothing else.

No daemon and no right is needed for it. The first member makes a network namespace with a bridge, in its user
namespace; later ones enter both instead of making their own, which whoever made a user namespace may (setns(2)). Each
member's own network namespace is connected to the bridge by a pair of interfaces (veth(4)). The namespaces are those of
living processes and nothing holds them beyond: with its last member a network is gone.
"""

from __future__ import annotations

import os

from envbuild.errors import WorkFailed, fields
from envbuild.instances.init_process import start_time
from envbuild.instances.network import members
from envbuild.instances.network.interface import Network, with_bind
from envbuild.instances.network.members import Entry
from envbuild.linux import syscalls
from envbuild.linux.netlink import Links
from envbuild.sandbox.exec_client import Session
from envbuild.sandbox.spec import Bind, Request
from envbuild.sandbox.user_namespace import IdMap, enter_user_namespace, join_user_namespace

BRIDGE, INSIDE = "bridge", "eth0"
PREFIX = 24
_FIRST, _LAST = 2, 254


@fields
class NetworkFull(WorkFailed):
    """A named network has as many members as addresses."""

    name: str
    members: int

    def text(self) -> tuple[str, str]:
        return f"the network {self.name} is full: {self.members} instances", "use another --network"


@fields
class CannotJoin(WorkFailed):
    """A named network that lives can't be entered."""

    name: str
    reason: str

    def text(self) -> tuple[str, str]:
        return f"the network {self.name} can't be joined: {self.reason}", "its instances must be your own: envbuild ps"


@fields
class CannotMakeNetwork(WorkFailed):
    """The kernel makes no bridge."""

    reason: str

    def text(self) -> tuple[str, str]:
        return f"a network can't be made: {self.reason}", "it needs a kernel with CONFIG_BRIDGE"


@fields
class TooManyNetworks(WorkFailed):
    """All numbers of networks are in use."""

    def text(self) -> tuple[str, str]:
        return "there are 256 networks already", "end the instances of one of them: envbuild ps"


class NamedNetwork(Network):
    """A named network, as one of its members sees it: this process is in its namespaces."""

    def __init__(self, ids: IdMap, folder: str, name: str, entry: Entry, path: str, held: int) -> None:
        super().__init__(ids)
        self._folder = folder
        self._network = f"{folder}/{name}"
        self._name = name
        self._entry = entry
        self._path = path
        self._held = held

    @classmethod
    def join(cls, folder: str, name: str) -> NamedNetwork:
        """Enter the network of this name, or make it. Raises WorkFailed and MachineLacks."""
        with members.changing(folder):
            network = f"{folder}/{name}"
            others = members.living(network)
            if others:
                ids, subnet = _enter_as(name, others), others[0].subnet
            else:
                subnet = _free_subnet(members.subnets(folder))
                ids = enter_user_namespace()
                _make()
            entry = Entry(os.getpid(), subnet, ids=(ids.kind, ids.count, ids.reason), begun=start_time(os.getpid()))
            path, held = members.add(network, entry)
        return cls(ids, folder, name, entry, path, held)

    def attach(self, folder: str, names: tuple[str, ...], request: Request, session: Session) -> Request:
        with members.changing(self._folder):
            taken = {member.number for member in members.living(self._network)}
            free = [number for number in range(_FIRST, _LAST + 1) if number not in taken]
            if not free:
                raise NetworkFull(self._name, len(taken))
            self._entry = self._entry.replace(number=free[0], names=tuple(dict.fromkeys(names)))
            members.put(self._held, self._entry)
            hosts = members.tell_names(self._network)
        self.address = self._entry.address
        session.connect = self._connect
        return with_bind(request, Bind(os.path.realpath(hosts), "/etc/hosts")).replace(attached=True)

    def leave(self) -> None:
        with members.changing(self._folder):
            with Links() as links:
                links.remove(self._interface)
            os.unlink(self._path)
            os.close(self._held)
            if members.living(self._network):
                members.tell_names(self._network)

    @property
    def _interface(self) -> str:
        return f"member{self._entry.number}"

    def _connect(self, route: int, network: int, _user: int) -> None:
        number, subnet = self._entry.number, self._entry.subnet
        with Links() as links:
            # The one before goes with the namespace of the command before, which may take its time.
            links.remove(self._interface)
            # Made of the address, so that what others remember of it stays true after a restart.
            mac = bytes((0x02, 0x42, 10, 89, subnet, number))
            links.add_pair(self._interface, INSIDE, network, mac)
            links.raise_up(self._interface, BRIDGE)
        with Links(route) as links:
            links.add_address(INSIDE, self.address, PREFIX)
            links.raise_up(INSIDE)


def _enter_as(name: str, others: list[Entry]) -> IdMap:
    """Enter the namespaces of a member."""
    problem: OSError | None = None
    for member in others:
        try:
            folder = os.open(f"/proc/{member.pid}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            problem = error  # it was killed this moment
            continue
        try:
            if member.begun and start_time(member.pid, folder) != member.begun:
                continue  # another process has its number
            user, network = (
                os.open(f"ns/{kind}", os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder) for kind in ("user", "net")
            )
            ids = join_user_namespace(user, IdMap(*member.ids))
            syscalls.setns(network, syscalls.CLONE_NEWNET)
            os.close(user)
            os.close(network)
            return ids
        except OSError as error:
            problem = error
            break
        finally:
            os.close(folder)
    reason = problem.strerror if problem is not None else "nobody is there"
    raise CannotJoin(name, str(reason))


def _make() -> None:
    """Make the network's own namespace, and its bridge."""
    syscalls.unshare(syscalls.CLONE_NEWNET)
    try:
        with Links() as links:
            links.raise_up("lo")
            links.add_bridge(BRIDGE)
            links.raise_up(BRIDGE)
    except OSError as error:
        raise CannotMakeNetwork(str(error.strerror)) from error


def _free_subnet(taken: set[int]) -> int:
    """Return a number that neither another network nor a route of this machine has (/proc/net/route, addresses in the
    order of this machine's bytes)."""
    with open("/proc/net/route", encoding="ascii") as file:
        rows = [line.split() for line in file][1:]
    routes = [
        (int.from_bytes(int(r[1], 16).to_bytes(4, "little")), int.from_bytes(int(r[7], 16).to_bytes(4, "little")))
        for r in rows
    ]
    for number in range(256):
        address = 10 << 24 | 89 << 16 | number << 8
        if number not in taken and not any(mask and (address ^ target) & mask == 0 for target, mask in routes):
            return number
    raise TooManyNetworks

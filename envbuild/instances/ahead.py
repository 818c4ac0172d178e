"""What a run in the foreground has ready before it is known what will run: made while other modules are loaded."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from socket import socket

from envbuild.record import Record
from envbuild.sandbox.helper_client import Helper
from envbuild.sandbox.user_namespace import enter_user_namespace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from envbuild.instances.network.interface import Network


class Ahead(Record):
    """The helper, with a sandbox in the making; the network, if one had to be entered; sockets of the first ports."""

    helper: Helper
    network: Network | None = None
    opened: tuple[socket, ...] = ()


@contextmanager
def sandbox_ahead(network: str, store_path: str, opened: Sequence[socket] = ()) -> Iterator[Ahead]:
    """Enters the network and has a sandbox made at once. The process has one thread, and is in no namespace yet.

    Garbage is not looked for from here on: what is loaded until the command runs is none, and a start would pay for
    looking at all of it. Whoever looks after the command turns that on again (supervisor.py).
    """
    gc.disable()
    if network in ("none", "host"):  # as in settings.py, which is loaded meanwhile
        with Helper.start(enter_user_namespace(), once=True) as helper:
            yield Ahead(helper, opened=tuple(opened))
        return
    from envbuild.instances.network.select import enter_network

    with enter_network(network, store_path) as entered, Helper.start(entered.ids, once=True) as helper:
        yield Ahead(helper, entered, tuple(opened))

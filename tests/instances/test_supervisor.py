"""The order in which an instance's end becomes known."""

import gc
import os
import socket
import threading
import time

import pytest

from envbuild.instances.config import Settings
from envbuild.instances.network.port_forwarder import PortForwarder
from envbuild.instances.network.ports import parse_ports
from envbuild.instances.stdio import OwnStreams
from envbuild.instances.supervisor import Supervisor, Task
from envbuild.sandbox.spec import Outcome, Request


class Sandboxes:
    """Runs a command that is over at once."""

    def run(self, request, **_):
        return Outcome(0)


@pytest.fixture
def supervisor(tmp_path):
    settings = Settings(("true",), ports=tuple(parse_ports("127.0.0.1:0:80")))
    request = Request((str(tmp_path),), ("true",))
    streams = OwnStreams(terminal=os.close)
    yield Supervisor(Task("1", "web", str(tmp_path), settings, request), Sandboxes(), streams)
    gc.unfreeze()


def test_its_ports_are_free_when_who_waited_for_its_end_hears_of_it(supervisor, monkeypatch):
    close = PortForwarder.close

    def close_late(forwarder):
        time.sleep(0.3)
        close(forwarder)

    monkeypatch.setattr(PortForwarder, "close", close_late)
    port = supervisor._state.now.ports[0][1]
    running = threading.Thread(target=supervisor.run)
    running.start()
    try:
        assert supervisor.wait() == 0
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
    finally:
        running.join()

"""Servers of attackers; the real git; images and instances as their users' tests have them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.attacks.servers import Server
from tests.history.conftest import git
from tests.instances.conftest import image

__all__ = ["attacker", "git", "image"]


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def attacker(server: Server) -> Server:
    """The attacker's server as if it was new."""
    server.replies.clear()
    server.asked.clear()
    return server

"""Servers of attackers; the real git; images and instances as their users' tests have them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.attacks.servers import Server
from tests.history.conftest import git
from tests.instances.conftest import image

__all__ = ["attacker", "git", "image"]


@pytest.fixture
def attacker() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()

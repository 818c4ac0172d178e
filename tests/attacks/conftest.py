"""Servers and package managers of attackers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.attacks.servers import Server


@pytest.fixture
def attacker() -> Iterator[Server]:
    one = Server()
    yield one
    one.close()

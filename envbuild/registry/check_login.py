"""Tries whether a registry lets somebody in."""

from __future__ import annotations

from envbuild.registry.exchange import Exchange
from envbuild.registry.login import Login
from envbuild.registry.server import Server


def check_login(server: Server, login: Login) -> None:
    """Return if a registry knows a user and their password, or asks nobody who they are. Raises Unauthorized and what
    asking raises."""
    exchange = Exchange(server, login)
    what = "log in"
    with exchange.ask("GET", exchange.address("/v2/"), what) as answer:
        exchange.expect(answer, (200, 404), what)

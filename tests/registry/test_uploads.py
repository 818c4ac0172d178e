"""Large blobs that go up in pieces, and what becomes of them where a connection breaks or a registry knows no pieces:
they arrive."""

from __future__ import annotations

import io
import re

import pytest

from envbuild.registry.client import Repository
from envbuild.registry.exchange import Exchange
from envbuild.registry.login import Login
from envbuild.registry.reference import PUSH
from envbuild.registry.server import Patience, Server
from envbuild.registry.tokens import Token
from envbuild.registry.upload import Source, upload
from tests.registry.hostile import Handler, Registry, Request
from tests.sharing.images import digest

PIECE = 1 << 20
CONTENT = bytes(3 * PIECE)
FAST = Patience(answer=5, attempts=3, pause=0.01)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has what is larger than two pieces go in pieces."""
    monkeypatch.setattr("envbuild.registry.upload.WHOLE", 2 * PIECE)
    monkeypatch.setattr("envbuild.registry.upload.PIECE", PIECE)


def send(registry: Registry) -> None:
    repository = Repository(Exchange(Server(registry.host, patience=FAST), None), "web", PUSH)
    upload(repository, Source(digest(CONTENT), len(CONTENT), lambda: io.BytesIO(CONTENT), lambda at: True))


def takes_pieces(registry: Registry, lost: int) -> list[tuple[int, int]]:
    """Has a registry take pieces, of which one is lost on its way; returns the ranges that came whole."""
    received: list[tuple[int, int]] = []
    left = [lost]

    def where(handler: Handler, status: int, **headers: str) -> bool:
        end = received[-1][1] if received else 0
        return handler.say(status, Location="/v2/upload/1", Range=f"0-{end}", **headers)

    def patch(handler: Handler, request: Request) -> object:
        start, end = map(int, re.fullmatch(r"(\d+)-(\d+)", request.headers["Content-Range"]).groups())
        if len(received) == 1 and left[0]:
            left[0] -= 1
            handler.close_connection = True
            return None
        if start != (received[-1][1] + 1 if received else 0) or len(request.body) != end - start + 1:
            return where(handler, 416)
        received.append((start, end))
        return where(handler, 202)

    registry.rule("PATCH", "/v2/upload/1", patch)
    registry.rule("GET", "/v2/upload/1", lambda handler, _: where(handler, 204))
    registry.rule("PUT", "/v2/upload/1", lambda handler, _: handler.say(201))
    return received


def test_an_upload_goes_on_where_it_broke(server):
    registry = server()
    received = takes_pieces(registry, lost=1)
    send(registry)
    assert [start for start, _ in received] == [0, PIECE, 2 * PIECE]
    assert received[-1][1] == len(CONTENT) - 1
    assert [request.method for request in registry.requests if "upload/1" in request.path].count("PATCH") == 4


def test_a_registry_without_pieces_gets_all_at_once(server):
    registry = server()
    registry.rule("PATCH", "/v2/upload/1", lambda handler, _: handler.say(405))
    send(registry)
    assert registry.blobs[digest(CONTENT)] == CONTENT


def test_logins_and_tokens_are_shown_nowhere():
    shown = f"{Login('ci', 'secret', 'identity')!r} {Token('token-text', 1.0)!r}"
    assert shown == "Login(...) Token(...)"

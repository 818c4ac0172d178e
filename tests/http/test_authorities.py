"""Whom a connection trusts: the machine's directory of authorities, and its file where that does not suffice."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from urllib3.exceptions import MaxRetryError

from envbuild.http.authorities import Authorities
from envbuild.http.connections import Connections, is_untrusted
from envbuild.http.transport import Transport
from tests.registry.certificates import Authority
from tests.registry.hostile import Registry


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ours")


@pytest.fixture
def server(ours: Authority):
    """A server with a certificate of ours."""
    started = Registry(authority=ours)
    yield started
    started.close()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Makes this machine trust one authority by its file, and one by its directory."""

    def trust(file: Authority, directory: Authority, *, hashed: bool = True) -> None:
        (tmp_path / "all.pem").write_bytes(file.path.read_bytes())
        (tmp_path / "certs").mkdir()
        (tmp_path / "certs" / "single.pem").write_bytes(directory.path.read_bytes())
        if hashed:
            subprocess.run(["openssl", "rehash", str(tmp_path / "certs")], check=True)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "all.pem"))
        monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "certs"))

    return trust


@pytest.fixture
def other(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "other", "others")


def ask(connections: Connections, server: Registry) -> int:
    with connections.open(f"{server.address}/v2/", {}) as answer:
        return answer.status


def test_of_a_directory_by_hashes_only_what_is_needed_is_read(ours, other, server, machine):
    machine(file=other, directory=ours)
    trusted = Authorities()
    assert trusted.context.cert_store_stats()["x509"] == 0
    assert ask(Connections(Transport(), authorities=trusted), server) == 200
    assert (trusted.context.cert_store_stats()["x509"], trusted.are_complete) == (1, False)


def test_what_only_the_file_has_is_trusted_too(ours, other, server, machine):
    machine(file=ours, directory=other)
    trusted = Authorities()
    assert not trusted.are_complete
    assert ask(Connections(Transport(), authorities=trusted), server) == 200
    assert trusted.are_complete


def test_a_directory_without_hashes_is_no_help_nor_is_none(ours, other, server, machine, tmp_path, monkeypatch):
    machine(file=ours, directory=other, hashed=False)
    assert Authorities().are_complete
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "nowhere"))
    trusted = Authorities()
    assert trusted.are_complete
    assert ask(Connections(Transport(), authorities=trusted), server) == 200


def test_nobody_else_is_trusted(ours, other, server, machine):
    machine(file=other, directory=other)
    with pytest.raises(MaxRetryError) as raised:
        ask(Connections(Transport()), server)
    assert is_untrusted(raised.value)
    assert server.requests == []


def test_a_bundle_stands_for_all_that_the_machine_trusts(ours, other, server, machine):
    machine(file=ours, directory=ours)
    with pytest.raises(MaxRetryError):
        ask(Connections(Transport(bundle=str(other.path))), server)
    assert ask(Connections(Transport(bundle=str(ours.path))), server) == 200


def test_without_encryption_nobody_is_looked_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("envbuild.http.connections.Authorities", None)
    server = Registry()
    try:
        assert ask(Connections(Transport()), server) == 200
    finally:
        server.close()

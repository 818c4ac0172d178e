"""Registries with TLS: an authority of one's own, certificates of ours, and what is not encrypted."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from envbuild.registry.errors import NotEncrypted
from envbuild.registry.reference import is_loopback
from envbuild.registry.server import Server
from tests.conftest import Project
from tests.registry.certificates import Authority
from tests.registry.hostile import Registry, basic, log_in
from tests.sharing.images import layer

pytestmark = pytest.mark.namespaces

FILES = layer(("etc/a", b"a"))


def test_an_authority_of_ones_own(built: Project, elsewhere: Project, registry, authority: Authority, trusted):
    host = registry(authority=authority).host
    refused = built.command("push", "web", f"{host}/web:1")
    assert refused.code == 1
    assert "its certificate can't be trusted" in refused.err
    assert f"certs.d/{host}/ca.crt" in refused.err
    insecure = built.command("push", "web", f"{host}/web:1", "--insecure")
    assert insecure.code == 0, insecure.err
    trusted(host)
    pulled = elsewhere.command("pull", f"{host}/web:1")
    assert pulled.code == 0, pulled.err


def test_a_certificate_of_ours(built: Project, registry, authority: Authority, trusted, tmp_path: Path):
    clients = Authority(tmp_path / "clients", "clients")
    host = registry(authority=authority, client_authority=clients.path).host
    trusted(host)
    assert built.command("push", "web", f"{host}/web:1").code == 1
    folder = built.folder / ".config/containers/certs.d" / host
    certificate, key = clients.certificate("ci")
    (folder / "client.cert").write_bytes(certificate.read_bytes())
    (folder / "client.key").write_bytes(key.read_bytes())
    done = built.command("push", "web", f"{host}/web:1")
    assert done.code == 0, done.err


def test_a_damaged_certificate_is_named(user: Project, server, authority: Authority, trusted):
    registry: Registry = server(authority=authority)
    trusted(registry.host)
    path = user.folder / ".config/containers/certs.d" / registry.host / "ca.crt"
    path.write_text("nonsense")
    done = user.command("pull", f"{registry.host}/web:1")
    assert (done.code, f"error: {path}: " in done.err) == (2, True)


def test_a_registry_that_is_not_trusted_is_not_asked_without_encryption_either(
    user: Project, server, authority: Authority
):
    registry: Registry = server(authority=authority)
    registry.image(FILES)
    log_in(user.folder, registry.host, "ci", "secret")
    assert user.command("pull", f"{registry.host}/web:1").code == 1
    assert registry.requests == []


def test_elsewhere_than_on_this_machine_nothing_goes_without_encryption(server, monkeypatch: pytest.MonkeyPatch):
    registry: Registry = server()
    resolve = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest: resolve("127.0.0.1", *rest))
    host = registry.host.replace("localhost", "registry.example")
    with pytest.raises(NotEncrypted, match="it does not speak TLS"):
        Server(host).address("/v2/")
    assert registry.requests == []
    assert Server(host, insecure=True).address("/v2/").address == f"http://{host}/v2/"


@pytest.mark.parametrize(
    ("host", "is_here"),
    [
        ("localhost:5000", True),
        ("a.localhost", True),
        ("127.0.0.2", True),
        ("[::1]:80", True),
        ("localhost.example:80", False),
        ("127.0.0.1.example", False),
        ("127.1", False),
        ("2130706433:80", False),
        ("10.0.0.1", False),
    ],
)
def test_what_is_this_machine_by_its_name(host: str, is_here: bool):
    assert is_loopback(host) == is_here


def test_insecure_allows_what_is_not_encrypted(user: Project, server):
    registry: Registry = server(address="127.0.0.1")
    registry.image(FILES)
    log_in(user.folder, registry.host, "ci", "secret")
    registry.needs_login("ci", "secret")
    done = user.command("pull", f"{registry.host}/web:1", "--insecure")
    assert done.code == 0, done.err
    assert registry.shown() == [basic("ci", "secret")]


def test_what_is_on_this_machine_goes_through_no_proxy(user: Project, server):
    registry, proxy = server(), server()
    registry.image(FILES)
    log_in(user.folder, registry.host, "ci", "secret")
    registry.needs_login("ci", "secret")
    done = user.command("pull", f"{registry.host}/web:1", http_proxy=proxy.address, all_proxy=proxy.address)
    assert done.code == 0, done.err
    assert proxy.requests == []

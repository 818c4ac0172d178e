"""Podman's settings for registries: mirrors, other locations, and what is blocked."""

from __future__ import annotations

from pathlib import Path

import pytest

from envbuild.registry.mirrors import BadRegistriesFile, Endpoint, endpoints
from envbuild.registry.reference import parse_reference
from tests.conftest import Project
from tests.registry.hostile import Registry, basic, log_in
from tests.sharing.images import layer

FILES = layer(("etc/a", b"a"))


def written(path: Path, text: str) -> tuple[str]:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return (str(path),)


@pytest.mark.parametrize(
    ("text", "reference", "expected"),
    [
        ("", "h.example/shop/web:1", ["h.example/shop/web:1"]),
        ('[[registry]]\nlocation = "h.example"', "h.example/a:1", ["h.example/a:1"]),
        (
            '[[registry]]\nprefix = "h.example/shop"\nlocation = "i.example/x"',
            "h.example/shop/a:1",
            ["i.example/x/a:1"],
        ),
        ('[[registry]]\nprefix = "h.example/sh"\nlocation = "i.example/x"', "h.example/shop/a", ["h.example/shop/a"]),
        (
            '[[registry]]\nlocation = "h.example"\n'
            '[[registry.mirror]]\nlocation = "m.example:5000/c/"\ninsecure = true',
            "h.example/a:1",
            ["m.example:5000/c/a:1 insecure", "h.example/a:1"],
        ),
        (
            '[[registry]]\nlocation = "h.example"\n[[registry.mirror]]\nlocation = "m.example"\n'
            'pull-from-mirror = "digest-only"',
            "h.example/a:1",
            ["h.example/a:1"],
        ),
        (
            '[[registry]]\nlocation = "h.example"\n[[registry]]\nprefix = "h.example/shop"\nlocation = "i.example"',
            "h.example/shop/a:1",
            ["i.example/a:1"],
        ),
        ('[[registry]]\nprefix = "*.example"\ninsecure = true', "h.example/a", ["h.example/a insecure"]),
        ('unqualified-search-registries = ["x.example"]', "h.example/a", ["h.example/a"]),
    ],
)
def test_where_an_image_is_had_from(tmp_path: Path, text: str, reference: str, expected: list[str]):
    def shown(endpoint: Endpoint) -> str:
        return endpoint.reference.text + (" insecure" if endpoint.insecure else "")

    files = written(tmp_path / "registries.conf", text)
    assert [shown(endpoint) for endpoint in endpoints(files, parse_reference(reference))] == expected


@pytest.mark.parametrize(
    "text",
    [
        "[[",
        'registry = "x"',
        "[[registry]]",
        "[[registry]]\nlocation = 3",
        '[registries.search]\nx = "y"\n[registry]',
        '[[registry]]\nprefix = "h.example"\nlocation = "not a host"',
        '[[registry]]\nlocation = "h.example"\nmirror = 3',
    ],
)
def test_settings_that_can_not_be_read(tmp_path: Path, text: str):
    with pytest.raises(BadRegistriesFile):
        endpoints(written(tmp_path / "registries.conf", text), parse_reference("h.example/a"))


@pytest.mark.namespaces
def test_a_mirror_is_asked_first_and_its_registry_if_it_fails(user: Project, server):
    registry, mirror = server(), server()
    registry.image(FILES)
    for each, password in ((registry, "one"), (mirror, "two")):
        each.needs_login("ci", password)
        log_in(user.folder, each.host, "ci", password)
    written(
        user.folder / ".config/containers/registries.conf",
        f'[[registry]]\nlocation = "{registry.host}"\n[[registry.mirror]]\nlocation = "{mirror.host}/cache"',
    )
    done = user.command("pull", f"{registry.host}/web:1")
    assert done.code == 0, done.err
    assert f"a mirror was left out: there is no {registry.host}/web:1" in done.err
    mirror.image(FILES, layer(("etc/b", b"b")), tag="2")
    done = user.command("pull", f"{registry.host}/web:2")
    assert (done.code, done.err) == (0, "")
    assert registry.shown() == [basic("ci", "one")]
    assert mirror.shown() == [basic("ci", "two")]


@pytest.mark.namespaces
def test_what_is_blocked_is_not_asked(user: Project, server):
    registry: Registry = server()
    registry.image(FILES)
    written(
        user.folder / ".config/containers/registries.conf",
        f'[[registry]]\nprefix = "{registry.host}/shop"\nblocked = true',
    )
    done = user.command("pull", f"{registry.host}/shop/web:1")
    assert (done.code, done.err.splitlines()[0]) == (2, f"error: {registry.host}/shop/web:1 is blocked")
    assert registry.requests == []
    assert user.command("pull", f"{registry.host}/web:1").code == 0

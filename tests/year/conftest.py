"""The world of a year: a mirror, an index, a registry and a web page, all on loopback."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.packages.conftest import Server
from tests.year.machine import KEY, Machine
from tests.year.mirror import Mirror
from tests.year.people import Person, WebPage
from tests.year.registries import NodeRegistry, PythonIndex


@dataclass
class Year:
    """All that the story needs."""

    machine: Machine
    server: Server
    mirror: Mirror
    index: PythonIndex
    registry: NodeRegistry
    web_page: WebPage
    variables: dict[str, str]

    def person(self, name: str, user: str = "root") -> Person:
        return Person(name, self.machine, self.variables, user)


@pytest.fixture
def year() -> Iterator[Year]:
    server = Server()
    # Ordinary users can't reach the folders that pytest makes for root.
    with tempfile.TemporaryDirectory(prefix="envbuild-year-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        machine = Machine(folder)
        mirror = Mirror(server, folder / "keys")
        (folder / KEY).write_bytes(mirror.key)
        index, registry = PythonIndex(server, folder / "wheels"), NodeRegistry(server, folder / "tarballs")
        variables = {
            "ENVBUILD_DEBIAN_SNAPSHOT": mirror.snapshot,
            "PIP_INDEX_URL": index.url,
            "npm_config_registry": registry.url,
        }
        main, security = f"{server.address}/debian", f"{server.address}/debian-security"
        suites = ("bookworm", "trixie")
        machine.sources(*((main, suite) for suite in suites), *((security, f"{suite}-security") for suite in suites))
        yield Year(machine, server, mirror, index, registry, WebPage(machine), variables)
        mirror.close()
    server.close()

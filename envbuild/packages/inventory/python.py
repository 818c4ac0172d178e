"""Python distributions: from their metadata (Python packaging's "Core metadata specifications")."""

from __future__ import annotations

from collections.abc import Iterator
from email.parser import HeaderParser

from envbuild.packages.inventory.component import PYTHON, Component, Read, Walked
from envbuild.packages.inventory.licences import of_python

_METADATA = (".dist-info/METADATA", ".egg-info/PKG-INFO")


def python_packages(read: Read, walked: Walked) -> Iterator[Component]:
    """The distributions of all environments that the tree has."""
    for path, entry in walked:
        if entry.kind != "f" or not (path.endswith(_METADATA) or path.endswith(".egg-info")):
            continue
        if "-packages/" not in path:
            continue  # sources that lie about are not installed
        content = read(path)
        if content is None:
            continue
        fields = HeaderParser().parsestr(content.decode("utf-8", "replace"))
        name, version = fields.get("Name"), fields.get("Version")
        if not name or not version:
            continue
        licences = of_python(
            fields.get("License-Expression"), fields.get_all("Classifier") or [], fields.get("License")
        )
        yield Component(PYTHON, name, version, "", f"/{path}", licences, homepage=fields.get("Home-page") or "")

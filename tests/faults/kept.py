"""What a store has under a name, read in this process: for tests that ask often, and whose point is not the command."""

from __future__ import annotations

from envbuild.images.find import resolve
from envbuild.store.store import Store
from tests.conftest import Project


def digest_in(project: Project, name: str = "web") -> str:
    """Returns the digest of the image that a name has."""
    with Store.open(str(project.store)) as store:
        return resolve(store, name, str(project.folder)).digest


def text_in(project: Project, name: str, path: str) -> str | None:
    """Returns the text of a file of the image that a name has. Raises StoreDamaged."""
    with Store.open(str(project.store)) as store:
        return store.read_text(resolve(store, name, str(project.folder)).tree, path.lstrip("/"))

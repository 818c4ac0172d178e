"""13.2: nobody but its owner reads, enters or executes anything of a store."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from tests.instances.instances import run

pytestmark = pytest.mark.namespaces


def open_to_others(store: Path) -> dict[str, str]:
    """What of a store has rights for anybody else: the store itself, and what lies in it."""
    modes = {str(path): stat.S_IMODE(os.lstat(path).st_mode) for path in (store, *store.iterdir())}
    return {path: oct(mode) for path, mode in modes.items() if mode & 0o077}


@pytest.mark.user
def test_a_new_store_is_closed_whatever_the_umask(image):
    previous = os.umask(0)
    try:
        image.store.rename(image.store.with_name("old"))
        assert image.build("run echo > /a").code == 0
        run(image, "-v", "data:/data", "web", "--", "true")
        image.command("gc")
    finally:
        os.umask(previous)
    assert open_to_others(image.store) == {}


@pytest.mark.parametrize("words", [("images",), ("fsck",), ("run", "web", "--", "true")])
def test_one_of_an_earlier_version_is_closed_by_the_next_command(image, words):
    os.chmod(image.store, 0o755)
    for inner in image.store.iterdir():
        os.chmod(inner, stat.S_IMODE(inner.stat().st_mode) | 0o055)
    assert image.command(*words).code == 0
    assert open_to_others(image.store) == {}


def test_fsck_also_closes_what_lies_in_a_closed_one(image):
    os.chmod(image.store / "layers", 0o755)
    assert image.command("fsck").code == 0
    assert open_to_others(image.store) == {}


@pytest.mark.root
def test_a_program_of_an_image_is_no_program_of_another_user(image):
    """Root's store lay open: a set-user-id shell of any image was one for every user of the machine."""
    assert image.build("run cp /bin/busybox /su; chmod 4755 /su").code == 0
    for path in image.folder.parents:
        if path.name.startswith(("pytest-", "test_")):
            os.chmod(path, 0o755)  # what pytest made: else its own folders would keep them out
    for top, folders, files in os.walk(image.store):
        for name in (*folders, *files):
            path = os.path.join(top, name)
            done = subprocess.run(["setpriv", "--reuid=65534", "--clear-groups", "test", "-e", path], check=False)
            assert done.returncode != 0, path
        break
    layers = [path for path in (image.store / "layers").rglob("su") if path.is_file()]
    assert layers
    assert all(path.stat().st_mode & stat.S_ISUID for path in layers)
    call = ["setpriv", "--reuid=65534", "--clear-groups", str(layers[0]), "id"]
    assert subprocess.run(call, capture_output=True, check=False).returncode != 0

"""Clones of one repository differ in the umask under which they were made and are built."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.conftest import Project, image_in

RECIPE = (
    "from tar:busybox.tar",
    "copy app -> /app",
    "copy app/main.sh note -> /named/",
    "render page.j2 -> /page",
    "file /made",
    "    text",
    "run(mount=app:/mnt) cat /mnt/deep/x > /seen; mkdir /left; touch /left/x; /app/main.sh > /said",
)


@pytest.mark.namespaces
@pytest.mark.user
def test_clones_made_and_built_under_any_umask_give_one_image(project, tmp_path):
    origin = tmp_path / "origin"
    subprocess.run(["git", "init", "-q", str(origin)], check=True)
    for path, text in (
        ("app/main.sh", "#!/bin/sh\necho ran\n"),
        ("app/deep/x", "x\n"),
        ("note", ""),
        ("page.j2", "p\n"),
    ):
        (origin / path).parent.mkdir(parents=True, exist_ok=True)
        (origin / path).write_text(text)
    (origin / "app/main.sh").chmod(0o755)
    (origin / "web.env").write_text("\n".join(RECIPE) + "\n")
    (origin / "busybox.tar").write_bytes((project.folder / "busybox.tar").read_bytes())
    git = ["git", "-C", str(origin), "-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["add", "."], ["commit", "-qm", "all"]):
        subprocess.run([*git, *words], check=True)
    images = {mask: _built(origin, tmp_path / f"{mask:o}", mask) for mask in (0o002, 0o022, 0o077)}
    assert len(set(images.values())) == 1, images


def _built(origin: Path, folder: Path, mask: int) -> str:
    before = os.umask(mask)
    try:
        folder.mkdir()
        subprocess.run(["git", "clone", "-q", str(origin), str(folder / "clone")], check=True)
        done = Project(folder / "clone", folder / "store").command("build", "web.env")
    finally:
        os.umask(before)
    assert done.code == 0, done.err
    return image_in(folder / "clone/web.env.lock")

"""The same lock gives the same bytes: in empty stores, on another day, with one job and four, as root and as a user."""

import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Project
from tests.packages.clock import LIBRARY

pytestmark = [pytest.mark.namespaces, pytest.mark.mirror, pytest.mark.nightly]
CLOCK = Path(__file__).with_name("clock.py")
RECIPE = (
    "from debian:bookworm as system",
    "apt python3 nginx git curl",
    "run date +%Y > /dev/null; echo year $(date +%Y)",
    "from system as python",
    "pip(into=/opt/venv) flask numpy cryptography",
    "from debian:bookworm as node",
    "apt nodejs",
    "npm(into=/srv/app) express",
    "from system",
    "copy(from=python) /opt/venv -> /opt/",
    "copy(from=node) /srv/app -> /srv/",
)


def test_the_same_bytes_on_another_day_with_other_jobs_and_as_another_user(tmp_path):
    first = Project(tmp_path / "first", tmp_path / "store1")
    first.folder.mkdir()
    done = first.build(*RECIPE, options=("--jobs", "4"))
    assert done.code == 0, done.out
    if LIBRARY is None:
        pytest.skip("libfaketime is not installed")
    second = Project(tmp_path / "second", tmp_path / "store2")
    second.folder.mkdir()
    for name in ("web.env", "web.env.lock"):
        shutil.copy(first.folder / name, second.folder / name)
    words = [str(400 * 86_400), str(tmp_path / "preload"), "build", "web.env", "--jobs", "1", "--locked"]
    moved = subprocess.run(
        [sys.executable, CLOCK, *words, "--progress", "plain"],
        cwd=second.folder,
        env={**second.environment, "PYTHONPATH": str(CLOCK.parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert moved.returncode == 0, moved.stderr
    assert f"year {done.printed.partition('year ')[2][:4]}" not in moved.stderr, "the clock was not moved"
    assert second.show()["digest"].endswith(done.image)
    _as_another_user(first, tmp_path, done.image)


def _as_another_user(first: Project, tmp_path: Path, image: str) -> None:
    """Root builds as a user who has a range of ids, too; for a user the run of the tests as root does it."""
    if os.geteuid() != 0:
        return
    names = [line.partition(":")[0] for line in Path("/etc/subuid").read_text().splitlines()]
    known = [entry.pw_name for entry in pwd.getpwall()]
    name = next((name for name in names if name in known and name != "root"), None)
    if name is None:
        return
    folder = Path(
        subprocess.run(["mktemp", "-d", "/tmp/envbuild-user.XXXXXX"], capture_output=True, text=True).stdout.strip()
    )
    try:
        for file in ("web.env", "web.env.lock"):
            shutil.copy(first.folder / file, folder / file)
        subprocess.run(["chown", "-R", name, folder], check=True)
        words = ["env", f"HOME={folder}", f"ENVBUILD_STORE={folder}/store", sys.executable, "-m", "envbuild"]
        package = str(CLOCK.parents[2])
        done = subprocess.run(
            ["runuser", "-u", name, "--", *words, "build", "web.env", "--locked"],
            cwd=folder,
            env={**first.environment, "PYTHONPATH": package},
            capture_output=True,
            text=True,
            check=False,
        )
        if "Permission denied" in done.stderr and "python" in done.stderr:
            return  # the interpreter or the checkout is root's alone
        assert done.returncode == 0, done.stderr
        assert image in done.stderr
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_a_recipe_of_ours_leaves_out_the_key_and_the_cluster_that_are_never_the_same(debian):
    recipe = Path(__file__).parents[2] / "recipes/group/db.env"
    debian.write("db.env", recipe.read_text())
    done = debian.command("build", "db.env", "--check")
    assert done.code == 0, done.out + done.err

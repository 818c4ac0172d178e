"""`run --here`: the folder that the user is in, at the same place inside."""

import os
from pathlib import Path

import pytest

from tests.conftest import call
from tests.instances.instances import ended, web, with_single_id
from tests.store.conftest import tmp_path

__all__ = ["tmp_path"]  # on a disk: `--here` refuses what would be below an image's own /dev
pytestmark = pytest.mark.namespaces


@pytest.fixture
def image(project):
    web(project)
    with ended(project):
        yield project


def here(image, folder: Path, script: str, *options: str):
    """A shell in a folder."""
    words = ("run", "--here", *options, "web", "--", "sh", "-c", script)
    return call(image.entry, words, folder, image.environment)


@pytest.mark.user
def test_files_belong_to_the_user_on_both_sides(image):
    image.write("app/src/x", "text")
    folder = image.folder / "app"
    done = here(image, folder, "pwd; stat -c %u src/x; mkdir made; echo y > made/y")
    assert done.stdout.decode().split() == [str(folder), "0"], done.stderr
    assert {(folder / name).stat().st_uid for name in ("made", "made/y")} == {os.getuid()}
    # With a single id, too.
    single = with_single_id(image, "run", "--here", "web", "--", "sh", "-c", "cat busybox.tar | wc -c; echo y > made")
    assert single.returncode == 0, single.stderr
    assert (image.folder / "made").stat().st_uid == os.getuid()


@pytest.mark.user
def test_a_user_of_the_image_gives_way_unless_one_is_named(image):
    assert image.build("adduser app uid=1234", "user app", "workdir /srv/app").code == 0
    assert here(image, image.folder, "id -u; pwd").stdout.decode() == f"0\n{image.folder}\n"
    named = here(image, image.folder, "id -u; pwd", "-u", "app", "-w", "/bin")
    assert named.stdout == b"1234\n/bin\n"
    assert image.command("run", "web", "--", "sh", "-c", "id -u; pwd").out == "1234\n/srv/app\n"


def test_it_never_covers_the_image(image):
    for folder in ("/", "/etc", "/usr/bin"):
        done = here(image, Path(folder), "true")
        assert done.returncode == 2, folder
        assert f"--here: {folder} would cover the image's own files" in done.stderr.decode()

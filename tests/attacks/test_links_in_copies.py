"""Links that an instance or a recipe sends to the host, in the hope that something is written through them."""

import os
import subprocess

import pytest

from tests.instances.instances import run, with_image

pytestmark = pytest.mark.namespaces


@pytest.fixture
def image(project, made_once, tmp_path):
    with with_image(project, made_once, tmp_path):
        yield project


@pytest.fixture
def victim(image):
    """A file of the user's outside of the folder that is copied to."""
    path = image.folder.parent / "victim"
    path.write_text("mine\n")
    return path


def sent(image, script: str) -> None:
    """Has an instance do something to its files, and waits for it."""
    run(image, "web", "--", "sh", "-c", script)
    assert image.command("wait", "one").code == 0


@pytest.mark.user
def test_a_copied_link_is_replaced_by_the_next_copy_and_not_followed(image, victim):
    sent(image, f"mkdir /out; ln -s {victim} /out/r.txt; ln -s /nowhere /out/dangling; echo evil > /out/second")
    for target in ("r.txt", "./r.txt", f"{image.folder}/r.txt"):
        assert image.command("cp", "one:/out/r.txt", target).code == 0, target
        assert os.readlink(image.folder / "r.txt") == str(victim), target
        assert image.command("cp", "one:/out/second", target).code == 0, target
        assert not (image.folder / "r.txt").is_symlink(), target
        assert (image.folder / "r.txt").read_text() == "evil\n"
    assert image.command("cp", "one:/out/dangling", "r.txt").code == 0
    assert image.command("cp", "one:/out/second", "r.txt").code == 0
    assert victim.read_text() == "mine\n"


@pytest.mark.user
def test_a_copied_link_to_a_folder_takes_nothing_in(image, victim):
    home = victim.parent / "home"
    home.mkdir()
    sent(image, f"ln -s {home} /out; echo evil > /authorized_keys; mkdir /d; echo evil > /d/authorized_keys")
    assert image.command("cp", "one:/out", ".").code == 0
    for target in ("out", "out/", "./out/.", "out//"):
        for source in ("/authorized_keys", "/d", "/d/."):
            done = image.command("cp", f"one:{source}", target)
            assert done.code == 2, (source, target)
            assert "links of this machine are not followed" in done.err, (source, target)
            assert str(home) in done.err
    assert list(home.iterdir()) == []


def test_a_copied_link_within_a_folder_takes_nothing_in(image, victim):
    home = victim.parent / "home"
    home.mkdir()
    script = (
        f"mkdir -p /a/d /b/d/x; ln -s {home} /a/d/x; ln -s {victim} /a/d/y; echo evil > /b/d/x/f; echo evil > /b/d/y"
    )
    sent(image, script)
    assert image.command("cp", "one:/a/d", ".").code == 0
    refused = image.command("cp", "one:/b/d", ".")
    assert (refused.code, "a link is in its way" in refused.err) == (1, True)
    (image.folder / "d" / "x").unlink()
    assert image.command("cp", "one:/b/d", ".").code == 0
    assert not (image.folder / "d" / "y").is_symlink()
    assert (list(home.iterdir()), victim.read_text()) == ([], "mine\n")


def test_a_list_of_parts_and_an_archive_do_not_follow_a_copied_link(image, victim):
    sent(image, f"ln -s {victim} /sbom.json; echo evil > /evil")
    assert image.command("cp", "one:/sbom.json", ".").code == 0
    assert image.command("sbom", "web", "-o", "sbom.json").code == 0
    assert not (image.folder / "sbom.json").is_symlink()
    assert victim.read_text() == "mine\n"


def test_verify_does_not_write_a_lock_through_a_link_that_was_copied(project, victim_of_recipe):
    """The link lies where the lock will be, and the recipe copies its whole folder."""
    (project.folder / "web.env.lock").symlink_to(victim_of_recipe)
    done = project.build("from tar:busybox.tar", "copy . -> /app")
    assert done.code in (0, 2), done.err
    project.command("verify", "web")
    assert not victim_of_recipe.exists() or victim_of_recipe.read_text() == ""


@pytest.fixture
def victim_of_recipe(project):
    return project.folder.parent / "bashrc"


@pytest.mark.user
def test_an_archive_into_an_instance_goes_through_no_link(image, victim, tmp_path):
    sent(image, f"ln -s {victim.parent} /out")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "victim").write_text("evil\n")
    packed = subprocess.run(["tar", "-c", "-C", tmp_path, "out/victim"], capture_output=True, check=True).stdout
    done = image.command("cp", "-", "one:/", stdin=packed)
    assert (done.code, "a link or a file" in done.err) == (1, True)
    assert victim.read_text() == "mine\n"

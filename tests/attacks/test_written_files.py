"""Files that envbuild writes where others chose the names: no link is followed, and nothing leads elsewhere."""

import os

import pytest

from envbuild.linux.nofollow import Component, Folder, NotAFile, NotPlain, TooMuch


@pytest.mark.user
@pytest.mark.namespaces
def test_verify_writes_no_lock_through_a_link_of_the_recipes_folder(project, tmp_path):
    victim = tmp_path / "victim"
    project.write("app/one.env", "from tar:busybox.tar", "copy ./ -> /srv/")
    (project.folder / "app/busybox.tar").write_bytes((project.folder / "base/busybox.tar").read_bytes())
    (project.folder / "app/one.env.lock").symlink_to(victim)
    done = project.command("build", "app/one.env")
    assert (done.code, "leads out" in done.err) == (2, True), done.err
    # One that leads to a place in the folder is no harm to anybody, and is not written through all the same.
    (project.folder / "app/one.env.lock").unlink()
    (project.folder / "app/one.env.lock").symlink_to("other")
    assert project.command("build", "app/one.env").code in (0, 2)
    project.command("verify", "one")
    assert not victim.exists()


@pytest.mark.parametrize("text", ["", ".", "..", "a/b", "/a", "a\0", "x" * 256, "../a"])
def test_what_is_no_component(text, tmp_path):
    with pytest.raises(NotPlain):
        Component(text)
    with Folder(str(tmp_path)) as folder:
        for use in (folder.create, folder.inner, folder.remove, lambda name: folder.read(name, 9)):
            with pytest.raises(NotPlain):
                use(text)


def test_a_folder_follows_nothing_and_replaces_nothing(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "link").symlink_to(outside)
    (inside / "file").symlink_to(outside / "secret")
    (inside / "none").symlink_to(outside / "new")
    os.mkfifo(inside / "pipe")
    with Folder(str(inside)) as folder:
        for name in ("link", "file", "none", "pipe"):
            with pytest.raises(FileExistsError):
                folder.write(name, b"x")
            with pytest.raises(FileExistsError):
                folder.link(str(outside / "secret"), name)
            with pytest.raises(NotAFile):
                folder.read(name, 99)
        with pytest.raises(NotADirectoryError), folder.below("link/x"):
            pass
        folder.write("plain", b"0123456789", 0o640)
        assert folder.read("plain", 10) == b"0123456789"
        with pytest.raises(TooMuch):
            folder.read("plain", 9)
        with folder.below("a/b/c") as (at, name):
            at.write(name, b"deep")
        folder.remove("link")
    assert (inside / "a/b/c").read_bytes() == b"deep"
    assert (inside / "plain").stat().st_mode & 0o777 == 0o640
    assert sorted(os.listdir(outside)) == ["secret"]
    with pytest.raises(OSError, match=r"symbolic|directory"):
        Folder(str(inside / "none"))


@pytest.mark.namespaces
@pytest.mark.parametrize("name", ["a" * 300, "../x", "a/b", "a\nb", ".x", "-x"])
def test_names_of_folders_in_the_store_are_one_component(project, name):
    done = project.command("volume", "create", "--", name)
    assert done.code == 2, done.err
    assert "can't name a volume" in done.err

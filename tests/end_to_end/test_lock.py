"""The lock in a user's hands, and the same bytes everywhere."""

import os
import shutil
import subprocess
import sys

import pytest
import yaml

pytestmark = pytest.mark.namespaces


def test_a_build_writes_a_lock_that_names_base_steps_trees_image_and_epoch(project):
    done = project.build("run echo 1 > /a")
    lock = yaml.safe_load((project.folder / "web.env.lock").read_text())
    assert lock["image"] == f"sha256:{done.image}"
    assert lock["epoch"] == 1_700_000_000
    (stage,) = lock["stages"]
    assert stage["base"] == "tar:busybox.tar"
    assert stage["steps"][0]["step"] == "run echo 1 > /a"
    assert stage["steps"][0]["tree"] == lock["tree"]


def test_an_unchanged_lock_is_not_written_again(project):
    project.build("run echo 1 > /a")
    before = (project.folder / "web.env.lock").stat().st_mtime_ns
    done = project.build()
    assert done.of("build-finished")[0]["lock_state"] == "unchanged"
    assert (project.folder / "web.env.lock").stat().st_mtime_ns == before


def test_locked_passes_when_all_is_as_locked_also_in_an_empty_store(project, tmp_path):
    project.build("run echo 1 > /a")
    assert project.build(options=("--locked",)).code == 0
    assert project.build(options=("--locked",), ENVBUILD_STORE=str(tmp_path / "other")).code == 0


def test_locked_fails_with_a_readable_difference(project):
    project.write("a.txt", "1")
    project.build("copy a.txt -> /a", "run echo 1 > /b")
    before = (project.folder / "web.env.lock").read_text()
    done = project.build("copy a.txt -> /a", "run echo 2 > /b", options=("--locked",))
    assert done.code == 1
    assert "- run echo 1 > /b\n+ run echo 2 > /b" in done.err
    project.write("a.txt", "2")
    done = project.build("copy a.txt -> /a", "run echo 1 > /b", options=("--locked",))
    assert done.code == 1
    assert "copy a.txt -> /a" in done.err
    assert (project.folder / "web.env.lock").read_text() == before


def test_locked_without_a_lock_says_so(project):
    done = project.build("run true", options=("--locked",))
    assert done.code == 1
    assert "there is no lock yet" in done.err


def test_a_lock_with_conflict_markers_is_refused_in_words(project):
    project.build("run true")
    lock = project.folder / "web.env.lock"
    lock.write_text("<<<<<<< ours\n" + lock.read_text())
    done = project.build()
    assert done.code == 2
    assert "conflict markers" in done.err


def test_other_parameters_leave_the_lock_alone(project):
    project.build("recipe web", "param x = 1", "from tar:busybox.tar", "run echo $x > /x")
    before = (project.folder / "web.env.lock").read_text()
    assert project.build(options=("--set", "x=2", "--tag", "web:two")).code == 0
    assert (project.folder / "web.env.lock").read_text() == before
    assert project.cat("/x", "web:two") == "2\n"
    assert project.cat("/x") == "1\n"


def test_a_locked_image_base_stays_until_update(project):
    project.build("run echo 1 > /v", name="base.env")
    project.build("from image:base", "run cat /v > /w")
    project.build("run echo 2 > /v", name="base.env")
    project.build()
    assert project.cat("/w") == "1\n"
    assert project.command("update", "web.env").code == 0
    assert project.cat("/w") == "2\n"


def test_two_empty_stores_give_one_digest(project, tmp_path):
    project.write("app/a", "1")
    lines = ("run mkdir /d; echo 1 > /d/a; ln -s a /d/l", "copy app/ -> /app/", "adduser app", "run date > /dev/null")
    first = project.build(*lines)
    (project.folder / "web.env.lock").unlink()
    second = project.build(*lines, ENVBUILD_STORE=str(tmp_path / "second"))
    assert first.image == second.image


@pytest.fixture(params=["range", "single"])
def user(request):
    """An ordinary user that exists as long as the test, with a range of ids or without one."""
    name = f"envbuild-{request.param}"
    subprocess.run(["userdel", "--remove", name], capture_output=True, check=False)
    subprocess.run(["useradd", "--create-home", name], check=True)
    with open("/etc/subuid") as file:
        own = [line.strip().split(":") for line in file if line.startswith(f"{name}:")]
    for _, first, count in own if request.param == "single" else []:
        ids = f"{first}-{int(first) + int(count) - 1}"
        subprocess.run(["usermod", "--del-subuids", ids, "--del-subgids", ids, name], check=True)
    if request.param == "range" and not own:
        ids = "600000-665535"
        subprocess.run(["usermod", "--add-subuids", ids, "--add-subgids", ids, name], check=True)
    yield name
    subprocess.run(["userdel", "--remove", name], capture_output=True, check=False)


@pytest.mark.root
def test_root_and_an_ordinary_user_get_one_digest(project, tmp_path, user):
    mine = project.build("run mkdir /d; echo 1 > /d/a; chmod 700 /d", "copy base -> /base", "run id -u > /id")
    assert mine.code == 0, mine.err
    theirs = tmp_path.parent / f"theirs-{user}"
    shutil.copytree(project.folder, theirs, symlinks=True)
    (theirs / "web.env.lock").unlink()
    subprocess.run(["chown", "-R", user, theirs], check=True)
    for above in [theirs, *theirs.parents]:
        if not os.stat(above).st_mode & 1:
            os.chmod(above, os.stat(above).st_mode | 0o711)
    done = subprocess.run(
        ["runuser", "-u", user, "--", sys.executable, "-m", "envbuild", "build", "web.env", "--progress", "json"],
        cwd=theirs,
        env={**project.environment, "HOME": str(theirs), "ENVBUILD_STORE": str(theirs / "store")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert mine.image in done.stdout

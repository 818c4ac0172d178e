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
    ((_, pins),) = lock["pins"].items()
    (stage,) = pins["stages"]
    assert (stage["base"], stage["epoch"]) == ("tar:busybox.tar", 1_700_000_000)
    image, step = (line.split()[1:] for line in lock["results"])
    assert image[:2] == ["image", done.image]
    assert (step[0], step[2]) == ("step", image[2])


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


def test_what_no_pin_has_may_change_with_locked_and_the_lock_stays(project):
    """As an edit of the application in a pull request does."""
    project.write("a.txt", "1")
    project.build("copy a.txt -> /a", "run cat /a > /b")
    before = (project.folder / "web.env.lock").read_text()
    project.write("a.txt", "2")
    done = project.build("copy a.txt -> /a", "run cat /a > /b; echo more >> /b", options=("--locked",))
    assert done.code == 0, done.err
    assert done.of("build-finished")[0]["lock_state"] == "unchanged"
    assert (project.folder / "web.env.lock").read_text() == before
    assert project.cat("/b") == "2\nmore\n"
    exact = project.build(options=("--locked=exact",))
    assert exact.code == 1
    assert "the lock does not have what it gives" in exact.err
    assert project.build().of("build-finished")[0]["lock_state"] == "written"
    assert project.build(options=("--locked=exact",)).code == 0


def test_locked_fails_with_a_readable_difference_where_a_pin_would_change(project):
    project.build("recipe web", "param x = 1", "from tar:busybox.tar", "run echo $x > /b")
    before = (project.folder / "web.env.lock").read_text()
    done = project.build("recipe web", "param x = 2", "from tar:busybox.tar", "run echo $x > /b", options=("--locked",))
    assert done.code == 1
    assert '-  "x": "1"\n+  "x": "2"' in done.err
    done = project.build("from scratch", "file /b", "    1", options=("--locked",))
    assert (done.code, "stage 1: from scratch  (not in the lock)" in done.err) == (1, True)
    assert (project.folder / "web.env.lock").read_text() == before


def test_a_step_that_gives_another_tree_than_the_lock_says_is_refused_with_the_paths(project):
    project.build("run echo 1 > /a", "run cat /proc/sys/kernel/random/uuid > /b")
    lock = (project.folder / "web.env.lock").read_text()
    project.build(options=("--no-cache",))
    done = project.build(options=("--locked",))
    assert done.code == 0  # what was built last is in the lock
    (project.folder / "web.env.lock").write_text(lock)
    done = project.build(options=("--locked",))
    assert done.code == 1
    assert "- gave tree" in done.err
    assert "/b: content" in done.err
    again = project.build()
    assert (again.code, "gave another tree than the lock has for it" in again.out) == (0, True)


def test_two_results_for_one_key_are_refused_and_mended_by_a_build(project):
    project.build("run echo 1 > /a")
    path = project.folder / "web.env.lock"
    lock = path.read_text()
    line = next(line for line in lock.splitlines() if " step " in line)
    path.write_text(f"{lock}{line[:-64]}{'0' * 64}\n")
    assert "the lock has two results for it" in project.command("status").out
    assert project.build(options=("--locked",)).code == 1
    again = project.build()
    assert (again.code, "one of the two trees that the lock has" in again.out) == (0, True)
    assert path.read_text() == lock


def test_stale_results_do_no_harm_and_go_with_the_next_build(project):
    project.build("run echo 1 > /a")
    path = project.folder / "web.env.lock"
    lock = path.read_text()
    here = next(line for line in lock.splitlines() if " step " in line).split()[1]
    path.write_text(f"{lock}  - {here} step {'0' * 64} {'1' * 64}\n")
    assert project.build(options=("--locked=exact",)).code == 0
    assert project.command("status", "--exit-code").code == 0
    assert project.build().of("build-finished")[0]["lock_state"] == "written"
    assert path.read_text() == lock


def test_what_a_lock_has_for_other_architectures_stays(project):
    project.build("run echo 1 > /a")
    path = project.folder / "web.env.lock"
    here = next(line for line in path.read_text().splitlines() if " step " in line).split()[1]
    path.write_text(path.read_text().replace(f"{here}:", "riscv64:").replace(f"- {here} ", "- riscv64 "))
    refused = project.build(options=("--locked",))
    assert (refused.code, f"not in the lock for {here}" in refused.err) == (1, True)
    other = path.read_text()
    assert project.build().code == 0
    assert {line for line in other.splitlines() if "riscv64" in line} <= set(path.read_text().splitlines())
    assert project.build(options=("--locked=exact",)).code == 0


def test_a_span_of_a_cool_down_is_kept(project):
    project.build("run echo 1 > /a")
    path = project.folder / "web.env.lock"
    path.write_text(path.read_text().replace('recipe: "web"', 'recipe: "web"\ncool-down: "P7D"'))
    assert project.build("run echo 2 > /a").code == 0
    assert 'cool-down: "P7D"' in path.read_text()
    assert project.build(options=("--locked",)).code == 0


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

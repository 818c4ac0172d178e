"""What `rollback` prints: after its command the recipe is that of the old image, with all files that it takes."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.history.conftest import new_repository

pytestmark = pytest.mark.namespaces

WEB = (
    "include parts/settings.env",
    "from recipe:base/base.env",
    "copy app -> /app",
    "copy conf/*.conf -> /etc/app/",
    "copy ${flavour}.txt -> /flavour",
    "render motd.tmpl -> /etc/motd",
    "run cat /app/*.py /etc/app/* /flavour /etc/motd > /all",
)


def with_shop(project) -> None:
    """Makes a recipe with all that it can be made of, built and committed."""
    git = new_repository(project)
    project.write("services/base/base.env", "from tar:busybox.tar", "copy tools -> /tools")
    (project.folder / "busybox.tar").rename(project.folder / "services/base/busybox.tar")
    (project.folder / "base/busybox.tar").rename(project.folder / "services/base/real.tar")
    (project.folder / "services/base/busybox.tar").unlink()
    (project.folder / "services/base/busybox.tar").symlink_to("real.tar")
    for name, text in (
        ("base/tools/one", "tool"),
        ("app/main.py", "one"),
        ("app/lib/deep/a.py", "deep"),
        ("conf/a.conf", "a"),
        ("conf/.hidden.conf", "h"),
        ("blue.txt", "blue"),
        ("motd.tmpl", "hello {{ flavour }}"),
        ("parts/settings.env", "param flavour=blue"),
        ("README", "not of the recipe"),
    ):
        project.write(f"services/{name}", text)
    project.write("services/web.env", *WEB)
    project.write("services/.envignore", "*.log")
    assert project.build(name="services/web.env").code == 0
    git.commit("one")


@pytest.fixture
def shop(project, again):
    again(with_shop)
    return project


def rolled_back(project, git, *words: str) -> str:
    """Rolls back, runs the printed git command, and checks that all is as it was; returns what was printed."""
    done = project.command("rollback", "web", *words)
    assert done.code == 0, done.err
    commands = [line.strip() for line in done.err.splitlines() if line.startswith("  git ")]
    for command in commands:
        ran = subprocess.run(
            ["sh", "-c", command], cwd=project.folder, env=git.environment, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, command + ran.stderr
    return done.err


def is_back(project) -> None:
    image = project.show("web")["digest"]
    (status,) = json.loads(project.command("status", "services/web.env", "--format", "json").out)
    assert (status["lock"], status["image"]) == ("up to date", image), status
    locked = project.build(name="services/web.env", options=("--locked",))
    assert locked.code == 0, locked.err
    assert f"sha256:{locked.image}" == image


def change_everything(project, git) -> None:
    folder = project.folder / "services"
    project.write("services/web.env", *WEB, "run echo more > /more")
    project.write("services/parts/settings.env", "param flavour=red")
    project.write("services/red.txt", "red")
    git("mv", "services/app/lib/deep/a.py", "services/app/moved.py")
    project.write("services/app/added.py", "added")
    project.write("services/app/main.py", "two")
    (folder / "app/main.py").chmod(0o755)
    project.write("services/conf/b.conf", "b")
    git("rm", "--quiet", "services/conf/a.conf", "services/motd.tmpl", "services/blue.txt")
    project.write("services/motd.tmpl", "bye {{ flavour }}")
    project.write("services/base/tools/one", "another")
    project.write("services/.envignore", "*.tmp")
    project.write("services/README", "changed")
    (folder / "base/busybox.tar").unlink()
    (folder / "base/busybox.tar").write_bytes((folder / "base/real.tar").read_bytes())
    assert project.build(name="services/web.env").code == 0
    git.commit("two")


def test_all_that_the_build_read_is_brought_back(shop, git):
    change_everything(shop, git)
    printed = rolled_back(shop, git)
    assert "warning" not in printed
    is_back(shop)
    assert git("diff", "--name-only", "HEAD", "--", "services/README") == ""
    assert (shop.folder / "services/README").read_text() == "changed\n"


def test_the_command_is_short_and_only_what_changed(shop, git):
    shop.write("services/app/main.py", "two")
    shop.build(name="services/web.env")
    git.commit("two")
    printed = rolled_back(shop, git)
    assert printed.strip().endswith("-- :/services/app/main.py :/services/web.env.lock")
    is_back(shop)
    # Nothing is left to do then.
    assert "git restore" not in shop.command("rollback", "web", "--to", "0").err


def test_from_elsewhere_git_is_told_where(shop, git, tmp_path):
    shop.write("services/app/main.py", "two")
    shop.build(name="services/web.env")
    git.commit("two")
    shop.folder, inside = tmp_path, shop.folder
    assert "a project has it: project/web" in shop.command("rollback", "web").err
    done = shop.command("rollback", "project/web")
    assert f"git -C {inside} restore" in done.err


def test_a_merge_is_no_target_and_the_commit_with_the_lock_is(shop, git):
    """The image was built from a merge, whose lock nobody knew, and committed after."""
    shop.write(".gitattributes", "*.env.lock merge=union")
    git.commit("attributes")
    git("checkout", "--quiet", "-b", "left")
    shop.write("services/app/left.py", "left")
    shop.build(name="services/web.env")
    git.commit("left")
    git("checkout", "--quiet", "main")
    shop.write("services/blue.txt", "navy")
    shop.build(name="services/web.env")
    git.commit("right")
    git("merge", "--quiet", "left", "-m", "merged")
    merge = git("rev-parse", "HEAD").strip()
    merged = shop.build(name="services/web.env").image
    unknown = shop.command("rollback", "web", "--to", merged[:12])
    assert f"warning: {merge[:12]} does not have as the image was built from it: services/" in unknown.err
    assert "web.env.lock" in unknown.err
    assert "git restore" not in unknown.err
    renewed = git.commit("the lock of the merge")
    shop.write("services/blue.txt", "sky")
    shop.build(name="services/web.env")
    git.commit("sky")
    printed = rolled_back(shop, git, "--to", merged[:12])
    assert f"--source={renewed[:12]}" in printed
    is_back(shop)


def test_a_lock_that_a_merge_commit_brought_is_found(shop, git):
    git("checkout", "--quiet", "-b", "left")
    shop.write("services/app/left.py", "left")
    shop.build(name="services/web.env")
    git.commit("left")
    git("checkout", "--quiet", "main")
    shop.write("services/blue.txt", "navy")
    shop.build(name="services/web.env")
    git.commit("right")
    git.run("merge", "--quiet", "--no-commit", "left")
    git("checkout", "--ours", "--", "services/web.env.lock")
    built = shop.build(name="services/web.env").image
    amended = git.commit("merged, with its lock")
    shop.write("services/blue.txt", "sky")
    shop.build(name="services/web.env")
    git.commit("sky")
    printed = rolled_back(shop, git, "--to", built[:12])
    assert f"--source={amended[:12]}" in printed
    is_back(shop)


def test_files_that_git_does_not_have_are_named(shop, git):
    shop.write(".gitignore", "*.secret")
    shop.write("services/app/key.secret", "1")
    first = shop.build(name="services/web.env").image
    git.commit("with a file that is not in it")
    shop.write("services/app/key.secret", "2")
    shop.write("services/app/main.py", "two")
    shop.build(name="services/web.env")
    git.commit("two")
    printed = rolled_back(shop, git, "--to", first[:12])
    assert "does not have as the image was built from it: services/app/key.secret" in printed
    shop.write("services/app/key.secret", "1")
    again = rolled_back(shop, git, "--to", first[:12])
    assert "does not have" not in again
    is_back(shop)


def test_what_would_be_lost_or_taken_too_is_named(shop, git):
    shop.write("services/app/main.py", "two")
    shop.build(name="services/web.env")
    git.commit("two")
    shop.write("services/app/main.py", "three, in no commit")
    shop.write("services/app/new.py", "not in git")
    shop.write("services/app/noise.log", "left out")
    printed = rolled_back(shop, git)
    assert "overwrites changes that are in no commit: services/app/main.py" in printed
    assert "a build takes them as long as they are there: services/app/new.py\n" in printed
    (shop.folder / "services/app/new.py").unlink()
    is_back(shop)


def test_a_base_recipe_that_was_not_committed_is_not_as_built(shop, git):
    shop.write("services/base/tools/one", "changed")
    shop.build(name="services/web.env")
    entry = json.loads(shop.command("log", "web", "--format", "json").out)[0]
    assert (entry["dirty"], entry["committed"]) == (True, False)
    git("checkout", "--quiet", "--", "services/base/tools")
    shop.build(name="services/web.env")
    done = shop.command("rollback", "web", "--to", "1")
    assert "no commit has them" in done.err or "services/base/tools/one" in done.err


def test_settings_are_said(shop, git):
    shop.write("services/red.txt", "red")
    shop.write("services/web.env", "param flavour=blue", *WEB[1:])
    git.commit("red")
    shop.build(name="services/web.env")
    red = shop.build(name="services/web.env", options=("--set", "flavour=red")).image
    shop.build(name="services/web.env")
    assert "it was built with --set=flavour=red" in shop.command("rollback", "web", "--to", red[:12]).err

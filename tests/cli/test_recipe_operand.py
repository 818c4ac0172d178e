"""The recipe that is meant: by its name, its folder, or because there is no other."""

import pytest

pytestmark = pytest.mark.namespaces

BASE = "from tar:busybox.tar"


def test_the_only_recipe_here_needs_no_name(project):
    project.write("shop.env", BASE, "run echo hello > /greeting", 'start ["cat", "/greeting"]')
    for words in (("build",), ("build", "--locked"), ("update",), ("build", "."), ("build", "shop")):
        done = project.command(*words)
        assert (done.code, "shop" in done.err + done.out) == (0, True), (words, done.err)
    assert project.command("run").out == "hello\n"
    assert project.command("run", "--", "echo", "other").out == "other\n"
    assert project.command("shell", stdin=b"cat /greeting\n").out == "hello\n"


def test_update_finds_the_only_recipe_before_it_has_a_lock(project):
    project.write("shop.env", BASE)
    assert project.command("update").code == 0
    assert (project.folder / "shop.env.lock").exists()
    done = project.command("update", "shop")
    assert (done.code, "shop" in done.err) == (0, True), done.err


def test_the_image_that_run_finds_has_the_name_that_the_recipe_gives_it(project):
    project.write("shop.env", "# a shop", "recipe other  # its name", BASE, 'start ["echo", "other"]')
    assert project.command("build").code == 0
    assert project.command("run").out == "other\n"


def test_of_several_recipes_one_has_to_be_named(project):
    project.write("a.env", BASE)
    project.write("b.env", BASE)
    for command in ("build", "run", "shell", "update"):
        done = project.command(command)
        assert (done.code, done.err) == (
            2,
            f"error: which recipe? this directory has a.env, b.env\nhint: name one: envbuild {command} a.env\n",
        )


def test_files_that_are_included_and_files_of_variables_are_no_recipes(project):
    project.write("web.env", 'include part.env x="1"', BASE)
    project.write("part.env", 'param x = "0"')
    project.write("production.env", "FROM_ADDRESS=x@example.org", "PASSWORD=secret")
    project.write(".env", "A=1")
    assert project.command("build").code == 0


def test_a_recipe_in_another_folder(project):
    project.write("shop/web.env", BASE.replace("tar:", "tar:../"))
    project.write("shop.env", BASE)
    project.write("notes/x.txt")
    assert "shop" in project.command("build", "shop").err
    assert project.command("build", "notes").err.startswith("error: there is no recipe in notes\n")


def test_dockers_ways_to_name_what_is_built(project):
    project.write("web.env", BASE)
    assert project.command("build", "-t", "web:1", ".").code == 0
    assert project.command("build", "-f", "web.env", "-t", "web:2", ".").code == 0
    assert project.command("show", "web:2").code == 0
    (project.folder / "other").mkdir()
    done = project.command("build", "-f", "web.env", "other")
    assert (done.code, done.err.splitlines()[0]) == (
        2,
        "error: -f web.env: a recipe takes its files from its own directory, not from other",
    )


def test_no_recipe_but_a_dockerfile(project):
    project.write("Dockerfile", "FROM debian:12")
    done = project.command("build")
    assert done.code == 2
    assert done.err.startswith("error: there is no recipe in this directory\nhint: Dockerfile is no recipe")


def test_a_shell_where_the_build_of_a_recipe_failed_takes_its_file_too(project):
    project.write("shop.env", BASE, "run echo here > /left; false")
    assert project.command("build").code == 1
    for words in (("--failed",), ("--failed", "shop"), ("--failed", "shop.env")):
        assert project.command("shell", *words, stdin=b"cat /left\n").out == "here\n", words

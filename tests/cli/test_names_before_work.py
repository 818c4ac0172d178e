"""Names that can't be used are refused before anything expensive is done for them."""

import json

import pytest

from tests.instances.instances import ended

pytestmark = pytest.mark.namespaces
WAITS = 'start ["sh", "-c", "trap \'exit 0\' TERM; while :; do sleep 0.05; done"]'


def waiting(project):
    """Makes an image that runs until it is stopped."""
    assert project.build(WAITS).code == 0


@pytest.fixture
def web(project, made_once, tmp_path):
    with made_once.again(project, waiting, tmp_path / "made"), ended(project):
        yield project


def volumes(project) -> list[str]:
    return [volume["name"] for volume in json.loads(project.command("volume", "ls", "--format", "json").out)]


@pytest.mark.parametrize("tag", ["a:b:c", ":v1", "web:", "-x", "web app"])
def test_a_tag_of_a_build(project, tag):
    done = project.build("run echo done > /done", options=(f"--tag={tag}",))
    assert (done.code, done.events) == (2, [])
    assert f"'{tag}' can't name an image" in done.err
    assert not (project.folder / "web.env.lock").exists()


def test_a_secret_of_a_step_that_nobody_has_run_yet(project):
    lines = ("run echo slow > /slow", "run(secret=token) wc -c < /run/secrets/token > /size")
    done = project.build(*lines)
    assert (done.code, done.ran) == (2, [])
    assert done.err == (
        "error: the step needs the secret 'token'\n  --> web.env:3:5\n   |\n"
        " 3 | run(secret=token) wc -c < /run/secrets/token > /size\n   |     ^^^^^^^^^^^^ "
        "give it with: --secret token=FILE, or in the environment: token=... envbuild build --secret token\n"
    )
    project.write("token", "abc")
    assert project.build(options=("--secret", "token=token")).code == 0
    # What is cached needs it no more, also where an earlier step runs again.
    again = project.build("run echo slow > /slow; true", lines[1])
    assert (again.code, again.cached[-1]) == (0, lines[1])


def test_the_instances_of_a_group(web):
    assert web.command("run", "-d", "--name", "shop-web", "web").code == 0
    web.write("app.env", "from image:web", "run echo built > /built")
    web.write("services.yaml", "name: shop", "services:", "  web: {recipe: app.env}")
    up = web.command("up")
    assert (up.code, "shop-web is the name of an instance" in up.err) == (2, True), up.err
    web.write("services.yaml", "services:", "  a: &a {recipe: app.env, ports: ['127.0.0.1:81:80']}", "  b: *a")
    up = web.command("up")
    assert (up.code, "a and b both want 127.0.0.1:81/tcp" in up.err) == (2, True), up.err
    assert not (web.folder / "app.env.lock").exists()


def test_a_clone_and_the_copies_of_its_volumes(web):
    assert web.command("run", "-d", "--name", "one", "-v", "data:/data", "-v", "data:/more", "web").code == 0
    for name, code, text in (("o/ne", 2, "'o/ne' can't name an instance"), ("one", 1, "an instance 'one' already")):
        clone = web.command("clone", "one", "--name", name)
        assert (clone.code, text in clone.err) == (code, True), clone.err
    assert volumes(web) == ["data"]
    assert web.command("volume", "create", "data-two").code == 0
    clone = web.command("clone", "one", "--name", "two")
    assert (clone.code, "there is a volume 'data-two' already" in clone.err) == (1, True), clone.err
    # A volume that is mounted twice is copied once.
    assert web.command("clone", "one", "--name", "three").code == 0
    assert volumes(web) == ["data", "data-three", "data-two"]


def test_a_commit_under_a_tag_that_never_moves(web):
    assert web.command("run", "-d", "--name", "one", "web").code == 0
    assert web.command("tag", "web", "web:fixed", "--immutable").code == 0
    assert web.command("exec", "one", "--", "sh", "-c", "echo new > /new").code == 0
    commit = web.command("commit", "one", "web:fixed")
    assert commit.code != 0
    assert "building" not in commit.err
    assert "web:fixed" in commit.err
    assert web.command("commit", "one", "web:other").code == 0

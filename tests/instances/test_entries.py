"""An image's entry: what every command of its instances begins with."""

import pytest

pytestmark = pytest.mark.namespaces

LINES = (
    "file(mode=755) /bin/begin",
    "    #!/bin/sh",
    '    echo "begin $*"',
    '    [ "$#" = 0 ] || exec "$@"',
    'entry ["begin", "echo"]',
    'start ["by", "default"]',
)


@pytest.fixture
def begun(project):
    """An image with an entry and a start command."""
    assert project.build(*LINES).code == 0
    return project


def test_a_command_follows_the_entry_in_place_of_the_start_command(begun):
    assert begun.command("run", "web").out == "begin echo by default\nby default\n"
    assert begun.command("run", "web", "--", "given").out == "begin echo given\ngiven\n"


def test_another_entry_is_not_given_the_start_command_and_none_is(begun):
    assert begun.command("run", "--entry", "echo", "web").out == "\n"
    assert begun.command("run", "--entry", "echo", "web", "--", "a").out == "a\n"
    assert begun.command("run", "--entry", '["echo", "x y"]', "web", "--", "a").out == "x y a\n"
    assert begun.command("run", "--entry", "", "web", "--", "echo", "a").out == "a\n"
    # The start command's first word is no program.
    assert "no program 'by'" in begun.command("run", "--entry", "", "web").err
    wrong = begun.command("run", "--entry", "[1]", "web")
    assert (wrong.code, "--entry" in wrong.err) == (2, True)


def test_what_runs_beside_it_is_run_without_the_entry(begun):
    assert begun.command("run", "-d", "--name", "one", "--entry", "sleep", "web", "--", "1000").code == 0
    try:
        assert begun.command("exec", "one", "--", "echo", "beside").out == "beside\n"
    finally:
        begun.command("rm", "--force", "one")


def test_show_and_diff_know_it_and_an_image_on_top_inherits_it(begun):
    assert '"entry": {' in begun.command("show", "web", "--format", "json").out
    begun.write("top.env", 'from image:web\nstart ["on", "top"]\n')
    assert begun.command("build", "top.env").code == 0
    assert begun.command("run", "top").out == "begin echo on top\non top\n"
    begun.write("bare.env", "from image:web\nunset entry start\n")
    assert begun.command("build", "bare.env").code == 0
    changed = begun.command("diff", "web", "bare")
    assert (changed.code, "entry" in changed.out) == (1, True), changed.out
    assert begun.command("run", "bare").code == 2

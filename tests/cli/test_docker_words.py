"""Words that somebody who knows docker types: either they do it, or the error names the right ones."""

import json

import pytest

from envbuild.cli import options
from envbuild.cli.commands import exec as exec_command
from envbuild.cli.commands import run
from envbuild.cli.main import COMMANDS
from envbuild.text import docker_words

pytestmark = pytest.mark.namespaces


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("search", "web"), "`envbuild remote ls HOST`"),
        (("port", "web"), "`envbuild ps` shows the published ports"),
        (("rename", "a", "b"), "envbuild clone OLD --name NEW"),
        (("network", "create", "x"), "envbuild run --network NAME IMAGE"),
        (("image", "sign"), "`envbuild images` lists the images"),
        (("bild",), "did you mean 'build'?"),
        (("nonsense",), "`envbuild --help` lists the commands"),
    ],
)
def test_a_command_that_docker_has(project, words, hint):
    done = project.command(*words)
    assert (done.code, done.out) == (2, "")
    assert done.err.splitlines()[0] == f"error: unknown command '{words[0]}'"
    assert hint in done.err.splitlines()[1]


def test_aliases_do_it(web):
    assert web.command("tag", "web", "web:old").code == 0
    assert json.loads(web.command("inspect", "web").out) == web.show()
    assert web.command("history", "web").out == web.command("show", "web").out
    assert web.command("image", "ls", "--format", "json").out == web.command("images", "--format", "json").out
    assert (
        web.command("container", "ls", "-a", "--format", "json").out == web.command("ps", "-a", "--format", "json").out
    )
    assert web.command("compose", "ps").code == 0
    assert web.command("rmi", "web:old").code == 0
    assert web.command("show", "web:old").code == 2
    assert web.command("prune").out.startswith("removed ")
    assert web.command("system", "df").out == web.command("du").out
    assert web.command("container").code == 2


def test_all_aliases_are_of_commands_that_there_are():
    for words in docker_words.ALIASES.values():
        assert not words or words[0] in COMMANDS or words[0] == "--version"
    assert not docker_words.ALIASES.keys() & COMMANDS.keys()
    assert not docker_words.COMMANDS.keys() & COMMANDS.keys()


@pytest.mark.parametrize(
    ("reference", "lines"),
    [
        ("debian:12", "`from debian:bookworm`"),
        ("debian:13-slim", "`from debian:trixie`"),
        ("ubuntu:24.04", "`from debian:bookworm`"),
        ("python:3.12-slim", "`from debian:bookworm` and `apt python3 python3-venv`"),
        ("node", "`from debian:bookworm` and `apt nodejs npm`"),
    ],
)
def test_an_image_that_docker_would_pull(web, reference, lines):
    done = web.command("run", reference)
    assert done.code == 2
    assert done.err == (
        f"error: there is no image '{reference}'\nhint: a name without a host is not pulled: make it from a recipe, as "
        f"in a file my.env that says {lines}; then: envbuild build my\n"
    )


@pytest.mark.parametrize(
    ("words", "out"),
    [
        (("web", "ls", "-d", "/bin"), "/bin\n"),
        (("-it", "web", "cat", "/greeting"), "hello\n"),
        (("--rm", "-e", "B=2", "web", "-u", "0", "sh", "-c", 'echo "$B" "$@"', "--", "-e"), "2 -e\n"),
        (("web", "--", "echo", "--", "x"), "-- x\n"),
        (("web", "--"), "hello\n"),
    ],
)
def test_a_command_behind_the_image_needs_no_dashes(web, words, out):
    done = web.command("run", *words)
    assert (done.code, done.out) == (0, out), done.err


def test_exec_takes_a_command_without_dashes(web):
    assert web.command("run", "-d", "--name", "job", "web", "sleep", "1000").code == 0
    try:
        assert web.command("exec", "-it", "job", "cat", "/greeting").out == "hello\n"
        assert web.command("restart", "-t", "0", "job").code == 0
        assert "running" in web.command("ps").out
        assert web.command("top", "job").out.startswith("NAME")
    finally:
        web.command("rm", "--force", "job")


@pytest.mark.parametrize(
    ("module", "words", "own", "command"),
    [
        (run, "-p 80:80 web ls -l", "-p 80:80 web", "ls -l"),
        (run, "-itd --name x web -e A=1 top -b", "-itd --name x web -e A=1", "top -b"),
        (run, "-dp 80:80 web top", "-dp 80:80 web", "top"),
        (run, "-p80:80 web", "-p80:80 web", ""),
        (run, "--name=x web a -- b", "--name=x web", "a -- b"),
        (run, "-- a", "", "a"),
        (exec_command, "-u root job -w / ls", "-u root job -w /", "ls"),
    ],
)
def test_where_the_command_begins(module, words, own, command):
    assert options.split_command(module.configure, words.split()) == (own.split(), command.split())


def test_words_of_docker_compose_for_what_up_does_anyway(project):
    project.write("compose.yaml", "services: {}")
    plain = project.command("up").err
    for words in (["-d"], ["--detach", "--build"], ["--wait"]):
        assert project.command("up", *words).err == plain


def test_joined_letters_need_no_argparse():
    assert vars(options.read(run.configure, ["-itd", "web"]))["detach"] is True
    assert options.read(run.configure, ["-itx", "web"]) is None


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (("build", "--lock"), "unrecognized arguments: --lock", "did you mean '--locked'?"),
        (("ps", "--al"), "unrecognized arguments: --al", "did you mean '--all'?"),
        (("build", "--build-arg", "A=1"), "unrecognized arguments: --build-arg", "--set NAME=VALUE"),
        (("run", "--entrypoint", "sh"), "unrecognized arguments: --entrypoint", "--entry PROGRAM"),
        (("tag", "web"), "the following arguments are required: NAME[:TAG]", "as in: envbuild tag web:qa web:prod"),
    ],
)
def test_options_are_not_abbreviated_and_dockers_lead_on(web, words, error, hint):
    done = web.command(*words)
    assert (done.code, done.out) == (2, "")
    first, second = done.err.splitlines()
    assert first.startswith(f"error: {error}")
    assert hint in second

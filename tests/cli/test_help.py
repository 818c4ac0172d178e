"""The help of the command line."""

import pytest

from envbuild.cli.main import COMMANDS


def test_help_documents_the_exit_codes(project):
    out = project.command("--help").out
    for line in ("0    done", "1    a step", "2    the command", "3    the machine", "130  interrupted"):
        assert line in out


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_each_command_has_help_with_an_example_however_it_is_asked_for(project, command):
    done = project.command(command, "--help")
    assert done.code == 0
    assert f"envbuild {command}" in done.out.split("examples:")[1]
    assert project.command("help", command).out == done.out


def test_help_lists_each_command_with_what_it_does(project):
    lines = project.command("--help").out.splitlines()
    for name, (_, summary) in COMMANDS.items():
        assert any(line.split(maxsplit=1) == [name, summary] for line in lines)

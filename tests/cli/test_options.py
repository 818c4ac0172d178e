"""Options read without argparse: either the same as argparse's answer, or left to it."""

import argparse

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envbuild.cli import options
from envbuild.cli.commands import build, diff, log, ps, rm, run, stop, tag

COMMANDS = {module.__name__: module for module in (build, diff, log, ps, rm, run, stop, tag)}
WORDS = [
    *("web", "web:1", "", "a b", "-a b", "-", "--", "-h", "-5", "--det", "-dx", "-j4"),
    *("-d", "--detach", "--keep", "--rm", "--no-cache", "--locked", "-f", "-t"),
    *("--name", "--name=x", "--name=a b", "-e", "A=1", "--env=B=", "--set", "a=b"),
    *("--cpus", "2", "x", "--pids=3", "--jobs", "--progress", "json", "blue", "--format", "--stop-timeout", "1e3"),
]


def by_argparse(module, words):
    parser = argparse.ArgumentParser(exit_on_error=False)
    module.configure(parser)
    try:
        return vars(parser.parse_args(words))
    except (SystemExit, argparse.ArgumentError):
        return None


@pytest.mark.parametrize("name", COMMANDS)
def test_what_is_read_is_what_argparse_reads(name, capsys):
    module = COMMANDS[name]

    @settings(database=None, deadline=None, max_examples=150)
    @given(st.lists(st.sampled_from(WORDS), max_size=5))
    def check(words):
        values = options.read(module.configure, words)
        if values is not None:
            assert vars(values) == by_argparse(module, words)

    check()


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (build, ["web.env"]),
        (build, ["web.env", "--set", "a=b", "--set=c=d", "-j", "3", "--progress", "json", "--locked"]),
        (run, ["web"]),
        (run, ["-d", "--name", "x", "-p", "80:80", "--cpus=1.5", "web"]),
        (tag, ["web", "web:1"]),
        (ps, []),
    ],
)
def test_usual_command_lines_need_no_argparse(module, words):
    values = options.read(module.configure, words)
    assert values is not None
    assert vars(values) == by_argparse(module, words)

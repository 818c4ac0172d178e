"""Bringing versions back: the package managers' commands, and nothing that a capture could have slipped into them."""

from __future__ import annotations

import json
import shlex

import pytest

from envbuild.capture.package_moves import (
    DebianMove,
    NoSuchPackage,
    apt_words,
    debian_moves,
    debian_packages,
    mark_words,
    node_moves,
    python_moves,
)
from tests.capture.conftest import Machine

THEN = debian_packages(
    [
        ("jq", "amd64", "1.6-2", "by hand"),
        ("libjq1", "amd64", "1.6-2", "pulled in"),
        ("ed", "amd64", "1.19-1", "by hand"),
        ("tzdata", "all", "2024a-0", "by hand", "hold"),
        ("old", "amd64", "1", "by hand", "deinstall config-files"),
    ]
)
NOW = debian_packages(
    [
        ("jq", "amd64", "1:1.7-1", "by hand"),
        ("libjq1", "amd64", "1.7-1", "by hand"),
        ("tzdata", "all", "2024b-0", "by hand"),
        ("vim", "amd64", "9", "by hand"),
    ]
)


def test_versions_marks_and_what_was_not_there_come_back():
    moves = debian_moves(THEN, NOW, (), "laptop")
    assert moves == (
        DebianMove("ed:amd64", "", "1.19-1", True),
        DebianMove("jq:amd64", "1:1.7-1", "1.6-2"),
        DebianMove("libjq1:amd64", "1.7-1", "1.6-2", False),
        DebianMove("tzdata", "2024b-0", "2024a-0"),
        DebianMove("vim:amd64", "9", ""),
    )
    words = apt_words(moves, {"ed:amd64": "/var/cache/apt/archives/ed_1.19-1_amd64.deb"})
    assert words[4:] == (
        "/var/cache/apt/archives/ed_1.19-1_amd64.deb",
        *("jq:amd64=1.6-2", "libjq1:amd64=1.6-2", "tzdata=2024a-0", "vim:amd64-"),
    )
    assert list(mark_words(moves)) == [("apt-mark", "manual", "ed:amd64"), ("apt-mark", "auto", "libjq1:amd64")]


def test_only_what_is_named_moves():
    assert [move.key for move in debian_moves(THEN, NOW, ("jq", "vim:amd64"), "laptop")] == ["jq:amd64", "vim:amd64"]
    with pytest.raises(NoSuchPackage):
        debian_moves(THEN, NOW, ("old",), "laptop")
    assert apt_words(debian_moves(NOW, NOW, (), "laptop"), {}) == ()


@pytest.mark.parametrize(
    "row",
    [
        ("--purge", "amd64", "1", "by hand"),
        ("jq", "-o", "1", "by hand"),
        ("jq", "amd64", "1 -oDPkg::Pre-Invoke=x", "by hand"),
        ("/tmp/evil.deb", "all", "1", "by hand"),
        ("jq*", "amd64", "1", "by hand"),
        ("jq", "amd64", "../1", "by hand"),
        ("jq", "amd64", "", "by hand"),
        ("jq",),
    ],
)
def test_a_capture_slips_nothing_into_apts_command(row: tuple[str, ...]):
    assert debian_packages([row]) == {}


def test_pips_and_npms_commands():
    local, venv = "usr/local/lib/python3.11/dist-packages", "srv/my app/lib/python3.11/site-packages"
    then = [
        (local, "flask", "2.0", "pip", "by hand"),
        (venv, "numpy", "1.26", "uv"),
        (local, "--index-url", "1", "pip"),
    ]
    now = [(local, "flask", "3.0", "pip"), (venv, "numpy", "1.26", "uv"), (local, "extra", "1", "pip"),
           ("usr/lib/python3/dist-packages", "apt", "2.6", "debian")]  # fmt: skip
    commands = [move.command for move in python_moves(then, now)]
    assert commands == [
        "python3.11 -m pip install --break-system-packages --no-deps flask==2.0",
        "python3.11 -m pip uninstall --break-system-packages extra",
    ]
    (move,) = python_moves([(venv, "numpy", "1.25", "uv")], [(venv, "numpy", "1.26", "uv")])
    assert shlex.split(move.command)[0] == "/srv/my app/bin/python"
    node = "usr/local/lib/node_modules"
    then = [(node, "pnpm", "8.0.0"), (node, "-g", "1.0.0"), (node, "@a/b", "1.0.0")]
    now = [(node, "pnpm", "9.0.0"), (node, "npm", "10.0.0")]
    assert [move.command for move in node_moves(then, now)] == [
        "npm --global --prefix /usr/local install @a/b@1.0.0 pnpm@8.0.0"
    ]


@pytest.mark.namespaces
@pytest.mark.user
def test_the_commands_of_another_root_are_only_shown(machine: Machine):
    stanza = "Package: {}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {}\n"
    status = "/var/lib/dpkg/status"
    machine.write(status, stanza.format("jq", "1.6-2") + "\n" + stanza.format("ed", "1.19-1"))
    machine.capture()
    machine.write(status, stanza.format("jq", "1.7-1"))
    words = ("restore", "laptop", "--root", str(machine.root), "--yes")
    said = json.loads(machine.output(*words, "--packages", "--format", "json"))
    assert said["moves"] == [
        {"name": "ed:amd64", "before": "", "after": "1.19-1"},
        {"name": "jq:amd64", "before": "1.7-1", "after": "1.6-2"},
    ]
    assert not said["done"]
    assert "jq:amd64  1.7-1 -> 1.6-2" in machine.output(*words, "--package", "jq")
    assert "1.7-1" in (machine.root / "var/lib/dpkg/status").read_text()
    done = machine.project.command(*words, "--package", "vim")
    assert done.code == 2
    assert "neither laptop nor this machine has a package 'vim'" in done.err
    assert machine.project.command(*words, "--packages", "/etc").code == 2

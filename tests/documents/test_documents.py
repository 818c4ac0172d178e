"""Every command that the documents print is run, in order, in a fresh folder; the rest of their blocks is read."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from envbuild.cli.main import COMMANDS
from envbuild.cli.options import split_command
from envbuild.cli.parser import parse, parser_of
from envbuild.language.load import load_recipe
from envbuild.linux import syscalls
from envbuild.linux.netlink import Links
from tests.child import in_child
from tests.conftest import Project
from tests.documents.blocks import (
    LANGUAGES,
    PAGES,
    ROOT,
    WORDS,
    Block,
    Command,
    blocks_of,
    commands_of,
    in_text,
    indented_blocks,
    is_printed,
)

FOLDERS = Path(__file__).with_name("folders")
CLONE_NEWNET = 0x40000000
RUN = ("console", "sh")


def runs(page: Path, *, nightly: bool) -> bool:
    """Tell whether commands of a page are run."""
    run = [block for block in blocks_of(page) if block.language in RUN and "ci" not in block.words]
    return any(("nightly" in block.words) == nightly for block in run)


@pytest.fixture
def reader(tmp_path: Path, busybox: Path) -> Iterator[Project]:
    """Somebody who follows a page: a fresh folder, which is the home, a store, and envbuild on PATH."""
    folder = tmp_path / "home"
    folder.mkdir()
    shutil.copy(busybox, folder / "busybox.tar")
    project = Project(folder, tmp_path / "store")
    search = f"{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/sbin:/bin"
    project.environment |= {"PATH": search, "GIT_CONFIG_GLOBAL": "/dev/null", "CHECKOUT": str(ROOT)}
    try:
        yield project
    finally:
        instances = [instance["id"] for instance in json.loads(project.command("ps", "-a", "--format", "json").out)]
        if instances:
            project.command("rm", "--force", *instances)


def follow(page: Path, reader: Project, *, nightly: bool) -> None:
    """Do what a page says, with the files of the folder of its name at hand."""
    given = FOLDERS / page.stem.lower()
    if given.is_dir():
        shutil.copytree(given, reader.folder, dirs_exist_ok=True)
    if (reader.folder / "setup.sh").exists():
        shell(reader, Command("sh -eu setup.sh", 0, ""), f"{given}/setup.sh")
    for block in blocks_of(page):
        if block.file:
            reader.write(block.file, block.text.rstrip("\n"))
        elif "ci" in block.words or ("nightly" in block.words and not nightly):
            continue
        elif block.language == "sh":
            shell(reader, Command(f"set -eu\n{block.text}", 0, ""), block.place)
        elif block.language == "console":
            for command in commands_of(block):
                shell(reader, command, block.place)


def shell(reader: Project, command: Command, place: str) -> None:
    done = subprocess.run(
        ["sh", "-c", command.text],
        cwd=reader.folder,
        env=reader.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1500,
        check=False,
    )
    assert done.returncode == command.code, f"{place}: {command.text}\n{done.stdout}"
    if command.printed:
        assert is_printed(command.printed, done.stdout), f"{place}: {command.text}\n{done.stdout}"


@pytest.mark.namespaces
@pytest.mark.parametrize("page", [pytest.param(page, id=page.stem) for page in PAGES if runs(page, nightly=False)])
def test_commands_of_a_page_are_run_in_order(page, reader):
    def apart() -> None:
        # Ports that a page names may be taken on this machine; only root can have a network without them so easily.
        if os.geteuid() == 0:
            syscalls.unshare(CLONE_NEWNET)
            with Links() as links:
                links.raise_up("lo")
        follow(page, reader, nightly=False)

    in_child(apart)


@pytest.mark.namespaces
@pytest.mark.nightly
@pytest.mark.mirror
@pytest.mark.parametrize("page", [pytest.param(page, id=page.stem) for page in PAGES if runs(page, nightly=True)])
def test_all_commands_of_a_page_are_run_in_order(page, reader):
    follow(page, reader, nightly=True)


@pytest.mark.parametrize("block", [block for page in PAGES for block in blocks_of(page)], ids=lambda block: block.place)
def test_a_block_is_what_it_says(block: Block):
    assert block.language in LANGUAGES, f"{block.place}: say what the block is (CONTRIBUTING.md): {sorted(LANGUAGES)}"
    assert WORDS.issuperset(block.words), block.place
    if block.language == "env":
        text = block.text if re.search(r"^from ", block.text, re.M) else f"from scratch\n{block.text}"
        load_recipe(block.file or "part.env", {}, arch="amd64", read=lambda _: text.encode())
    elif block.language == "yaml":
        yaml.safe_load(block.text)
    elif block.language == "json":
        for line in block.text.splitlines():
            json.loads(line)
    elif block.language == "console":
        assert commands_of(block)


def test_blocks_are_fenced():
    assert [f"{page.name}:{line}" for page in PAGES for line in indented_blocks(page)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_in_the_text_are_understood(page):
    """Each option is one of its command: `envbuild diff --no-such` can't stand anywhere."""
    wrong = [f"{page.relative_to(ROOT)}:{line}: {text}" for line, text in in_text(page) if not is_understood(text)]
    assert wrong == []


def is_understood(text: str) -> bool:
    """Tell whether a command line in the text names a command, and options that this one has."""
    own = text.partition(" -- ")[0].partition(" && ")[0]
    _, name, *words = shlex.split(re.sub(r"[][]|\.\.\.", " ", own))
    if name == "COMMAND":
        return True
    if name not in COMMANDS:
        return False
    module = import_module(f"envbuild.cli.commands.{COMMANDS[name][0]}")
    return flags_of(parser_of(name, module)).issuperset(word for word in words if word.startswith("-"))


def flags_of(parser: argparse.ArgumentParser) -> set[str]:
    """Return the options of a command, and of its parts."""
    options: set[str] = set()
    for action in parser._actions:
        options.update(action.option_strings)
        if isinstance(action, argparse._SubParsersAction):
            for part in action.choices.values():
                options |= flags_of(part)
    return options


def test_options_that_are_documented_exist():
    """docs/commands.md has a section for each command: the options in it are those of its commands."""
    sections = re.split(r"^## ", (ROOT / "docs/commands.md").read_text(), flags=re.M)[1:]
    wrong = []
    for section in sections:
        title, _, text = section.partition("\n")
        names = [name for name in re.findall(r"[a-z]+", title) if name in COMMANDS]
        known: set[str] = set()
        for name in names:
            known |= flags_of(parser_of(name, import_module(f"envbuild.cli.commands.{COMMANDS[name][0]}")))
        options = re.findall(r"`(--[a-z][a-z-]*|-[a-z])", text) if names else []
        wrong += [f"{title}: {option}" for option in options if option not in known]
    assert wrong == []


def test_examples_of_help_are_right(capsys):
    for file, _ in COMMANDS.values():
        for line in import_module(f"envbuild.cli.commands.{file}").EXAMPLES.splitlines():
            if line.startswith("  envbuild "):
                text = re.split(r" [|>] | && |  +", line.strip())[0]
                _, name, *words = shlex.split(text)
                module = import_module(f"envbuild.cli.commands.{COMMANDS[name][0]}")
                if hasattr(module, "TAKES_COMMAND"):
                    words, _ = split_command(module.configure, words, module.TAKES_COMMAND)
                try:
                    parse(name, module, words)
                except SystemExit:
                    pytest.fail(f"{line}\n{capsys.readouterr().err}")


def test_no_page_installs_what_no_index_has():
    for page in PAGES:
        assert not re.search(r"pip install (-q )?envbuild\b", page.read_text()), page


def test_text_is_compared_with_gaps():
    assert is_printed("a\n...\nb ... c\n", "a\nx\ny\nb 12 c\n")
    assert is_printed("...\nb\n", "b\n")
    assert not is_printed("a\n", "a\nb\n")
    assert not is_printed("a ... c\n", "a 1 c 2\n")

"""Command lines are completed in real shells; manual pages say what `--help` says."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from envbuild.cli.main import COMMANDS
from envbuild.cli.overview import GROUPS

BASH = """
source ./envbuild.bash
COMP_WORDBREAKS=$' \\t\\n"\\'><=;|&(:'
while IFS= read -r line; do
    COMP_LINE=$line COMP_POINT=${#line} COMP_WORDS=($line) COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _envbuild
    echo "${COMPREPLY[*]}"
done
"""
FISH = """
source ./envbuild.fish
while read --line line
    echo (complete --do-complete "$line" | string split --fields 1 \\t)
end
"""
# What zsh shows is for a terminal: its functions are asked, in one that is not drawn, for what they would offer.
ZSH = """
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell 'PROMPT=; autoload -U compinit; compinit -u -D; source ./envbuild.zsh
    compadd() { local -a found; builtin compadd -A found "$@"; print -r -- $found >> ./offered; builtin compadd "$@" }
    offer() { zle list-choices; : > ./over }; zle -N offer; bindkey "^I" offer; echo REA""DY'
while zpty -r shell line; do [[ $line == *READY* ]] && break; done
while IFS= read -r line; do
    : > ./offered; rm -f ./over
    zpty -w -n shell "$line"$'\\t'
    for i in {1..1200}; do [[ -e ./over ]] && break; sleep 0.05; done
    print -r -- ${=$(<./offered)}
    zpty -w -n shell $'\\C-u'
done
zpty -d shell
"""


@pytest.fixture
def used(project):
    """A project with an image of two tags, a volume, an instance and a recipe."""
    project.environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    project.build('start ["sleep", "1000"]')
    project.command("tag", "web", "web:v1")
    project.command("volume", "create", "data")
    assert project.command("run", "-d", "--name", "job", "web").code == 0
    yield project
    project.command("rm", "--force", "job")


def offered(project, shell: str, program: str, lines: list[str]) -> list[list[str]]:
    """What a shell offers for each line, sorted."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    (project.folder / f"envbuild.{shell}").write_text(project.command("completion", shell).out)
    bare = {"bash": ["--norc"], "zsh": ["-f"], "fish": ["--no-config"]}[shell]
    done = subprocess.run(
        [shell, *bare, "-c", program],
        cwd=project.folder,
        env=project.environment | {"TERM": "dumb", "ZDOTDIR": str(project.folder)},
        input="".join(f"{line}\n" for line in lines),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    words = done.stdout.splitlines()
    assert len(words) == len(lines), done.stdout + done.stderr
    return [sorted(line.split()) for line in words]


EXPECTED = {
    "envbuild st": ["start", "stats", "status", "stop"],
    "envbuild run ": ["web", "web:v1"],
    "envbuild build --prog": ["--progress"],
    "envbuild build --progress ": ["auto", "json", "plain"],
    "envbuild stop ": ["job"],
    "envbuild build ": ["web.env"],
}


@pytest.mark.namespaces
@pytest.mark.parametrize(("shell", "program"), [("bash", BASH), ("fish", FISH), ("zsh", ZSH)])
def test_commands_options_and_names_are_completed(used, shell, program):
    assert dict(zip(EXPECTED, offered(used, shell, program, list(EXPECTED)), strict=True)) == EXPECTED
    # What a script can't know is asked for when the key is pressed; without a store there is none, and no message.
    assert used.command("completion", "--names", "volumes").out == "data\n"
    nothing = used.command("completion", "--names", "images", ENVBUILD_STORE=str(used.folder / "none"))
    assert (nothing.code, nothing.out, nothing.err) == (0, "", "")
    assert not (used.folder / "none").exists()


@pytest.mark.namespaces
def test_bash_takes_names_with_colons_apart_as_it_does(used):
    lines = ["envbuild run web:", "envbuild volume rm ", "envbuild run -d web x", "envbuild exec job -- "]
    assert offered(used, "bash", BASH, lines) == [["v1"], ["data"], [], []]


def test_each_command_is_in_one_group_of_the_help():
    assert sorted(" ".join(GROUPS.values()).split()) == sorted(COMMANDS)


def test_manual_pages_are_right_for_man(project):
    assert project.command("man", "--output", "new/man1").code == 0
    pages = {path.name for path in (project.folder / "new/man1").iterdir()}
    assert pages == {"envbuild.1", *(f"envbuild-{name}.1" for name in COMMANDS)}
    text = (project.folder / "new/man1/envbuild-build.1").read_text()
    assert "compile a recipe into an image" in text
    assert r"\fB\-\-locked\fR" in text
    if shutil.which("groff"):
        words = ["groff", "-man", "-Tutf8", "-ww", "-z", *sorted(pages)]
        done = subprocess.run(words, cwd=project.folder / "new/man1", capture_output=True, text=True, check=False)
        assert done.stderr == ""


@pytest.mark.nightly
@pytest.mark.mirror
def test_the_package_brings_its_manual_pages_and_leaves_no_file_in_the_sources(tmp_path):
    root = Path(__file__).parents[2]
    subprocess.run(["git", "clone", "-q", root, tmp_path / "sources"], check=True)
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    install = [tmp_path / "venv/bin/pip", "install", "-q", "--no-deps", "."]
    subprocess.run(install, cwd=tmp_path / "sources", check=True)
    pages = {path.name for path in (tmp_path / "venv/share/man/man1").iterdir()}
    assert pages == {"envbuild.1", *(f"envbuild-{name}.1" for name in COMMANDS)}
    kept = ["git", "status", "--short", "--ignored"]
    assert subprocess.run(kept, cwd=tmp_path / "sources", check=True, capture_output=True).stdout == b""

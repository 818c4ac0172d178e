"""`diff --text` as a patch: what patch(1) and git make of the old tree with it is the new one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from envbuild.history.patch import quoted
from envbuild.store.store import Store
from envbuild.tree.entry import DIRECTORY, FILE, LINK
from envbuild.tree.lookup import walk
from tests.conftest import Project

pytestmark = pytest.mark.namespaces

NAMES = ("plain", "with space", "quo'te", 'dou"ble', "back\\slash", "umlaut-\u00e4", "latin-\udce4", "tab\there")
"""A surrogate stands for a byte that is not UTF-8."""


def written(project: Project, name: str, folder: Path) -> Path:
    """Writes what lies in /srv of an image, and returns the folder."""
    with Store.open(project.environment["ENVBUILD_STORE"]) as store:
        image = store.images.get(store.tags.image_of("web", name) or "")
        for path, entry in walk(store.trees, image.tree):
            where = os.path.join(os.fsencode(folder), path)
            if not (path + b"/").startswith(b"srv/"):
                continue
            if entry.kind == DIRECTORY:
                os.makedirs(where)
            elif entry.kind == LINK:
                os.symlink(entry.target, where)
            elif entry.kind == FILE:
                Path(os.fsdecode(where)).write_bytes(store.objects.read(entry))
                os.chmod(where, entry.mode)
    return folder


def contents(folder: Path) -> dict[str, tuple[object, ...]]:
    """The files and links of a folder, with the right to execute, which is all that git keeps of a mode."""
    content = {}
    for path in folder.rglob("*"):
        if path.is_symlink():
            content[str(path.relative_to(folder))] = ("link", os.readlink(path))
        elif path.is_file() and path.suffix not in (".orig", ".rej"):
            content[str(path.relative_to(folder))] = (path.read_bytes(), bool(path.stat().st_mode & 0o100))
    return content


def patch_of(project: Project, *words: str) -> bytes:
    command = [sys.executable, "-m", "envbuild", "diff", "web:old", "web:new", "--text", *words]
    done = subprocess.run(command, cwd=project.folder, env=project.environment, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (1, b"")
    return done.stdout


@pytest.fixture
def pair(project) -> Project:
    """Two images, of which /srv differs in all that a patch can say, and in a binary file."""
    srv = project.folder / "root/srv"
    srv.mkdir(parents=True)
    for number, name in enumerate(NAMES):
        (srv / f"{name}-changed").write_text("".join(f"{line}\n" for line in range(20)))
        (srv / f"{name}-deleted").write_text(f"gone {number}\n")
    (srv / "end").write_text("a\nno newline")
    (srv / "ends").write_text("a\nnewline\n")
    (srv / "latin").write_bytes(b"stra\xdfe\n\x1b[31mred\r\n")
    (srv / "empty").write_text("")
    (srv / "emptied").write_text("text\n")
    (srv / "empty-deleted").write_text("")
    (srv / "script").write_text("#!/bin/sh\n")
    (srv / "dashes").write_text("-- a/x\n++ b/x\nx\n")
    (srv / "secret").write_text("x\n")
    (srv / "secret").chmod(0o600)
    (srv / "link").symlink_to("end")
    (srv / "link-deleted").symlink_to("end")
    (srv / "became-link").write_text("file\n")
    (srv / "became-file").symlink_to("end")
    (srv / "binary").write_bytes(b"\0\1\2")
    project.build("copy root/ -> /", options=("--tag", "web:old"))
    for name in NAMES:
        (srv / f"{name}-changed").write_text("".join(f"{line}\n" for line in range(20) if line != 10))
        (srv / f"{name}-deleted").unlink()
        (srv / f"{name}-new").write_text(f"{name!a}\n")
    (srv / "end").write_text("b\nno newline")
    (srv / "ends").write_text("a\nnewline")
    (srv / "latin").write_bytes(b"gr\xf6\xdfe\n\x1b[31mred\r\n")
    (srv / "empty").write_text("now\n")
    (srv / "emptied").write_text("")
    (srv / "empty-deleted").unlink()
    (srv / "empty-new").write_text("")
    (srv / "script").chmod(0o755)
    (srv / "dashes").write_text("x\n-- a/x\n++ b/x\n@@ -1 +1 @@\n")
    (srv / "secret").write_text("y\n")
    for name, target in (("link", "ends"), ("link-new", "end"), ("became-link", "end")):
        (srv / name).unlink(missing_ok=True)
        (srv / name).symlink_to(target)
    (srv / "link-deleted").unlink()
    (srv / "became-file").unlink()
    (srv / "became-file").write_text("file\n")
    (srv / "binary").write_bytes(b"\0\1\2\3")
    (srv / "binary").chmod(0o755)
    (srv / "new/folder").mkdir(parents=True)
    (srv / "new/folder/file").write_text("new\n")
    project.build("copy root/ -> /", options=("--tag", "web:new"))
    return project


PROGRAMS = (["patch", "--quiet", "-p1"], ["git", "apply"])


@pytest.mark.parametrize("program", PROGRAMS, ids=["patch", "git"])
def test_the_old_tree_becomes_the_new_one(pair, tmp_path, program):
    if shutil.which(program[0]) is None:
        pytest.skip(f"{program[0]} is not installed")
    old, new = written(pair, "old", tmp_path / "a"), written(pair, "new", tmp_path / "b")
    patch = patch_of(pair)
    assert b"/srv/binary: binary, 3 bytes -> binary, 4 bytes\n" in patch
    environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(tmp_path), "LC_ALL": "C"}
    done = subprocess.run(program, cwd=old, input=patch, capture_output=True, check=False, env=environment)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    made, expected = contents(old), contents(new)
    assert made.pop("srv/binary") == (b"\0\1\2", True)  # its mode is in the patch, its content is not
    expected.pop("srv/binary")
    assert made == expected


def test_names_are_quoted_as_git_does():
    assert quoted(b"a/plain-1.0+b_c") == "a/plain-1.0+b_c"
    assert quoted(b"a/x y") == '"a/x y"'
    assert quoted(b'a/"\\\n\t\xe4') == '"a/\\"\\\\\\n\\t\\344"'


def test_what_a_patch_can_not_say_is_said(project):
    project.build("run mkdir /d; echo > /d/f; echo > /d/x; mkfifo /d/p", options=("--tag", "web:old"))
    project.build(
        "run mkdir /d; echo > /d/f; mkdir /d/x; chmod 700 /d; rm -f /d/p; chown 1:1 /d/f || true",
        options=("--tag", "web:new"),
    )
    lines = patch_of(project).decode().splitlines()
    assert "/d: mode 0755 -> 0700" in lines
    assert "/d/x: file -> directory" in lines
    assert "/d/p: named pipe -> nothing" in lines
    assert [line for line in lines if line.startswith("/d/f")] in (["/d/f: owner 0:0 -> 1:1"], [])


def test_on_a_terminal_nothing_acts_on_it(pair):
    words = ["script", "-qec", f"{sys.executable} -m envbuild diff web:old web:new --text /srv/latin", "/dev/null"]
    done = subprocess.run(
        words, cwd=pair.folder, env={**pair.environment, "ENVBUILD_PAGER": "cat", "NO_COLOR": "1", "TERM": "xterm"},
        stdin=subprocess.DEVNULL, capture_output=True, check=False,
    )  # fmt: skip
    assert b"\x1b[31mred" not in done.stdout
    assert b"x1b[31mred" in done.stdout

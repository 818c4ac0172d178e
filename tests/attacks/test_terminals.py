"""Text from outside on the ways to a terminal and to programs that take care of it: shown, never acted on."""

from __future__ import annotations

import io
import json
from unicodedata import category

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envbuild.cli.json_output import print_json
from envbuild.ui.sanitize import visible


def printed(value: object) -> str:
    stream = io.StringIO()
    print_json(value, stream)
    return stream.getvalue()


@given(st.text(st.characters(exclude_categories=())))
def test_json_documents_are_printable_and_mean_the_same(text):
    out = printed({"name": text})
    assert out.replace("\n", "").isprintable()
    out.encode()
    assert json.loads(out) == {"name": text}


@given(st.text(st.characters(exclude_categories=())))
def test_visible_text_is_one_printable_line(text):
    assert "".join(" " if category(character) == "Zs" else character for character in visible(text)).isprintable()
    assert visible(visible(text)) == visible(text)


@pytest.mark.namespaces
class TestRepositories:
    def test_the_name_of_a_branch_that_no_git_made(self, project, git):
        project.build("run echo 1 > /one")
        git.commit("one")
        head = project.folder / ".git/HEAD"
        head.write_bytes(b"ref: refs/heads/x\x1b]0;title\x07\xc2\x9b2J\n")
        project.write("web.env", "from tar:busybox.tar", "run echo 2 > /one")
        for words in (("build", "web.env"), ("log", "web"), ("log", "web", "--format", "json"), ("status",)):
            done = project.command(*words)
            assert done.code == 0, done.err
            assert not {"\x1b", "\x07", "\x9b"} & set(done.out + done.err)

    def test_locks_that_git_shows(self, project, git):
        project.build("run echo 1 > /one")
        lock = project.folder / "web.env.lock"
        lock.write_text(lock.read_text().replace('recipe: "web"', 'recipe: "w\\u001b[2Jeb"'))
        assert "\x1b" not in project.command("git", "show-lock", "web.env.lock").out
        lock.write_text("<<<<<<< ours\n\x1b[2J\x9b\n=======\n>>>>>>> theirs\n")
        done = project.command("git", "show-lock", "web.env.lock")
        assert (done.code, "\\x1b[2J\\x9b" in done.out) == (0, True)

    def test_files_whose_names_are_no_text_in_json(self, project, git):
        (project.folder / "x\udcff\x9b.env").write_text("from tar:busybox.tar\n")
        done = project.command("status", "--format", "json")
        assert (done.code, "bug" in done.err) == (0, False), done.err
        assert "\x9b" not in done.out
        json.loads(done.out)

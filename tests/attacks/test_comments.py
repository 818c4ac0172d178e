"""What a bot says in its own name: names, versions and reasons of others are plain text in it."""

from __future__ import annotations

import html
import json
import re
from unicodedata import category

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envbuild.ui.markdown import Markdown, cell, code, fenced, fill, lines
from envbuild.ui.sanitize import visible
from tests.history.conftest import Git

HOSTILE = (
    "@everyone",
    "# a heading",
    "![x](http://example.test/x.png)",
    "[link](http://example.test)",
    "<img src=http://example.test/x.png>",
    "</summary></details><h1>",
    "```",
    "`",
    "a`b``c",
    "|",
    "\\|",
    "#1 and user/repository#2",
    "\x1b[2J\x1b]0;title\x07",
    "a\nb\n\n# c",
    "\u202etxt.exe",
    "zero\u200bwidth",
    "\r\n---\r\n",
    "http://example.test",
    "0123456789012345678901234567890123456789",
)
SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)


def is_seen(text: str) -> bool:
    """Whether a text has no character but spaces that can't be seen."""
    return "".join(" " if category(character) == "Zs" else character for character in text).isprintable()


def outside(markdown: str) -> str:
    """What of a markdown document is neither in a fenced block nor in a code span (CommonMark, 4.5 and 6.1)."""
    kept, fence = [], ""
    for line in markdown.split("\n"):
        run = re.match(r"`{3,}(?=[^`]*$)", line)
        if fence:
            fence = "" if run and len(run[0]) >= len(fence) and not line.strip("`") else fence
        elif run:
            fence = run[0]
        else:
            kept.append(SPAN.sub("", line))
    assert not fence
    return "\n".join(kept)


class TestSpans:
    @pytest.mark.parametrize("text", HOSTILE)
    def test_nothing_of_a_text_is_outside_of_its_span(self, text):
        for made in (code(text), cell(text)):
            assert outside(f"{made}") == ""
            assert is_seen(made)
        assert outside(fenced("diff", [text, f"+{text}"], 9)) == ""
        # A bar that no backslash stands before would end the cell.
        assert not re.search(r"(?<!\\)\|", cell(text))
        assert "\\\\|" not in cell(text)

    @given(st.text())
    def test_of_any_text(self, text):
        assert outside(code(text)).strip() in ("", "-")
        assert is_seen(code(text))
        assert outside(fenced("", text.split("\n"), 50)) == ""
        assert not re.search(r"(?<!\\)\|", cell(text))

    def test_two_texts_never_look_the_same(self):
        assert code("a\u200bb") != code("ab")
        assert visible("\U000e0041") == "\\U000e0041"
        assert visible("a\tb\nc") == "a\\tb\\nc"

    def test_plain_text_is_refused_and_long_text_cut(self):
        for make in (lambda: fill("{}", "x"), lambda: lines(["x"]), lambda: Markdown("x")):
            with pytest.raises(TypeError):
                make()
        assert len(code("x" * 10_000)) < 600
        assert "and 5 more lines" in fenced("", ["x"] * 10, 5)


def first_commit(project) -> None:
    git = Git(project)
    git("init", "--quiet", "--initial-branch=main")
    project.build("run echo 1 > /one")
    git.commit("one")


def pull_request(project) -> None:
    git = Git(project)
    git("init", "--quiet", "--initial-branch=main")
    project.write("src/a", "1")
    project.build("copy src -> /app", "run echo 1 > /one")
    git.commit("one")
    for number, text in enumerate(HOSTILE):
        name = text.replace("/", "_")
        (project.folder / "src" / name).write_text(str(number))
    project.write("x`@everyone`/#1 <h1>.env", "from nonsense:@everyone", "# ![x](http://example.test)")
    project.build("copy src -> /app", 'env NOTE="@everyone | `x`" MORE="</details>![x](y)"', "run echo '@team' > /one")
    git.commit("two")


@pytest.mark.namespaces
class TestTheBot:
    @pytest.fixture
    def hostile(self, project, made_once, tmp_path):
        """A pull request whose recipe, files and lock say what the bot must not."""
        with made_once.again(project, pull_request, tmp_path / "made"):
            yield project

    @pytest.fixture
    def plain(self, project, made_once, tmp_path):
        """A recipe in its first commit."""
        with made_once.again(project, first_commit, tmp_path / "made"):
            yield project

    def test_files_facts_and_statements(self, hostile):
        done = hostile.command("git", "check", "HEAD~1..HEAD")
        assert done.code in (0, 1), done.err
        assert "\x1b" not in done.out
        said = outside(done.out)
        for word in ("@", "![", "](", "<img", "<h1", "example.test", "txt.exe"):
            assert word not in said, said
        assert "everyone" in done.out

    @pytest.mark.parametrize("where", ["base", "recipe", "package", "wants", "origin", "parameter", "image"])
    def test_values_of_locks(self, plain, where):
        project, git = plain, Git(plain)
        lock = project.folder / "web.env.lock"
        text = lock.read_text()
        evil = json.dumps("@everyone\n# h\n<img src=x> ![x](y) `|` \x1b[2J")
        old = {
            "base": 'base: "tar:busybox.tar"',
            "recipe": 'recipe: "web"',
            "origin": re.search("origin: .*", text)[0],
            "parameter": "pins:",
            "package": "results:",
            "wants": "results:",
            "image": "results:",
        }[where]
        install = f"        installs:\n          - install: apt\n            asks: sha256:{'0' * 64}\n"
        package = f"{{name: {evil}, version: {evil}, hash: {evil}, from: {evil}}}"
        new = {
            "base": f"base: {evil}",
            "recipe": f"recipe: {evil}",
            "origin": f"origin: {evil}",
            "parameter": f"parameters:\n  {evil}: {evil}\npins:",
            "package": f"{install}            packages:\n              - {package}\nresults:",
            "wants": f"{install}            wants:\n              - {evil}\nresults:",
            "image": f"results:\n  - {evil}",
        }[where]
        assert old in text
        lock.write_text(text.replace(old, new, 1))
        git("add", "-A")
        git("commit", "--quiet", "--no-verify", "-m", "two")
        for words in (("git", "check", "HEAD~1..HEAD"), ("status",), ("git", "show-lock", "web.env.lock")):
            done = project.command(*words)
            assert done.code in (0, 1, 2)
            assert "\x1b" not in done.out + done.err
            if words[1:2] == ("check",):
                assert "@" not in outside(done.out)
                assert "<img" not in outside(done.out)
                assert not re.search("^# h", done.out, re.MULTILINE)

    @pytest.mark.parametrize(("variable", "left_out"), [("V{}", "too much changed"), ("V", "more lines")])
    def test_a_comment_is_never_too_long_to_be_posted(self, plain, variable, left_out):
        lines = [f"env {variable.format(number)}={number}{'x' * 900}" for number in range(120)]
        plain.build("run echo 1 > /one", *lines)
        Git(plain).commit("two")
        done = plain.command("git", "check", "HEAD~1..HEAD")
        assert 0 < len(done.out) < 65_536
        assert left_out in done.out

    def test_documents_have_no_control_characters(self, hostile):
        for form in ("markdown", "html"):
            done = hostile.command("diff", "web", "--format", form)
            assert done.code == 1, done.err
            assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\u200b]", done.out)
        assert "<img" not in done.out
        assert "@everyone" in html.unescape(done.out)
        hostile.build("copy src -> /app", "run printf '\\033[2J\\nx' > /one")
        for form in ("markdown", "html"):  # as text, it is a patch for programs if it does not go to a terminal
            done = hostile.command("diff", "web", "--format", form, "--text")
            assert "\x1b" not in done.out

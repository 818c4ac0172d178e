"""Patterns mean what gitignore(5) says; git itself is asked where it is installed."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from envbuild.tree.patterns import compile_patterns

CASES = [
    # patterns, path, is a directory, matched
    (["*.pyc"], "a.pyc", False, True),
    (["*.pyc"], "deep/er/a.pyc", False, True),
    (["/*.pyc"], "deep/a.pyc", False, False),
    (["/*.pyc"], "a.pyc", False, True),
    (["build/"], "build", True, True),
    (["build/"], "build", False, False),
    (["build/"], "src/build", True, True),
    (["src/build"], "src/build", False, True),
    (["src/build"], "x/src/build", False, False),
    (["**/cache"], "cache", True, True),
    (["**/cache"], "a/b/cache", True, True),
    (["a/**"], "a/b/c", False, True),
    (["a/**"], "a", True, False),
    (["a/**/b"], "a/b", False, True),
    (["a/**/b"], "a/x/y/b", False, True),
    (["a/**/b"], "ab", False, False),
    (["a/*"], "a/b/c", False, False),
    (["?.txt"], "a.txt", False, True),
    (["?.txt"], "ab.txt", False, False),
    (["[a-c].txt"], "b.txt", False, True),
    (["[!a-c].txt"], "b.txt", False, False),
    (["[!a-c].txt"], "d.txt", False, True),
    (["*.log", "!keep.log"], "keep.log", False, False),
    (["*.log", "!keep.log"], "other.log", False, True),
    (["!keep.log", "*.log"], "keep.log", False, True),
    (["# comment", ""], "# comment", False, False),
    ([r"\#hash"], "#hash", False, True),
    ([r"\!bang"], "!bang", False, True),
    (["trailing   "], "trailing", False, True),
    ([r"space\ "], "space ", False, True),
    ([r"a\*b"], "a*b", False, True),
    ([r"a\*b"], "axb", False, False),
    (["a.b"], "axb", False, False),
    (["[]]"], "]", False, True),
    (["[[]"], "[", False, True),
    (["[a"], "[a", False, False),
    (["foo**bar"], "fooXbar", False, True),
    (["**"], "any/thing", False, True),
    (["line*"], "line\nbreak", False, True),
    (["[[:digit:]]x"], "1x", False, True),
    (["[[:digit:]]x"], "dx", False, False),
    (["a[/]b"], "a/b", False, False),
]
IDS = [f"{'+'.join(case[0])} on {case[1]}{'/' if case[2] else ''}" for case in CASES]


@pytest.mark.parametrize(("patterns", "path", "is_directory", "matched"), CASES, ids=IDS)
def test_pattern(patterns, path, is_directory, matched):
    assert compile_patterns(patterns).matches(os.fsencode(path), is_directory) is matched


# git tells of what lies in an ignored directory too, which here is the caller's to leave out by not descending.
INSIDE = ("a/** on a/", "a/* on a/b/c")
OF_GIT = [pytest.param(*case, id=name) for case, name in zip(CASES, IDS, strict=True) if name not in INSIDE]


@pytest.mark.skipif(shutil.which("git") is None, reason="asks git")
@pytest.mark.parametrize(("patterns", "path", "is_directory", "matched"), OF_GIT)
def test_git_agrees(tmp_path, patterns, path, is_directory, matched):
    home = {**os.environ, "HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1", "GIT_CEILING_DIRECTORIES": str(tmp_path)}
    work = tmp_path / "work"
    work.mkdir()
    subprocess.run(["git", "init", "-q"], cwd=work, env=home, check=True)
    (work / ".gitignore").write_text("\n".join(patterns) + "\n")
    # Only the last part is asked about: git also tells of what lies in an ignored directory.
    target = work / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.mkdir() if is_directory else target.write_text("")
    answer = subprocess.run(
        ["git", "check-ignore", "-q", "--no-index", "--", path + ("/" if is_directory else "")],
        cwd=work,
        env=home,
        check=False,
    )
    assert (answer.returncode == 0) is matched


def test_no_patterns_match_nothing():
    matcher = compile_patterns([])
    assert not matcher
    assert not matcher.matches(b"anything", False)


def test_names_that_are_no_text_match_too():
    assert compile_patterns(["*.bin"]).matches(b"\xff\xfe.bin", False)
    assert compile_patterns([os.fsdecode(b"\xff*")]).matches(b"\xff\xfe.bin", False)

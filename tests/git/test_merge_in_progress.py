"""What git is in the middle of, read from files that anybody may have written."""

import os

import pytest

from envbuild.errors import EnvbuildError
from envbuild.git.merge_in_progress import ManyHeads, NoMergeInProgress, OddHead, merge_in_progress
from envbuild.git.repository import NoSuchRevision, NothingInCommon, Repository


@pytest.fixture
def diverged(project, git):
    """left (checked out), right and third: each with another content of one file, and a file of its own."""
    project.write("a", "0\n")
    git.commit("begin")
    for branch in ("third", "right", "left"):
        git("checkout", "--quiet", "-b", branch, "main")
        project.write("a", f"{branch}\n")
        project.write(branch, "")
        git.commit(branch)
    return project


def names(git, merge):
    subjects = (git("log", "-1", "--format=%s", commit).strip() for commit in (merge.base, merge.ours, merge.theirs))
    return merge.kind, *subjects


def refused(project):
    with pytest.raises(EnvbuildError) as caught:
        merge_in_progress(Repository(str(project.folder)))
    return type(caught.value)


def test_each_kind(diverged, git):
    def kinds():
        return names(git, merge_in_progress(Repository(str(diverged.folder))))

    assert refused(diverged) is NoMergeInProgress
    git.run("merge", "right")
    assert kinds() == ("merge", "begin", "left", "right")
    git("merge", "--abort")
    git.run("cherry-pick", "right")
    assert kinds() == ("cherry-pick", "begin", "left", "right")
    git("cherry-pick", "--abort")
    git.run("rebase", "right")
    assert kinds() == ("rebase", "begin", "right", "left")
    git("rebase", "--abort")
    git.run("revert", "right")
    assert kinds() == ("revert", "right", "left", "begin")
    git("revert", "--abort")
    git("merge", "--quiet", "-s", "ours", "right", "-m", "both")
    merge = merge_in_progress(Repository(str(diverged.folder)))
    assert (*names(git, merge), merge.in_progress) == ("merge commit", "begin", "left", "right", False)


def test_in_a_worktree(diverged, git):
    git("worktree", "add", "--quiet", "-b", "other", "../other", "left")
    git.run("-C", "../other", "merge", "right")
    merge = merge_in_progress(Repository(str(diverged.folder.parent / "other")))
    assert names(git, merge) == ("merge", "begin", "left", "right")
    assert refused(diverged) is NoMergeInProgress


def test_of_several_common_ancestors_it_says_how_many(diverged, git):
    left, right = git("rev-parse", "left", "right").split()
    git("merge", "--quiet", "-s", "ours", right, "-m", "here")
    git("checkout", "--quiet", "right")
    git("merge", "--quiet", "-s", "ours", left, "-m", "there")
    diverged.write("a", "again\n")
    git.commit("again")
    git("merge", "--quiet", "-s", "ours", "left", "-m", "both")
    assert merge_in_progress(Repository(str(diverged.folder))).bases == 2


def test_more_than_two_branches(diverged, git):
    git("merge", "--quiet", "-s", "ours", "right", "third", "-m", "all")
    assert refused(diverged) is ManyHeads
    git("reset", "--quiet", "--hard", "HEAD^")
    heads = git("rev-parse", "right", "third")
    (diverged.folder / ".git/MERGE_HEAD").write_text(heads)
    assert refused(diverged) is ManyHeads


def test_histories_that_have_nothing_in_common(diverged, git):
    git("checkout", "--quiet", "--orphan", "alone")
    git.commit("alone")
    (diverged.folder / ".git/MERGE_HEAD").write_text(git("rev-parse", "right"))
    assert refused(diverged) is NothingInCommon
    (diverged.folder / ".git/MERGE_HEAD").unlink()
    (diverged.folder / ".git/CHERRY_PICK_HEAD").write_text(git("rev-parse", "alone"))
    assert refused(diverged) is NothingInCommon


@pytest.mark.parametrize("head", ["MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD"])
def test_files_that_git_did_not_write(diverged, git, head):
    path = diverged.folder / ".git" / head
    for content in ("", "right\n", "--help\n", "ref: refs/heads/right\n", "0" * 39 + "\n", "0" * (1 << 17), "\0" * 40):
        path.write_text(content)
        assert refused(diverged) is OddHead, content[:20]
    path.write_text("0" * 40 + "\n")
    assert refused(diverged) is NoSuchRevision
    path.write_text(git("rev-parse", "right:a"))
    assert refused(diverged) is NoSuchRevision, "a file's content is no commit"
    path.unlink()
    path.symlink_to(diverged.folder / "a")
    assert refused(diverged) is OddHead
    path.unlink()
    path.mkdir()
    assert refused(diverged) is OddHead
    path.rmdir()
    os.mkfifo(path)
    with pytest.raises(EnvbuildError):
        merge_in_progress(Repository(str(diverged.folder)))


def test_after_git_the_process_has_one_thread(diverged):
    """Else it could not enter a user namespace."""
    repository = Repository(str(diverged.folder))
    threads = set()
    for _ in range(50):
        repository.commit_of("HEAD")
        threads.add(len(os.listdir("/proc/self/task")))
    assert threads == {min(threads)}

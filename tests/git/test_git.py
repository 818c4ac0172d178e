"""Environments in git: branches, locks in other revisions, readable diffs, merges, checks; all with the real git."""

import json
import shutil
import sys

import pytest

from envbuild.git.install import let_git_merge
from envbuild.linux.machine import architecture
from envbuild.lockfile.lock import BadLock, Lock, LockedInstall, LockedStage, Package, Section
from envbuild.lockfile.lock_file import parse
from envbuild.lockfile.merge import dump, merge
from envbuild.lockfile.results import LockedImage, Results
from tests.history.conftest import new_repository

pytestmark = pytest.mark.namespaces


def with_branches(project) -> None:
    """Makes main and feature/x, each with an image of its own; main is checked out."""
    git = new_repository(project)
    project.write("app.txt", "1")
    project.build("copy app.txt -> /app.txt", "file /a\n    main")
    git.commit("main")
    git("checkout", "--quiet", "-b", "feature/x")
    project.build("copy app.txt -> /app.txt", "file /a\n    feature")
    git.commit("feature")
    git("checkout", "--quiet", "main")


@pytest.fixture
def branches(project, again):
    again(with_branches)
    return project


class TestRevisions:
    def test_a_branch_of_the_recipe_is_a_branch_of_the_environment(self, branches):
        assert branches.cat("/a", "web:branch/main") == "main\n"
        assert branches.cat("/a", "web:branch/feature/x") == "feature\n"
        assert branches.cat("/a", "web:latest") == "feature\n"
        assert branches.cat("/a", "web") == "main\n"
        branches.build()
        assert branches.cat("/a", "web:latest") == "main\n"

    def test_locks_in_revisions_name_images_without_a_checkout(self, branches, git):
        for reference in ("web@feature/x", "git:feature/x:web.env", f"web@{git('rev-parse', 'feature/x').strip()[:8]}"):
            assert branches.cat("/a", reference) == "feature\n"
        assert branches.cat("/a", "git:feature/x~1:web.env") == "main\n"
        assert git("status", "--porcelain") == ""

    def test_a_base_may_be_an_image_of_a_revision(self, branches):
        branches.write("next.env", "from image:web@feature/x", "run cat /a > /b", "copy(from=image:web@main) /a -> /c")
        done = branches.command("build", "next.env")
        assert done.code == 0, done.err
        assert (branches.cat("/b", "next"), branches.cat("/c", "next")) == ("feature\n", "main\n")

    @pytest.mark.parametrize(
        ("reference", "text"),
        [
            ("web@nowhere", "git knows no revision 'nowhere'"),
            ("git:main:other.env", "main has no file other.env.lock"),
            ("other@main", "main has no lock for a recipe named 'other'"),
            ("git:main", "is not git:REV:FILE"),
            ("web@--help", "git knows no revision '--help'"),
        ],
    )
    def test_mistakes_are_told_in_words(self, branches, reference, text):
        done = branches.command("show", reference)
        assert (done.code, text in done.err) == (2, True), done.err

    def test_outside_of_a_repository_that_is_said(self, project):
        project.build("run true")
        assert "is not in a git repository" in project.command("show", "web@main").err

    def test_an_image_that_only_git_knows_says_how_to_build_it(self, branches, tmp_path):
        done = branches.command("show", "web@main", ENVBUILD_STORE=str(tmp_path / "empty-but-made"))
        assert done.code in (2, 3)
        branches.command("status", ENVBUILD_STORE=str(tmp_path / "other"))
        done = branches.command("show", "web@main", ENVBUILD_STORE=str(tmp_path / "other"))
        assert (done.code, "git worktree add" in done.err) == (2, True)

    def test_diffs_between_revisions(self, branches):
        done = branches.command("diff", "git:main:web.env", "git:feature/x:web.env", "--recipe")
        assert "-    main\n+    feature\n" in done.out
        assert "M /a" in branches.command("diff", "web@main", "web@feature/x").out

    def test_the_log_names_the_commit_that_a_build_was_committed_in(self, branches, git):
        (entry,) = json.loads(branches.command("log", "web:branch/feature/x", "--format", "json").out)
        assert entry["commit"] == git("rev-parse", "feature/x").strip()
        assert (entry["committed"], entry["branch"], entry["file"]) == (True, "feature/x", "web.env")

    def test_a_rollback_says_how_to_take_the_recipe_back_too(self, branches, git):
        branches.build("copy app.txt -> /app.txt", "file /a\n    more")
        done = branches.command("rollback", "web", "--to", "1")
        assert "git restore --source=" in done.err
        assert ":/web.env" in done.err


class TestWhy:
    def test_of_commits_of_one_second_the_later_one_is_named(self, project, git, monkeypatch):
        monkeypatch.setenv("GIT_COMMITTER_DATE", "2026-01-02T03:04:05Z")  # as a rebase gives all that it makes
        project.write("conf", "1\n")
        project.build("copy conf -> /etc/conf")
        git.commit("First")
        project.write("conf", "2\n")
        project.build("copy conf -> /etc/conf")
        second = git.commit("Second")
        reason = json.loads(project.command("why", "web", "/etc/conf", "--format", "json").out)
        assert reason["author"]["commit"] == second

    def test_statement_package_author_and_since_when(self, project, git, packages):
        packages.debian("tool", "1.2-3", {"usr/bin/tool": "x"})
        project.build("copy root/ -> /", "run echo 1 > /etc/conf", "run echo 2 >> /etc/conf", "run true")
        commit = git.commit("First")
        project.build("copy root/ -> /", "run echo 1 > /etc/conf", "run echo 2 >> /etc/conf", "run echo > /other")
        reason = json.loads(project.command("why", "web", "/etc/conf", "--format", "json").out)
        assert [(touch["verb"], touch["line"]) for touch in reason["touches"]] == [("made", 3), ("changed", 4)]
        assert reason["package"] is None
        assert (reason["author"]["name"], reason["author"]["commit"]) == ("Ada", commit)
        assert reason["author"]["summary"] == "First"
        assert reason["since"]["back"] == 1
        tool = json.loads(project.command("why", "web", "/usr/bin/tool", "--format", "json").out)
        assert tool["package"] == {"kind": "dpkg", "name": "tool", "version": "1.2-3"}
        base = project.command("why", "web", "/bin/sh").out
        assert "from tar:busybox.tar" in base
        new = project.command("why", "web", "/other").out
        assert "in no commit: the line was changed when the image was built" in new

    def test_python_and_node_packages_are_found_and_stages_gone_along(self, project, packages):
        packages.python("alpha", "1.0", {"alpha/__init__.py": "V = 1\n"})
        packages.file("srv/node_modules/@s/pad/package.json", '{"name": "@s/pad", "version": "1.3.0"}')
        project.build("from tar:busybox.tar as one", "copy root/ -> /", "from one", "run echo > /later")
        module = f"/{packages.SITE}/alpha/__init__.py"
        reason = json.loads(project.command("why", "web", module, "--format", "json").out)
        assert reason["package"] == {"kind": "python", "name": "alpha", "version": "1.0"}
        assert [touch["stage"] for touch in reason["touches"]] == ["one"]
        node = json.loads(
            project.command("why", "web", "/srv/node_modules/@s/pad/package.json", "--format", "json").out
        )
        assert node["package"] == {"kind": "node", "name": "@s/pad", "version": "1.3.0"}
        missing = project.command("why", "web", "/nothing")
        assert (missing.code, "web has no /nothing" in missing.err) == (2, True)


def with_setup(project) -> None:
    """Makes a repository with a recipe of four statements that was built, set up by `git install`."""
    git = new_repository(project)
    project.write("src/x", "1")
    project.build("copy src -> /app", "file /one\n    one", "env SEPARATE=1", "file /two\n    two")
    git.commit("begin")
    done = project.command("git", "install")
    assert done.code == 0, done.err


class TestInstalled:
    @pytest.fixture
    def clone(self, project, again):
        again(with_setup)
        return project

    def test_twice_is_no_harm_and_remove_takes_all_away(self, clone, git):
        before = git("config", "--local", "--list"), (clone.folder / ".git/info/attributes").read_text()
        clone.command("git", "install")
        assert (git("config", "--local", "--list"), (clone.folder / ".git/info/attributes").read_text()) == before
        assert clone.command("git", "install", "--remove").code == 0
        assert "envbuild" not in git("config", "--local", "--list")
        assert "envbuild" not in (clone.folder / ".git/info/attributes").read_text()
        assert not (clone.folder / ".git/hooks/pre-commit").exists()

    def test_a_hook_of_somebody_else_stays(self, clone):
        hook = clone.folder / ".git/hooks/pre-commit"
        hook.write_text("#!/bin/sh\ntrue\n")
        done = clone.command("git", "install")
        assert (done.code, "stays as it is" in done.err) == (0, True)
        assert hook.read_text() == "#!/bin/sh\ntrue\n"

    def test_git_shows_locks_readably(self, clone, git):
        clone.build("from scratch as other", "file /x", "    x", "from other", "copy src -> /app")
        shown = git("diff", "web.env.lock")
        assert "+stage other from scratch (nothing; " in shown
        assert "+image " in shown
        assert "sha256" not in shown
        assert " step " not in shown
        git.commit("changed")
        assert "+stage other from scratch" in git("log", "-p", "-1", "--", "web.env.lock")

    def test_a_lock_that_is_out_of_date_is_not_committed(self, clone, git):
        clone.write("web.env", "param x = 1", "from tar:busybox.tar", "copy src -> /app")
        git("add", "-A")
        refused = git.run("commit", "-m", "no build")
        assert refused.returncode == 1
        assert "web.env.lock is out of date in this commit" in refused.stderr
        assert "the recipe's parameters changed" in refused.stderr
        # What is in the index counts, and not the working tree.
        clone.build("param x = 1", "from tar:busybox.tar", "copy src -> /app")
        assert git.run("commit", "-m", "the lock is not added").returncode == 1
        git("add", "-A")
        clone.write("web.env", "param y = 3", "from tar:busybox.tar")
        git("commit", "--quiet", "-m", "as built")
        # Other commits are not held up.
        git("stash", "--quiet")
        clone.write("README", "text")
        git.commit("a text")

    def test_an_edit_of_the_application_needs_no_new_lock(self, clone, git, tmp_path):
        clone.write("src/x", "2")
        git("add", "-A")
        done = git.run("commit", "-m", "no build")
        assert done.returncode == 0
        assert "note: web.env.lock does not have all results" in done.stderr
        assert "copied file src/x changed" in done.stderr
        check = clone.command("git", "check", "HEAD~1..HEAD")
        assert (check.code, "The lock of `web.env` holds" in check.out) == (0, True), check.out
        assert clone.build(options=("--locked",), ENVBUILD_STORE=str(tmp_path / "ci")).code == 0
        assert git("status", "--porcelain") == ""

    def test_branches_that_change_other_statements_merge(self, clone, git):
        git("checkout", "--quiet", "-b", "left")
        clone.build("copy src -> /app", "file /one\n    eins", "env SEPARATE=1", "file /two\n    two")
        git.commit("left")
        git("checkout", "--quiet", "main")
        clone.build("copy src -> /app", "file /one\n    one", "env SEPARATE=1", "file /two\n    zwei")
        git.commit("right")
        git("merge", "--quiet", "--no-verify", "left", "-m", "merged")
        lock = parse((clone.folder / "web.env.lock").read_text(), "web.env.lock")
        assert (lock.image, len(lock.results.images)) == ("", 2)
        assert clone.build(options=("--locked",)).code == 0
        assert (clone.cat("/one"), clone.cat("/two")) == ("eins\n", "zwei\n")
        assert clone.build(options=("--locked=exact",)).code == 1
        assert clone.build().code == 0
        assert clone.build(options=("--locked=exact",)).code == 0

    def test_people_and_web_pages_without_the_setup_merge_too(self, clone):
        lock = str(clone.folder / "web.env.lock")
        attributes = clone.folder / ".gitattributes"
        attributes.unlink()
        assert let_git_merge(lock) == str(attributes)
        assert attributes.read_text() == "*.env.lock merge=union\n"
        assert let_git_merge(lock) == ""
        attributes.write_text("*.lock merge=binary\n")
        assert let_git_merge(lock) == ""

    def test_a_lock_that_git_ignores_needs_no_attributes(self, clone):
        (clone.folder / ".gitattributes").unlink()
        clone.write(".gitignore", "examples/*.lock")
        clone.write("examples/one.env", "from scratch", "file /x", "    1")
        done = clone.command("build", "examples/one.env")
        assert (done.code, (clone.folder / "examples/one.env.lock").exists()) == (0, True)
        assert not (clone.folder / "examples/.gitattributes").exists()
        assert ".gitattributes" not in done.err

    def test_check_prints_markdown_for_a_pull_request(self, clone, git, tmp_path):
        git("checkout", "--quiet", "-b", "change")
        clone.build("copy src -> /app", "file /one\n    one", "env SEPARATE=1", "file /two\n    zwei")
        git.commit("changed")
        done = clone.command("git", "check", "main..change")
        assert done.code == 0, done.err
        assert "### `web.env`" in done.out
        assert "- changed `/two` (content, time)" in done.out
        assert "+    zwei\n" in done.out
        # A machine without the images says what the locks say, as CI does.
        bare = clone.command("git", "check", "main...", ENVBUILD_STORE=str(tmp_path / "ci"))
        assert bare.code == 0, bare.err
        assert "only what the locks say is compared" in bare.out
        clone.write("web.env", "param x = 1", "from tar:busybox.tar", "copy src -> /app")
        git("add", "-A")
        git("commit", "--quiet", "--no-verify", "-m", "no build")
        stale = clone.command("git", "check", "main..HEAD")
        assert stale.code == 1
        assert "The lock of `web.env` is out of date." in stale.out
        assert clone.command("git", "check", "HEAD..HEAD").out.strip().endswith("No recipe with a lock is concerned.")
        for bad, text in (("main", "is not REV1..REV2"), ("main..nowhere", "git knows no revision")):
            done = clone.command("git", "check", bad)
            assert (done.code, text in done.err) == (2, True)

    def test_files_of_variables_that_end_the_same_are_no_recipes(self, clone, git):
        clone.write(".env", "SECRET=1")
        clone.write("config/prod.env", "URL=http://x")
        git.commit("variables")
        clone.write("config/prod.env", "URL=http://y")
        git.commit("others")
        for revisions in ("HEAD~1..HEAD", "HEAD~2..HEAD"):
            done = clone.command("git", "check", revisions)
            assert (done.code, "prod.env" in done.out) == (0, False)

    def test_a_shallow_clone_is_told_so(self, clone, git):
        git("checkout", "--quiet", "--orphan", "apart")
        git("commit", "--quiet", "--no-verify", "-m", "apart")
        done = clone.command("git", "check", "main...apart")
        assert (done.code, "git fetch --unshallow" in done.err) == (2, True)

    def test_a_working_tree_of_its_own_has_its_own_branch(self, clone, git, tmp_path):
        git("worktree", "add", "--quiet", "-b", "other", str(tmp_path / "tree"))
        shutil.copytree(clone.folder / "base", tmp_path / "tree" / "base", dirs_exist_ok=True)
        done = clone.command("build", f"{tmp_path}/tree/web.env")
        assert done.code == 0, done.err
        assert clone.command("show", "web:branch/other").code == 0

    def test_the_program_that_git_calls_is_the_one_that_installed(self, clone):
        assert sys.executable in (clone.folder / ".git/envbuild").read_text()

    def test_a_directory_of_the_repository_is_not_taken_for_envbuild(self, clone, git, tmp_path):
        for name in ("__init__.py", "__main__.py"):
            clone.write(f"envbuild/{name}", f"open({str(tmp_path / 'run')!r}, 'w')")
        with open(clone.folder / "web.env.lock", "a") as lock:
            lock.write("# edited\n")
        assert git.run("diff").returncode == 0
        git.run("commit", "--all", "-m", "edited")
        assert not (tmp_path / "run").exists()

    @pytest.fixture
    def gone(self, clone, tmp_path):
        """A clone whose envbuild was in a virtual environment that is gone."""
        launcher = clone.folder / ".git/envbuild"
        launcher.write_text(launcher.read_text().replace(sys.executable, str(tmp_path / "gone/bin/python")))
        return clone

    def test_without_its_environment_git_calls_the_envbuild_on_path(self, gone, git, tmp_path):
        (tmp_path / "bin").mkdir()
        program = tmp_path / "bin" / "envbuild"
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m envbuild "$@"\n')
        program.chmod(0o755)
        git.environment["PATH"] = f"{tmp_path / 'bin'}:/usr/bin:/bin"
        gone.write("web.env", "param x = 1", "from tar:busybox.tar", "copy src -> /app")
        git("add", "-A")
        refused = git.run("commit", "-m", "no build")
        assert (refused.returncode, "web.env.lock is out of date in this commit" in refused.stderr) == (1, True)
        gone.build()
        git.commit("built")
        assert "+image" in git("show", "HEAD", "--", "web.env.lock")

    def test_without_any_git_is_told_what_to_do(self, gone, git):
        git.environment["PATH"] = "/usr/bin:/bin"
        gone.write("README", "text")
        git("add", "-A")
        refused = git.run("commit", "-m", "text")
        assert refused.returncode == 1
        assert "set this clone up with it: envbuild git install" in refused.stderr
        assert "git commit --no-verify" in refused.stderr
        gone.build("run true")
        assert f"+  - {architecture()} image " in git("diff", "web.env.lock")
        git("commit", "-q", "--no-verify", "-am", "main")
        git("checkout", "-q", "-b", "other", "HEAD~1")
        gone.build("run echo > /b")
        git("commit", "-q", "--no-verify", "-am", "other")
        merge = git.run("merge", "main")
        assert (merge.returncode, "CONFLICT" in merge.stdout) == (1, True)
        assert "envbuild git install" in merge.stderr


def lock(packages: dict[str, str], image: str, extra: tuple[LockedInstall, ...] = ()) -> Lock:
    listed = tuple(
        Package(name, version, f"sha256:{version * 64}", f"pool/{name}") for name, version in packages.items()
    )
    install = LockedInstall("apt", tuple(sorted(packages)), "a" * 64, listed)
    stage = LockedStage("1", "debian:bookworm", "b" * 64, "snapshot", 9, (install, *extra))
    results = Results({image * 64: (image * 64,)}, {}, (LockedImage(image * 64, image * 64, 5),))
    return Lock("web", Section(architecture(), (stage,), results=results))


class TestMerge:
    def merged(self, base, ours, theirs) -> dict[str, str]:
        merged = merge(base, ours, theirs)
        assert not merged.conflicts
        again = parse(dump(merged), "merged")
        return {package.name: package.version for package in again.stages[0].installs[0].packages}

    def test_what_either_side_changed_is_taken(self):
        base = lock({"a": "1", "b": "1", "c": "1"}, "0")
        ours, theirs = lock({"a": "2", "b": "1", "c": "1", "d": "1"}, "1"), lock({"a": "1", "b": "3", "e": "1"}, "2")
        assert self.merged(base, ours, theirs) == {"a": "2", "b": "3", "d": "1", "e": "1"}

    def test_one_side_alone_stays_whole(self):
        base, ours = lock({"a": "1"}, "0"), lock({"a": "2"}, "1")
        assert merge(base, ours, base).lock == ours
        assert merge(base, base, ours).lock == ours
        assert merge(base, ours, ours).lock == ours

    def test_a_package_that_both_moved_apart_is_a_conflict_with_both_lines(self):
        merged = merge(lock({"a": "1"}, "0"), lock({"a": "2"}, "1"), lock({"a": "3"}, "2"))
        text = dump(merged)
        assert len(merged.conflicts) == 1
        assert text.count("<<<<<<< ours") == text.count(">>>>>>> theirs") == 1
        with pytest.raises(BadLock, match="conflict markers"):
            parse(text, "merged")

    def test_statements_that_they_added_are_put_where_they_stood(self):
        pip = LockedInstall("pip", ("flask",), "3" * 64)
        base, ours = lock({"a": "1"}, "0"), lock({"a": "2"}, "1")
        theirs = lock({"a": "1"}, "2", (pip,))
        assert [install.manager for install in merge(base, ours, theirs).lock.stages[0].installs] == ["apt", "pip"]

    def test_what_statements_want_is_merged_word_by_word(self):
        base = lock({"a": "1", "b": "1"}, "0")
        merged = merge(base, lock({"a": "1", "c": "1"}, "1"), lock({"a": "1", "b": "1", "d": "1"}, "2"))
        assert merged.lock.stages[0].installs[0].wants == ("a", "c", "d")

    def test_results_that_either_added_are_kept_and_those_that_either_removed_are_not(self):
        merged = merge(lock({"a": "1"}, "0"), lock({"a": "2"}, "1"), lock({"a": "1"}, "2")).lock
        assert merged.results.steps == {"1" * 64: ("1" * 64,), "2" * 64: ("2" * 64,)}
        assert (merged.image, len(merged.results.images)) == ("", 2)

    def test_locks_without_a_common_beginning_merge_too(self):
        assert self.merged(None, lock({"a": "1"}, "1"), lock({"b": "1"}, "2")) == {"a": "1", "b": "1"}


def test_git_is_not_needed_for_what_needs_none(project, tmp_path):
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("newuidmap", "newgidmap", "sh", "busybox"):
        if shutil.which(name):
            (tools / name).symlink_to(shutil.which(name))
    (project.folder / ".git").mkdir()
    done = project.build("file /a\n    1", PATH=str(tools))
    assert done.code == 0, done.out
    missing = project.command("show", "web@main", PATH=str(tools))
    assert (missing.code, "git is not installed" in missing.err) == (3, True)

"""`fetch git+http://...`, from a git server on this machine's loopback."""

import subprocess
from pathlib import Path

import pytest

from tests.conftest import pins_of
from tests.git_server import GitServer, commit, git, repository

pytestmark = pytest.mark.namespaces


@pytest.fixture
def server(tmp_path):
    server = GitServer(tmp_path / "repositories")
    yield server
    server.close()


@pytest.fixture
def app(server) -> Path:
    """A repository with a program, a link and a submodule, whose tag v1 is annotated."""
    sub = commit(repository(server.folder / "sub"), lib="lib")
    app = repository(server.folder / "app")
    (app / "bin").mkdir()
    (app / "bin/run").write_text("#!/bin/sh\n")
    (app / "bin/run").chmod(0o775)
    (app / "link").symlink_to("/etc/../../bin/run")
    (app / ".gitmodules").write_text('[submodule "s"]\npath = vendor/sub\nurl = ../sub\n')
    (app / "vendor/sub").mkdir(parents=True)
    git(app, "update-index", "--add", "--cacheinfo", f"160000,{sub},vendor/sub")
    commit(app, a="one")
    git(app, "tag", "-am", "first", "v1")
    return app


def test_a_branch_and_a_tag_are_asked_for_once_and_the_lock_pins_their_commits(project, server, app, tmp_path):
    branch, tag = f"{server.url}/app@main", f"{server.url}/app@v1"
    first = git(app, "rev-parse", "HEAD")
    done = project.build(f"fetch {branch} -> /src", f"fetch(submodules, owner=5:6) {tag} -> /sub")
    assert done.code == 0, done.err
    src, sub = project.ls("/src"), project.ls("/sub")
    assert (src["a"]["mode"], src["link"]["target"], src["a"]["uid"]) == ("0644", "/etc/../../bin/run", 0)
    assert ".git" not in src
    assert project.ls("/src/bin")["run"]["mode"] == "0755"
    assert project.ls("/src/vendor/sub") == {}
    assert (project.cat("/sub/vendor/sub/lib"), sub["bin"]["uid"]) == ("lib", 5)
    assert len({entry["mtime"] for entry in src.values()}) == 1  # the commit's
    lock = project.folder / "web.env.lock"
    pins = pins_of(lock)
    assert pins["commits"] == {branch: first, f"{tag}#submodules": f"tag {first}"}
    assert set(pins["fetched"]) == set(pins["commits"])
    asked = len(server.asked)
    assert project.build().ran == []
    assert len(server.asked) == asked

    # What the branch had is still what a new store gets, and from a directory without any network.
    second = commit(app, a="two")
    git(app, "tag", "-fam", "again", "v1")
    image = done.image
    empty = project.build(options=("--locked",), ENVBUILD_STORE=str(tmp_path / "empty"))
    assert (empty.code, empty.image) == (0, image), empty.err
    vendored = project.command("vendor", "web.env", "-o", "vendored", ENVBUILD_STORE=str(tmp_path / "none"))
    assert (vendored.code, vendored.out) == (0, vendored.out), vendored.err
    assert "2 fetched" in vendored.out
    checked = project.command("vendor", "web.env", "--check", ENVBUILD_STORE=str(tmp_path / "none"))
    assert (checked.code, checked.out) == (0, "web.env.lock: can be rebuilt: 2 files (2 origin)\n"), checked.err
    text = lock.read_text()
    for words in (("--dry-run",), ()):
        moved = project.command("update", "web.env", *words)
        assert moved.code == 0, moved.err
        assert moved.out.splitlines()[0] == f"web: fetch {tag}#submodules {second[:12]}: same tag, other commit"
        rows = [line.split(maxsplit=6) for line in moved.out.splitlines()[2:4]]
        assert rows == [
            ["web", "1", "fetch", f"{tag}#submodules", first[:12], second[:12], "same tag, other commit"],
            ["web", "1", "fetch", branch, first[:12], second[:12]],
        ]
    assert project.cat("/src/a") == "two"
    assert [step.get("commit") for step in project.show()["steps"]] == [second, second]
    assert f"commit of step #2: {second}" in project.command("show", "web").out
    difference = project.command("diff", "web@{1}", "web").out
    assert ["another", "commit", f"{branch}", f"{first[:19]}", "->", f"{second[:19]}"] in [
        line.split() for line in difference.splitlines()
    ], difference
    assert f"fetched app@main {second[:12]}, app@v1#submodules {second[:12]}" in project.command("log", "web").out
    assert pins_of(lock)["commits"][branch] == second
    lock.write_text(text)
    server.close()
    options = ("--locked", "--offline", "--vendor", "vendored")
    offline = project.build(options=options, ENVBUILD_STORE=str(tmp_path / "third"))
    assert (offline.code, offline.image) == (0, image), offline.err
    lacking = project.build(options=("--offline",), ENVBUILD_STORE=str(tmp_path / "fourth"))
    assert lacking.code == 1
    assert f"web.env:2: fetch {branch} -> /src: sha256:" in lacking.err


def test_a_whole_commit_is_taken_of_any_server_and_redirects_are_told(project, server, app):
    first = git(app, "rev-parse", "HEAD")
    commit(app, a="two")
    subprocess.run(["git", "-C", app, "update-server-info"], check=True)
    server.redirects["old"] = "/app"
    done = project.build(
        f"fetch {server.url}/dumb/app/.git@{first} -> /plain",  # a server of plain files
        f"fetch {server.url}/app@{first} -> /smart",
        f"fetch {server.url}/old@main -> /moved",
    )
    assert done.code == 0, done.err
    assert [project.cat(f"/{name}/a") for name in ("plain", "smart", "moved")] == ["one", "one", "two"]
    pins = pins_of(project.folder / "web.env.lock")
    assert list(pins["commits"]) == [f"{server.url}/old@main"]
    digests = [pins["fetched"][f"{server.url}/{place}@{first}"] for place in ("dumb/app/.git", "app")]
    assert digests[0] == digests[1]  # one archive, whoever gave it
    commit(app, a="three")
    moved = project.command("update", "web.env")
    assert f"redirected to {server.url}/app" in moved.out, moved.out + moved.err


def test_a_branch_that_moved_is_explained_by_its_commits(project, server, app):
    branch, before = f"{server.url}/app@main", git(app, "rev-parse", "HEAD")
    assert project.build(f"fetch {branch} -> /x").code == 0
    after = commit(app, a="two")
    (project.folder / "web.env.lock").unlink()
    moved = project.build(options=("--explain",))
    assert [event["reasons"] for event in moved.of("step-explained")] == [
        [f"fetched {branch}: {before[:12]} -> {after[:12]}"]
    ]


def test_a_repository_of_the_commit_is_kept_on_demand_and_follows_from_it_alone(project, server, app, tmp_path):
    git(app, "update-index", "--chmod=+x", "a")
    git(app, "commit", "--quiet", "--message=mode")  # not the first one: those before it are left out
    (app / "empty").touch()
    commit(app, a="two", long="text " * 40_000)
    head = git(app, "rev-parse", "HEAD")
    subprocess.run(["git", "-C", app, "update-server-info"], check=True)
    done = project.build(
        f"fetch(keep-git) {server.url}/app@{head} -> /src",
        f"fetch(keep-git) {server.url}/dumb/app/.git@{head} -> /dumb",  # with all of its history at hand
        f"fetch(submodules, keep-git) {server.url}/app@main -> /sub",
    )
    assert done.code == 0, done.err
    pins = pins_of(project.folder / "web.env.lock")
    parts = "#submodules,keep-git"
    assert pins["commits"] == {f"{server.url}/app@main{parts}": head}
    digests = pins["fetched"]
    kept = digests[f"{server.url}/app@{head}#keep-git"]
    assert kept == digests[f"{server.url}/dumb/app/.git@{head}#keep-git"] != digests[f"{server.url}/app@main{parts}"]
    assert project.command("run", "-d", "--name", "x", "web", "--", "true").code == 0
    assert project.command("wait", "x").code == 0  # what just ends is not copied from
    assert project.command("cp", "x:/sub", str(tmp_path / "sub")).code == 0
    for folder, files in ((tmp_path / "sub", 7), (tmp_path / "sub/vendor/sub", 1)):
        assert git(folder, "status", "--porcelain") == ""
        assert git(folder, "fsck", "--full", "--strict") == ""
        assert len(git(folder, "ls-files").splitlines()) == files
        assert git(folder, "for-each-ref") == ""
        assert git(folder, "rev-list", "--count", "HEAD") == "1"
        assert git(folder, "config", "--local", "--get-regexp", "remote|core.hookspath|include", code=1) == ""
    assert git(tmp_path / "sub", "rev-parse", "HEAD") == head
    assert sorted(path.name for path in (tmp_path / "sub/.git").iterdir()) == [
        "HEAD", "config", "index", "objects", "refs", "shallow",
    ]  # fmt: skip


def test_what_is_not_there_is_told_with_its_place_before_anything_runs(project, server, app):
    app.rename(server.folder / "private")
    server.users["private"] = "ada:secret"
    commit(repository(server.folder / "app"), a="other")
    for source, reason, hint in (
        ("app@nothing", "has no branch or tag 'nothing'", "git ls-remote"),
        ("app@1234567", "has no branch or tag '1234567'", "all of its 40 digits"),
        ("none@main", "not found", "check the address"),
        ("private@main", "could not read Username", "without a question"),
    ):
        done = project.build("run false", f"fetch {server.url}/{source} -> /x")
        assert (done.code, done.ran) == (1, []), done.out
        assert reason in done.err
        assert f"{'^' * len(f'{server.url}/{source}')} " in done.err
        assert hint in done.err
    # A private one is opened with what git knows of the user, and nothing else of it is kept.
    (project.folder / ".netrc").write_text("machine 127.0.0.1 login ada password secret\n")
    done = project.build(f"fetch {server.url}/private@main -> /x", HOME=str(project.folder))
    assert (done.code, project.cat("/x/a")) == (0, "one"), done.err
    assert "secret" not in (project.folder / "web.env.lock").read_text() + done.out
    git(app, "tag", "v1")
    commit(app, a="two")
    git(app, "branch", "v1", "main")
    done = project.build(f"fetch {server.url}/app@v1 -> /x")
    assert done.code == 2
    assert "both a branch and a tag 'v1'" in done.err
    done = project.build(f"fetch {server.url}/app@refs/heads/v1 -> /x")
    assert (done.code, project.cat("/x/a")) == (0, "two"), done.err
    for lines in ([], ["run false"]):  # told by the step, and before the first one
        done = project.build(*lines, f"fetch {server.url}/app@{'1' * 40} -> /y")
        assert (done.code, done.ran) == (1, [])
        assert f"does not give the commit {'1' * 40}" in done.err

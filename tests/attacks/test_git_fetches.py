"""Repositories that `fetch git+https://...` comes upon: what they say is data, and leads nowhere and to no program."""

import os
import socket
import subprocess

import pytest

from envbuild.archive.tar_writer import TarWriter
from envbuild.build.fetch import FetchFailed
from envbuild.build.fetch_git import _Look
from envbuild.git import network_program
from envbuild.git.blobs import Blobs, BlobTooLarge
from envbuild.git.commit_archive import _Commits, write_archive_of
from envbuild.git.kept_directory import files_of_repository
from envbuild.git.network_program import Allowed, ServerRefused, StoppedByOthers, TooMuchOfGit
from envbuild.git.program import output
from envbuild.git.remote import bring, resolve
from envbuild.git.submodules import BadSubmodule, address_of, addresses_of
from envbuild.git.tracked_files import BadTree, TrackedFile, TreePath, files_of_tree
from envbuild.http.reach import Level
from envbuild.language.git_address import GitAddress
from tests.git_server import GitServer, commit, git, repository

ENOUGH = Allowed(64 << 20)


@pytest.fixture
def server(tmp_path):
    server = GitServer(tmp_path / "repositories")
    yield server
    server.close()


def url_of(server: GitServer, path: str) -> str:
    return f"{server.url.removeprefix('git+')}/{path}"


def archived(repository: GitAddress, commit: str, tmp_path, allowed: Allowed = ENOUGH) -> bytes:
    """The archive of a commit, made as a build makes it."""
    target = os.open(tmp_path / "archive", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    space = tmp_path / os.urandom(4).hex()
    try:
        write_archive_of(repository, commit, target, str(space), lambda url, giver: url, allowed)
        return (tmp_path / "archive").read_bytes()
    finally:
        os.close(target)


def test_trees_that_no_directory_can_have_are_refused(server, tmp_path):
    evil = repository(server.folder / "evil")
    blob = git(evil, "hash-object", "-w", "--stdin", given=b"../../etc/passwd")
    empty = git(evil, "hash-object", "-w", "--stdin", given=b"")
    inner = git(evil, "mktree", given=f"100644 blob {blob}\tx\n".encode())

    def tree(*entries: tuple[str, str, str]) -> str:
        body = b"".join(f"{mode} {name}".encode() + b"\0" + bytes.fromhex(oid) for mode, name, oid in entries)
        return git(evil, "hash-object", "-t", "tree", "-w", "--stdin", "--literally", given=body)

    bad = {
        tree(("40000", ".git", inner)): "it has a file '.git'",
        tree(("40000", ".GIT", inner)): "it has a file '.GIT'",
        tree(("40000", "..", inner)): "it has a file '..'",
        tree(("100644", "a/b", blob)): "'a/b' does not lie in a directory",
        tree(("100644", "a", blob), ("100755", "a", blob)): "two files of one name",
        tree(("120000", "a", blob), ("40000", "a", inner)): "two files of one name",
        tree(("120000", "a", empty)): "the link 'a' leads nowhere",
    }
    last, commits = "", {}
    for oid, reason in bad.items():
        last = git(evil, "commit-tree", oid, "-m", "x", *(("-p", last) if last else ()))
        commits[last] = reason
    good = git(evil, "commit-tree", tree(("120000", "out", blob)), "-p", last, "-m", "x")
    git(evil, "update-ref", "refs/heads/main", good)
    git(evil, "update-server-info")
    url = url_of(server, "dumb/evil/.git")
    bring(url, good, str(tmp_path / "brought"), ENOUGH)  # plain files: nobody but us looks at these trees
    for oid, reason in commits.items():
        writer = TarWriter(os.open("/dev/null", os.O_WRONLY), 0)
        reader = _Commits(writer, GitAddress("", submodules=True), str(tmp_path), lambda url, giver: url, ENOUGH)
        with pytest.raises(BadTree, match=reason):
            reader.write(str(tmp_path / "brought"), url, oid, b"", 0)
    # A link is an entry of a tree, wherever it leads.
    assert b"../../etc/passwd" in archived(GitAddress(url), good, tmp_path)
    # A server that speaks git has git look at what it sends, too.
    with pytest.raises(ServerRefused, match="fsck") as refused:
        bring(url_of(server, "evil"), next(iter(commits)), str(tmp_path / "smart"), ENOUGH)
    assert "git fsck" in refused.value.hint


@pytest.mark.parametrize(
    "address",
    [
        "ext::sh -c id",
        "file:///etc",
        "/etc",
        "-oProxyCommand=id",
        "--upload-pack=id",
        "ssh://-oProxyCommand=id/x",
        "https://ada:secret@h/x",
        "git://h/x",
        "../../../x",
        "https://h/../x",
        "https://h/x\ny",
        "",
    ],
)
def test_a_submodule_lies_at_no_address_that_a_recipe_could_not_have(address):
    with pytest.raises(BadSubmodule, match=r"its submodule 's' can't be fetched"):
        address_of("s", {"s": address}, "https://h/a/repository")


def test_addresses_of_submodules_are_those_that_git_makes_of_them():
    base = "https://h:8443/a/repository.git"
    expected = {
        "../other": "https://h:8443/a/other",
        "./x/": "https://h:8443/a/repository.git/x",
        "../../b/./other.git": "https://h:8443/b/other.git",
        "git@h:b/other": "ssh://git@h/b/other",
        "https://h/b": "https://h/b",
    }
    assert {given: address_of("s", {"s": given}, base) for given in expected} == expected


def test_of_gitmodules_only_addresses_count(tmp_path):
    local = repository(tmp_path / "local")
    (tmp_path / "more").write_text('[submodule "s"]\npath = s\nurl = https://h/other\n')
    text = f"""
        [include]
        path = {tmp_path}/more
        [core]
        fsmonitor = touch {tmp_path}/ran
        [submodule "../../up"]
        path = s
        url = https://h/s
        update = !touch {tmp_path}/ran
        [submodule "t"]
        path = t
    """
    commit(local, **{".gitmodules": text})
    oid = git(local, "rev-parse", "HEAD:.gitmodules")
    modules = TrackedFile(0o100644, oid, TreePath(".gitmodules"))
    assert addresses_of(str(local), modules, "https://h/a") == {"s": "https://h/s"}
    assert not (tmp_path / "ran").exists()
    broken = git(local, "hash-object", "-w", "--stdin", given=b"[submodule")
    with pytest.raises(BadSubmodule, match="can't read it"):
        addresses_of(str(local), modules.replace(oid=broken), "https://h/a")


def test_a_public_repository_sends_us_nowhere_inside(server):
    look = _Look()
    public = "https://public.example/x"
    look._levels[public] = Level.PUBLIC
    inner = url_of(server, "x")
    for address in (inner, "ssh://git@127.0.0.1/x", "ssh://git@localhost/x", "http://169.254.169.254/x"):
        with pytest.raises(FetchFailed, match="a public server may not send us to"):
            look(address, public)
    assert server.asked == []
    assert look(inner, "") == inner  # the recipe itself may
    assert look(url_of(server, "y"), inner) == url_of(server, "y")


def test_the_users_settings_open_repositories_and_run_nothing_else(server, tmp_path, monkeypatch):
    app = repository(server.folder / "app")
    first = commit(app, a="one")
    hook = tmp_path / "hooks/reference-transaction"
    hook.parent.mkdir()
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    ssh = tmp_path / "ssh"
    ssh.write_text(f"""#!/bin/sh
        for last; do :; done
        [ "$last" != "${{last#git-upload-pack}}" ] || exit 1
        exec git-upload-pack {server.folder}$(echo "$last" | cut -d"'" -f2)
    """)
    ssh.chmod(0o755)
    (tmp_path / ".gitconfig").write_text(f"""
        [core]
        sshCommand = {ssh}
        hooksPath = {hook.parent}
        fsmonitor = {hook}
        [init]
        templateDir = {tmp_path}
        [url "ext::sh -c touch% {tmp_path}/ran "]
        insteadOf = https://elsewhere.test/
        [url "file://{server.folder}/"]
        insteadOf = https://local.test/
        [alias]
        fetch = !touch {tmp_path}/ran
    """)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_ASKPASS", str(hook))
    monkeypatch.setenv("GIT_DIR", str(app))
    bring(url_of(server, "app"), first, str(tmp_path / "brought"), ENOUGH)
    assert git(tmp_path / "brought", "rev-list", "--all", "--count", "--stdin", given=first.encode()) == "1"
    assert resolve("ssh://git@host.test/app", "main", ENOUGH).commit == first  # keys are the user's own
    for url, scheme in (("https://elsewhere.test/x", "ext"), ("https://local.test/app", "file")):
        with pytest.raises(ServerRefused, match=f"transport '{scheme}' not allowed"):
            resolve(url, "main", ENOUGH)
    assert not (tmp_path / "ran").exists()


def test_a_server_that_gives_no_commit_by_its_id_gives_its_history(server, tmp_path):
    app = repository(server.folder / "app")
    first = commit(app, a="one")
    commit(app, a="two")
    server.variables["GIT_PROTOCOL"] = ""  # as an old one
    archive = archived(GitAddress(url_of(server, "app")), first, tmp_path)
    server.variables.clear()
    assert archive == archived(GitAddress(url_of(server, "app")), first, tmp_path)
    assert b"comment=" + first.encode() in archive


def test_sizes_have_a_limit_packed_and_unpacked(server, tmp_path):
    app = repository(server.folder / "app")
    (app / "packed").write_bytes(os.urandom(3 << 20))
    large = commit(app)
    git(app, "rm", "--quiet", "packed")
    (app / "zeros").write_bytes(bytes(32 << 20))
    bomb = commit(app)
    for oid in (large, bomb):
        with pytest.raises(TooMuchOfGit, match="it is larger than 1,048,576 bytes"):
            archived(GitAddress(url_of(server, "app")), oid, tmp_path, Allowed(1 << 20))


def test_a_server_that_says_nothing_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(network_program, "MAX_SILENCE", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/x"
        with pytest.raises(ServerRefused, match="nothing came for"):
            resolve(url, "main", ENOUGH)
        with pytest.raises(StoppedByOthers):
            resolve(url, "main", Allowed(1, lambda: True))


@pytest.mark.parametrize("kind", ["sha1", "sha256"])
def test_a_kept_repository_is_one_for_git_and_never_a_program(tmp_path, kind):
    evil = tmp_path / "evil"
    evil.mkdir()
    git(evil, "init", "--quiet", "--initial-branch=main", f"--object-format={kind}")
    text = f"[core]\n\tfsmonitor = touch {tmp_path}/ran\n"
    head = commit(evil, **{".gitmodules": text, "config": text, "HEAD": "ref: refs/heads/x\n", "a" * 250: ""})
    hook = evil / ".git/hooks/post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    git(evil, "config", "core.fsmonitor", f"touch {tmp_path}/ran")
    with open(tmp_path / "archive", "wb+") as archive, Blobs(str(evil)) as blobs:
        writer = TarWriter(archive.fileno(), 0)
        listing = output(str(evil), "ls-tree", "-r", "-t", "-z", "--full-tree", head)
        for name, write in files_of_repository(head, list(files_of_tree(listing)), blobs, lambda: 1 << 20):
            writer.add_file(name.encode(), 0o644, write)
        writer.finish()
    made = tmp_path / "made"
    (made / ".git/refs").mkdir(parents=True)
    subprocess.run(["tar", "-xf", tmp_path / "archive", "-C", made / ".git"], check=True)
    git(made, "checkout", "--", ".")
    assert (git(made, "status", "--porcelain"), git(made, "fsck", "--strict")) == ("", "")
    assert git(made, "rev-parse", "HEAD") == head
    assert not (made / ".git/hooks").exists()
    assert not (tmp_path / "ran").exists()
    with Blobs(str(evil)) as blobs, open(os.devnull, "wb") as nothing:
        writers = dict(files_of_repository(head, list(files_of_tree(listing)), blobs, lambda: 40))
        with pytest.raises(BlobTooLarge):
            writers[f"objects/pack/pack-{head}.pack"](nothing.fileno())

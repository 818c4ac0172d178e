"""`fetch git+ssh://...` from OpenSSH's own server, with the user's keys, agent and known hosts."""

import getpass
import os
import shlex

import pytest

from tests.git_server import commit, git, repository
from tests.ssh_server import SSHD, Agent, SshServer

pytestmark = [
    pytest.mark.namespaces,
    pytest.mark.skipif(not os.access(SSHD, os.X_OK), reason="openssh-server is not installed"),
]


@pytest.fixture
def server(tmp_path):
    server = SshServer(tmp_path / "ssh")
    yield server
    server.close()


@pytest.fixture
def app(tmp_path):
    app = repository(tmp_path / "repositories/app")
    sub = commit(repository(tmp_path / "repositories/sub"), lib="lib")
    (app / "sub").mkdir()
    (app / ".gitmodules").write_text('[submodule "s"]\npath = sub\nurl = ../sub\n')
    git(app, "update-index", "--add", "--cacheinfo", f"160000,{sub},sub")
    commit(app, a="one")
    return app


@pytest.fixture
def ssh(project, server):
    """What has the project's ssh read settings of these lines, as ~/.ssh/config, beside a known_hosts with these."""

    def ssh(*lines: str, known: str = server.known) -> dict[str, str]:
        (project.folder / "known_hosts").write_text(known)
        settings = project.write(
            "ssh_config", f"UserKnownHostsFile {project.folder}/known_hosts", "GlobalKnownHostsFile none", *lines
        )
        return {"GIT_SSH_COMMAND": f"ssh -F {shlex.quote(str(settings))}"}

    project.environment.pop("SSH_AUTH_SOCK", None)
    return ssh


@pytest.mark.user
def test_a_repository_is_opened_with_a_key_in_a_file_or_in_an_agent(project, server, app, ssh, tmp_path):
    # Without a user in the address ssh takes the name of who builds: also behind a step, inside the user's namespace.
    source = f"git+ssh://127.0.0.1:{server.port}{app}@main"
    lines = ("run true", f"fetch(submodules) {source} -> /src")
    done = project.build(*lines, **ssh(f"IdentityFile {server.key}", "IdentitiesOnly yes"))
    assert done.code == 0, done.err + server.log
    assert (project.cat("/src/a"), project.cat("/src/sub/lib")) == ("one", "lib")
    assert f"Accepted publickey for {getpass.getuser()} from" in server.log
    lock = (project.folder / "web.env.lock").read_text()
    assert git(app, "rev-parse", "HEAD") in lock

    # The lock's commit is what a store without it gets, with the key in an agent alone.
    commit(app, a="two")
    agent = Agent(server.key)
    try:
        variables = {**ssh("IdentityFile none"), "SSH_AUTH_SOCK": agent.socket}
        again = project.build(options=("--locked",), ENVBUILD_STORE=str(tmp_path / "other"), **variables)
        assert (again.code, again.image) == (0, done.image), again.err + server.log
        moved = project.command("update", "web.env", "--dry-run", **variables)
        assert git(app, "rev-parse", "main")[:12] in moved.out, moved.err
    finally:
        agent.close()
    # A user's own settings for git, where no variable says it.
    command = ssh(f"IdentityFile {server.key}")["GIT_SSH_COMMAND"]
    project.write(".gitconfig", "[core]", f'sshCommand = "{command}"')
    there = project.build(ENVBUILD_STORE=str(tmp_path / "third"))
    assert (there.code, there.image) == (0, done.image), there.err


def test_what_ssh_refuses_is_told_with_its_place_and_a_way_out(project, server, app, ssh):
    user, port = getpass.getuser(), server.port
    address = f"ssh://{user}@127.0.0.1:{port}{app}"
    key = f"IdentityFile {server.key}"
    other = server.known.replace(server.known.split()[2][-12:], "A" * 12)
    for settings, known, reason, hint in (
        ((key,), "", "Host key verification failed.", f"which ssh then knows: ssh -p {port} {user}@127.0.0.1"),
        ((key,), other, f"Host key for [127.0.0.1]:{port} has changed", f"ssh-keygen -R '[127.0.0.1]:{port}'"),
        (("IdentityFile none",), server.known, f"{user}@127.0.0.1: Permission denied", f"git ls-remote {address}"),
    ):
        done = project.build("run false", f"fetch git+{address}@main -> /src", **ssh(*settings, known=known))
        assert (done.code, done.ran) == (1, []), done.out
        assert f"error: fetch: {address}: {reason}" in done.err
        assert f"  --> web.env:3:7\n   |\n 3 | fetch git+{address}@main -> /src\n   |       ^^^" in done.err
        assert hint in done.err
        assert "Could not read from remote" not in done.err
    # Whoever trusts new servers says so to ssh.
    accepting = ssh(key, "StrictHostKeyChecking accept-new", known="")
    done = project.build("run true", f"fetch git+{address}@main -> /src", **accepting)
    assert done.code == 0, done.err
    assert (project.folder / "known_hosts").read_text()


def test_no_address_is_an_option_or_a_command_of_ssh_or_the_server(project, server, app, ssh, tmp_path):
    variables = ssh(f"IdentityFile {server.key}")
    for host in ("-oProxyCommand=touch${IFS}ran", "u@-oProxyCommand=touch", "-l@h", "$(touch)", "h;touch", "h%20-o"):
        done = project.build(f"fetch git+ssh://{host}/x@main -> /src", **variables)
        assert (done.code, "^^^" in done.err) == (2, True), done.err
    trace = tmp_path / "trace"
    for path in (f"/$(touch${{IFS}}{trace})", f"/`touch${{IFS}}{trace}`", f"/x;touch${{IFS}}{trace}", "/--help"):
        done = project.build(
            "file /a", "    x", rf"fetch git+ssh://127.0.0.1:{server.port}{path}@main -> /b", **variables
        )
        assert done.code in (1, 2), done.err
        assert "^^^" in done.err
    assert not trace.exists()

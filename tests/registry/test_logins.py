"""Who the user is at a registry: docker's and podman's files, programs for passwords, passwords and tokens."""

from __future__ import annotations

import base64
import json
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Project
from tests.registry.hostile import Registry, Tokens, basic, log_in
from tests.sharing.images import layer

pytestmark = pytest.mark.namespaces

SECRET = "s3cret-of-the-user"
FILES = layer(("etc/a", b"a"))


def docker_file(user: Project) -> Path:
    return user.folder / ".docker/config.json"


def login(user: Project, host: str, password: str = SECRET, *words: str, **variables: str):
    return user.command(
        "login", host, "-u", "ci", "--password-stdin", *words, stdin=f"{password}\n".encode(), **variables
    )


def helper(user: Project, name: str = "tests") -> dict[str, str]:
    """A program for passwords that keeps them in files; what makes it found."""
    folder = user.folder / "bin"
    folder.mkdir()
    program = folder / f"docker-credential-{name}"
    program.write_text(
        "#!/bin/sh\n"
        'd="$HOME/kept"; mkdir -p "$d"\n'
        'case "$1" in\n'
        'store) cat > "$d/it";;\n'
        'get) read -r host; [ -e "$d/it" ] || { echo "credentials not found in native keychain"; exit 1; }\n'
        '    cat "$d/it";;\n'
        'erase) rm -f "$d/it";;\n'
        "esac\n"
    )
    program.chmod(0o755)
    return {"PATH": f"{folder}:{user.environment['PATH']}"}


def kept_nowhere(user: Project, *secrets: str) -> bool:
    """Whether no file of the store has a secret."""
    content = b"".join(path.read_bytes() for path in user.store.rglob("*") if path.is_file())
    return not any(secret.encode() in content for secret in secrets)


def test_debians_registry_with_passwords(built: Project, elsewhere: Project, registry):
    host = registry(users={"ci": SECRET}).host
    done = built.command("push", "web", f"{host}/web:1")
    assert done.code == 1
    assert done.err.startswith(f"error: {host}: unauthorized: ")
    assert done.err.endswith(f"hint: envbuild login {host}\n")
    wrong = login(built, host, "wrong")
    assert (wrong.code, docker_file(built).exists()) == (1, False)
    assert "wrong" not in wrong.err + wrong.out
    right = login(built, host)
    assert right.code == 0, right.err
    assert right.out == f"logged in to {host} as ci ({docker_file(built)})\n"
    assert built.command("push", "web", f"{host}/web:1").code == 0
    assert elsewhere.command("pull", f"{host}/web:1").code == 0
    assert kept_nowhere(built, SECRET, basic("ci", SECRET)[6:])
    assert built.command("logout", host).out == f"logged out from {host} ({docker_file(built)})\n"
    assert built.command("logout", host).out == f"there was no login for {host}\n"
    assert built.command("pull", f"{host}/web:1", "again").code == 1


def test_a_login_is_kept_as_docker_does_and_nothing_else_is_lost(user: Project, server):
    registry: Registry = server()
    registry.needs_login("ci", SECRET)
    before: dict[str, Any] = {
        "auths": {"other.example": {"auth": "b3RoZXI6eA=="}, f"https://{registry.host}/v1/": {"auth": "b2xkOng="}},
        "HttpHeaders": {"X": "ü"},
        "psFormat": "table",
    }
    docker_file(user).parent.mkdir()
    docker_file(user).write_text(json.dumps(before))
    docker_file(user).chmod(0o644)
    assert login(user, registry.host).code == 0
    after = json.loads(docker_file(user).read_text())
    auth = base64.b64encode(f"ci:{SECRET}".encode()).decode()
    assert after == {**before, "auths": {"other.example": {"auth": "b3RoZXI6eA=="}, registry.host: {"auth": auth}}}
    assert stat.S_IMODE(docker_file(user).stat().st_mode) == 0o600
    assert [path.name for path in docker_file(user).parent.iterdir()] == ["config.json"]
    assert user.command("logout", registry.host).code == 0
    assert json.loads(docker_file(user).read_text())["auths"] == {"other.example": {"auth": "b3RoZXI6eA=="}}


def test_podmans_file_is_read_before_dockers_and_by_namespace(user: Project, server, tmp_path: Path):
    registry: Registry = server()
    registry.image(FILES)
    registry.needs_login("ci", SECRET)
    log_in(user.folder, registry.host, "docker", "x")
    path = tmp_path / "run/containers/auth.json"
    path.parent.mkdir(parents=True)

    def auth(user_name: str, password: str) -> dict[str, str]:
        return {"auth": base64.b64encode(f"{user_name}:{password}".encode()).decode()}

    auths = {registry.host: auth("podman", "y"), f"{registry.host}/shop": auth("ci", SECRET)}
    path.write_text(json.dumps({"auths": auths}))
    runtime = {"XDG_RUNTIME_DIR": str(tmp_path / "run")}
    done = user.command("pull", f"{registry.host}/shop/web:1", **runtime)
    assert done.code == 0, done.err
    assert registry.shown() == [basic("ci", SECRET)]
    assert user.command("pull", f"{registry.host}/shopping/web:1", "other", **runtime).code == 1
    assert registry.shown() == sorted([basic("ci", SECRET), basic("podman", "y")])
    assert login(user, registry.host, SECRET, **runtime).code == 0
    assert json.loads(path.read_text())["auths"][registry.host] == auth("ci", SECRET)


@pytest.mark.parametrize("member", ["credHelpers", "credsStore"])
@pytest.mark.user
def test_a_program_keeps_the_password(user: Project, server, member: str):
    registry: Registry = server()
    registry.image(FILES)
    registry.needs_login("ci", SECRET)
    variables = helper(user)
    docker_file(user).parent.mkdir()
    value = {registry.host: "tests"} if member == "credHelpers" else "tests"
    docker_file(user).write_text(json.dumps({member: value}))
    done = login(user, registry.host, SECRET, **variables)
    assert done.out == f"logged in to {registry.host} as ci (docker-credential-tests)\n"
    assert SECRET not in docker_file(user).read_text()
    assert base64.b64encode(f"ci:{SECRET}".encode()).decode() not in docker_file(user).read_text()
    assert user.command("pull", f"{registry.host}/web:1", **variables).code == 0
    assert user.command("logout", registry.host, **variables).code == 0
    assert user.command("pull", f"{registry.host}/web:1", "again", **variables).code == 1


@pytest.mark.parametrize("name", ["../evil", "/bin/sh", "a b", "", "--x/..", "x" * 100])
def test_a_program_is_found_by_name_alone(user: Project, server, name: str):
    registry: Registry = server()
    registry.image(FILES)
    evil = user.folder / "evil"
    evil.write_text("#!/bin/sh\ntouch $HOME/ran\n")
    evil.chmod(0o755)
    (user.folder / "docker-credential-here").write_text(evil.read_text())
    (user.folder / "docker-credential-here").chmod(0o755)
    docker_file(user).parent.mkdir()
    for tried in (name, "here"):
        docker_file(user).write_text(json.dumps({"credsStore": tried}))
        done = user.command("pull", f"{registry.host}/web:1", PATH=f":.:{user.environment['PATH']}")
        assert done.code == (1 if tried else 0), done.err
    assert not (user.folder / "ran").exists()


@pytest.mark.parametrize(
    "content", ["[", "[]", '{"auths": []}', '{"auths": {"HOST": 3}}', '{"auths": {"HOST": {"auth": "%%"}}}', "[" * 9999]
)
def test_a_file_of_logins_that_can_not_be_read_is_said_and_left_as_it_is(user: Project, server, content: str):
    registry: Registry = server()
    registry.image(FILES)
    docker_file(user).parent.mkdir()
    docker_file(user).write_text(content.replace("HOST", registry.host))
    done = user.command("pull", f"{registry.host}/web:1")
    assert done.code == 2
    assert str(docker_file(user)) in done.err
    if content[0] == "[":
        assert login(user, registry.host).code == 2
    assert content[:3] in docker_file(user).read_text()


def test_tokens_are_for_one_repository_and_renewed_when_they_end(built: Project, server):
    registry: Registry = server()
    tokens = Tokens(registry, "ci", SECRET, seconds=0.2)
    tokens.guard(registry)
    assert login(built, registry.host, "wrong").code == 1
    log_in(built.folder, registry.host, "ci", SECRET)
    done = built.command("push", "web", f"{registry.host}/shop/web:1")
    assert done.code == 0, done.err
    assert {tuple(scopes) for scopes, _ in tokens.given.values()} == {("repository:shop/web:pull,push",)}
    assert built.command("pull", f"{registry.host}/shop/web:1", "copy").code == 0
    assert ["repository:shop/web:pull"] in [scopes for scopes, _ in tokens.given.values()]
    # The password went to the token server alone, and the tokens to the registry.
    for request in registry.requests:
        if request.authorization and not request.path.startswith("/token"):
            assert request.authorization.startswith("Bearer token-")
    assert kept_nowhere(built, SECRET, "token-1", basic("ci", SECRET)[6:])


def test_a_token_that_stands_for_the_user(user: Project, server):
    registry: Registry = server()
    registry.image(FILES)
    tokens = Tokens(registry, "ci", SECRET)
    tokens.guard(registry)
    docker_file(user).parent.mkdir()
    entry = {"auth": base64.b64encode(b"ci:").decode(), "identitytoken": tokens.identity}
    docker_file(user).write_text(json.dumps({"auths": {registry.host: entry}}))
    done = user.command("pull", f"{registry.host}/web:1")
    assert done.code == 0, done.err
    assert [request.method for request in registry.requests if request.path.startswith("/token")] == ["POST"]


def test_anybody_gets_a_token_where_the_registry_is_open(user: Project, server):
    registry: Registry = server()
    registry.image(FILES)
    Tokens(registry).guard(registry)
    assert user.command("pull", f"{registry.host}/web:1").code == 0


def test_a_password_goes_to_a_token_server_elsewhere_only_with_encryption(user: Project, server):
    registry: Registry = server()
    registry.image(FILES)
    other: Registry = server(address="127.0.0.2", host="127.0.0.2")
    tokens = Tokens(other, "ci", SECRET)
    tokens.guard(registry)
    log_in(user.folder, registry.host, "ci", SECRET)
    done = user.command("pull", f"{registry.host}/web:1")
    assert done.code == 1
    assert "would be sent the password without encryption" in done.err
    assert other.requests == []


def test_nobody_is_asked_where_there_is_nobody(user: Project):
    done = user.command("login", "localhost:1", stdin=b"")
    assert (done.code, "there is nobody to ask for the user" in done.err) == (2, True)


def test_a_file_of_logins_is_named_by_the_command(user: Project, server):
    registry: Registry = server()
    registry.image(FILES)
    registry.needs_login("ci", SECRET)
    file = str(user.folder / "logins.json")
    pulled = f"{registry.host}/web:1"
    missing = user.command("pull", pulled, "--authfile", file)
    assert (missing.code, "there is no such file" in missing.err) == (2, True)
    assert login(user, registry.host, SECRET, "--authfile", file).code == 0
    assert stat.S_IMODE(Path(file).stat().st_mode) == 0o600
    assert not docker_file(user).exists()
    assert user.command("pull", pulled).code == 1
    elsewhere = {"REGISTRY_AUTH_FILE": str(user.folder / "other.json")}
    assert user.command("pull", pulled, "--authfile", file, **elsewhere).code == 0
    assert user.command("remote", "diff", pulled, pulled, "--authfile", file).out == "the same\n"
    assert "logged out" in user.command("logout", registry.host, "--authfile", file).out
    assert user.command("remote", "diff", pulled, pulled, "--authfile", file).code == 1

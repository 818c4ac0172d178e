"""A registry that means harm: nothing of what it sends is used, and nothing of ours goes where it should not."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from envbuild.oci.descriptor import Descriptor
from envbuild.registry import client
from envbuild.registry.client import Repository
from envbuild.registry.download import download
from envbuild.registry.errors import BadAnswer, Unreachable
from envbuild.registry.exchange import Exchange
from envbuild.registry.reference import parse_reference
from envbuild.registry.server import Patience, Server
from tests.conftest import Project
from tests.registry.hostile import INDEX, LAYER, MANIFEST, Handler, Registry, Request, basic, log_in
from tests.sharing.images import descriptor, digest, layer

pytestmark = pytest.mark.namespaces

FILES = layer(("etc/a", b"a"), ("etc/b", b"b" * 100_000))
SECRET = "s3cret-of-the-user"
FAST = Patience(answer=1, document=0.5, window=0.3, window_bytes=1000, attempts=2, pause=0.01)


@pytest.fixture
def evil(server, user: Project) -> Registry:
    registry: Registry = server()
    registry.image(FILES)
    return registry


def refused(user: Project, registry: Registry, *texts: str, tag: str = "1", code: int = 1) -> str:
    """Pulls, and returns the error. There is no image then."""
    done = user.command("pull", f"{registry.host}/web:{tag}", "web:1")
    assert done.code == code, done.out + done.err
    for text in texts:
        assert text in done.err
    assert json.loads(user.command("images", "--format", "json").out) == []
    kept = user.store / "blobs"
    for path in kept.iterdir() if kept.is_dir() else ():
        assert digest(path.read_bytes()) == f"sha256:{path.name}"
    return done.err


def repository(registry: Registry, patience: Patience = FAST) -> Repository:
    return Repository(Exchange(Server(registry.host, patience=patience), None), "web")


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nX: ",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;",
    ],
)
def test_an_answer_that_comes_byte_by_byte_ends(server, head: bytes):
    registry = server()

    def drip(handler: Handler, request: Request) -> None:
        handler.wfile.write(head)
        while True:
            handler.wfile.write(head if b"100" in head else b"1")
            time.sleep(0.02)

    registry.rule("GET", "/manifests/", drip)
    with pytest.raises(Unreachable):
        repository(registry, FAST.replace(answer=0.3)).manifest(parse_reference(f"{registry.host}/web:1"))


def test_a_usual_one_is_taken(user: Project, evil: Registry):
    assert user.command("pull", f"{evil.host}/web:1").code == 0


@pytest.mark.parametrize("other", [FILES[:-1] + b"x", FILES[:-512], FILES + b"x", b""])
def test_another_layer_than_its_digest_says(user: Project, evil: Registry, other: bytes):
    evil.blobs[digest(FILES)] = other
    refused(user, evil, "the blob sha256:")


def test_another_manifest_than_its_digest_says(user: Project, evil: Registry):
    kind, content = evil.manifests["1"]
    wrong = digest(b"wrong")
    evil.manifests[wrong] = kind, content
    done = user.command("pull", f"{evil.host}/web@{wrong}")
    assert (done.code, "is not what its digest says" in done.err) == (1, True)
    evil.rule("GET", "/manifests/1", lambda handler, _: handler.say(200, content, Docker_Content_Digest=wrong))
    evil.rules.insert(0, evil.rules.pop())
    refused(user, evil, "is not what its digest says")


def test_another_configuration_than_its_digest_says(user: Project, evil: Registry):
    manifest = json.loads(evil.manifests["1"][1])
    evil.blobs[manifest["config"]["digest"]] = b"{}".ljust(manifest["config"]["size"])
    refused(user, evil, "the configuration", "is not what its digest says")


def test_sizes_that_are_not_so(user: Project, evil: Registry):
    for size in (10, len(FILES) + 10, 1 << 39, -1, True, "7", None):
        evil.image(FILES, layers=[{**descriptor(FILES, LAYER), "size": size}])
        done = user.command("pull", f"{evil.host}/web:1")
        assert done.code in (1, 2), done.out
        assert json.loads(user.command("images", "--format", "json").out) == []


@pytest.mark.parametrize("chunked", [False, True])
def test_a_manifest_of_five_megabytes(user: Project, evil: Registry, chunked: bool):
    content = b'{"schemaVersion": 2, "x": "' + b"x" * (5 << 20) + b'"}'

    def answer(handler: Handler, request: Request) -> None:
        if not chunked:
            handler.say(200, content, Content_Type=MANIFEST)
            return
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        while True:  # it has no end
            handler.wfile.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")

    evil.rule("GET", "/manifests/1", answer)
    refused(user, evil, "it has more than 4,194,304 bytes")


def test_a_layer_without_an_end(user: Project, evil: Registry):
    def answer(handler: Handler, request: Request) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.close_connection = True
        while True:
            handler.wfile.write(b"x" * 0x10000)

    evil.rule("GET", "/blobs/" + digest(FILES), answer)
    refused(user, evil, f"it has more than its {len(FILES):,} bytes")


def test_a_layer_that_comes_byte_by_byte(evil: Registry, tmp_path: Path):
    def answer(handler: Handler, request: Request) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(FILES)))
        handler.end_headers()
        for _ in range(1000):
            handler.wfile.write(b"x")
            handler.wfile.flush()
            time.sleep(0.02)

    evil.rule("GET", "/blobs/", answer)
    blob = Descriptor(LAYER, digest(FILES), len(FILES))
    with pytest.raises(Unreachable, match="fewer than"):
        download(repository(evil), blob, str(tmp_path / "blob"), lambda size: True)


def test_a_manifest_that_comes_byte_by_byte(evil: Registry):
    def answer(handler: Handler, request: Request) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "4000")
        handler.end_headers()
        for _ in range(4000):
            handler.wfile.write(b"x")
            handler.wfile.flush()
            time.sleep(0.02)

    evil.rule("GET", "/manifests/", answer)
    with pytest.raises(Unreachable, match="not whole after"):
        repository(evil).manifest(parse_reference(f"{evil.host}/web:1"))


def test_indexes_in_indexes(user: Project, evil: Registry):
    kind, content = MANIFEST, evil.manifests["1"][1]
    for depth in range(5):
        document = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor(content, kind)]})
        kind, content = INDEX, document.encode()
        evil.put(f"nested-{depth}", kind, content)
    assert user.command("pull", f"{evil.host}/web:nested-1", "fine").code == 0
    done = user.command("pull", f"{evil.host}/web:nested-4", "web:1")
    assert (done.code, "indexes that name indexes" in done.err) == (2, True)


def test_an_index_with_many_indexes(user: Project, evil: Registry):
    inner = []
    for number in range(100):
        content = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [], "x": number}).encode()
        evil.put(f"inner-{number}", INDEX, content)
        inner.append(descriptor(content, INDEX))
    evil.put("wide", INDEX, json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": inner}).encode())
    refused(user, evil, "its indexes name more than 64 others", tag="wide", code=2)


def test_addresses_of_layers_elsewhere_are_not_asked(user: Project, evil: Registry, server):
    other = server()
    other.blobs = dict(evil.blobs)
    kind = "application/vnd.oci.image.layer.nondistributable.v1.tar"
    address = f"{other.address}/v2/web/blobs/{digest(FILES)}"
    evil.image(FILES, layers=[{**descriptor(FILES, kind), "urls": [address]}])
    del evil.blobs[digest(FILES)]
    refused(user, evil, "there is no", code=2)
    assert other.requests == []


def test_a_redirect_to_another_host_gets_no_authorization(user: Project, evil: Registry, server):
    other: Registry = server()
    other.blobs = dict(evil.blobs)
    evil.needs_login("ci", SECRET)
    log_in(user.folder, evil.host, "ci", SECRET)
    evil.rule("GET", "/blobs/", lambda handler, request: handler.say(307, Location=f"{other.address}{request.path}"))
    done = user.command("pull", f"{evil.host}/web:1")
    assert done.code == 0, done.err
    assert other.shown() == []
    assert other.requests
    assert evil.shown() == [basic("ci", SECRET)]


def test_another_host_that_asks_who_we_are_is_not_told(user: Project, evil: Registry, server):
    other: Registry = server()
    other.needs_login("ci", SECRET)
    evil.needs_login("ci", SECRET)
    log_in(user.folder, evil.host, "ci", SECRET)
    evil.rule("GET", "/blobs/", lambda handler, request: handler.say(307, Location=f"{other.address}{request.path}"))
    refused(user, evil, "unauthorized")
    assert other.shown() == []


def test_redirects_without_an_end(user: Project, evil: Registry):
    evil.rule("GET", "/blobs/", lambda handler, request: handler.say(302, Location=request.path))
    refused(user, evil, "more than 5 times")


def test_from_https_to_http(user: Project, server, authority, trusted):
    evil: Registry = server(authority=authority)
    other: Registry = server()
    evil.image(FILES)
    trusted(evil.host)
    evil.rule("GET", "/blobs/", lambda handler, request: handler.say(307, Location=f"{other.address}{request.path}"))
    refused(user, evil, "from https to localhost without encryption")
    evil.rules.clear()
    challenge = f'Bearer realm="{other.address}/token"'
    evil.rule("GET", "/manifests/", lambda handler, _: handler.say(401, WWW_Authenticate=challenge))
    log_in(user.folder, evil.host, "ci", SECRET)
    refused(user, evil, "would be asked without encryption")
    assert other.requests == []


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://x/y", "http://", "//[", "http://a b/", "gopher:x"])
def test_redirects_to_nowhere(user: Project, evil: Registry, location: str):
    evil.rule("GET", "/blobs/", lambda handler, request: handler.say(307, Location=location))
    refused(user, evil)


def test_an_upload_that_goes_elsewhere_gets_no_authorization(built: Project, server):
    evil, other = server(), server()
    evil.needs_login("ci", SECRET)
    log_in(built.folder, evil.host, "ci", SECRET)
    evil.rule("POST", "/uploads/", lambda handler, _: handler.say(202, Location=f"{other.address}/v2/upload/1"))
    evil.rules.append(lambda handler, request: request.method == "PUT" and handler.say(201))
    done = built.command("push", "web", f"{evil.host}/web:1")
    assert done.code == 0, done.err
    assert {request.method for request in other.requests} == {"PUT"}
    assert other.shown() == []


@pytest.mark.parametrize("location", ["", "file:///etc/passwd", "http://[", "//"])
def test_uploads_to_nowhere(built: Project, server, location: str):
    evil = server()
    headers = {"Location": location} if location else {}
    evil.rule("POST", "/uploads/", lambda handler, _: handler.say(202, **headers))
    assert built.command("push", "web", f"{evil.host}/web:1").code == 1


def test_what_is_said_of_an_error_has_no_secret_and_no_escapes(user: Project, evil: Registry):
    log_in(user.folder, evil.host, "ci", SECRET)

    def echo(handler: Handler, request: Request) -> None:
        if not request.authorization:
            handler.say(401, WWW_Authenticate="Basic realm=x")
            return
        message = f"you are {SECRET} {request.authorization} \x1b[2J\nline"
        handler.say(418, json.dumps({"errors": [{"code": "TEAPOT", "message": message}]}).encode())

    evil.rule("GET", "/manifests/", echo)
    error = refused(user, evil, "TEAPOT: you are ***")
    assert SECRET not in error
    assert basic("ci", SECRET)[6:] not in error
    assert "\x1b" not in error


def test_busy_registries_are_asked_again(user: Project, evil: Registry):
    evil.rule("GET", "/manifests/", lambda handler, _: handler.say(429, Retry_After="0"), times=2)
    evil.rule("GET", "/blobs/", lambda handler, _: handler.say(503, Retry_After="0"), times=3)
    assert user.command("pull", f"{evil.host}/web:1").code == 0


def test_one_that_wants_us_to_wait_for_hours_is_not_waited_for(user: Project, evil: Registry):
    evil.rule("GET", "/manifests/", lambda handler, _: handler.say(429, Retry_After="7200"))
    refused(user, evil, "to be asked again in 7200 seconds")


@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_that_breaks_goes_on(user: Project, evil: Registry, ranges: bool):
    def cut(handler: Handler, request: Request) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(FILES)))
        handler.end_headers()
        handler.wfile.write(FILES[:50_000])
        handler.close_connection = True

    evil.rule("GET", "/blobs/" + digest(FILES), cut, times=1)
    if not ranges:
        evil.rule("GET", "/blobs/" + digest(FILES), lambda handler, _: handler.say(200, FILES), times=1)
    assert user.command("pull", f"{evil.host}/web:1").code == 0
    asked = [request.headers.get("Range") for request in evil.requests if digest(FILES) in request.path]
    assert asked == [None, "bytes=50000-"]


def test_a_part_that_lies_there_and_is_of_something_else(user: Project, evil: Registry):
    blobs = user.store / "blobs"
    blobs.mkdir(parents=True)
    user.store.chmod(0o700)
    (blobs / f"{digest(FILES)[7:]}.part").write_bytes(b"x" * 1000)
    assert user.command("pull", f"{evil.host}/web:1").code == 0


@pytest.mark.parametrize("token", ["a b", "a\nX: y", "ä", "", 7, None])
def test_tokens_that_are_none(user: Project, evil: Registry, token: object):
    challenge = f'Bearer realm="{evil.address}/token"'
    evil.rule("GET", "/manifests/", lambda handler, _: handler.say(401, WWW_Authenticate=challenge))
    evil.rule("GET", "/token", lambda handler, _: handler.say(200, json.dumps({"token": token}).encode()))
    refused(user, evil, "a token: there is none in the answer")


@pytest.mark.parametrize(
    "challenge", ["", "Bearer", 'Bearer realm="file:///x"', 'Bearer realm="http://u:p@h/"', "Digest x=y", '"' * 5000]
)
def test_challenges_that_can_not_be_met(user: Project, evil: Registry, challenge: str):
    evil.rule("GET", "/manifests/", lambda handler, _: handler.say(401, WWW_Authenticate=challenge))
    refused(user, evil)


def test_lists_without_an_end(user: Project, evil: Registry, monkeypatch: pytest.MonkeyPatch):
    def page(handler: Handler, request: Request) -> None:
        handler.say(200, b'{"tags": ["1"]}', Link='</v2/web/tags/list?x=1>; rel="next"')

    evil.rule("GET", "/tags/list", page)
    monkeypatch.setattr(client, "_MAX_PAGES", 20)
    with pytest.raises(BadAnswer, match="it has no end"):
        list(repository(evil).tags())
    assert 20 <= len([request for request in evil.requests if "/tags/list" in request.path]) <= 21
    evil.rules.clear()
    evil.rule("GET", "/tags/list", lambda handler, _: handler.say(200, b'{"tags": ["\\u001b[2J"]}'))
    assert user.command("remote", "ls", f"{evil.host}/web").code == 1

"""Artifacts about an image: in registries that know of subjects and in those that don't, with others who write,
and with a registry that says what it likes."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from envbuild.oci.descriptor import EMPTY_TYPE, MANIFEST, descriptor_of
from envbuild.registry.client import Repository
from envbuild.registry.errors import BadAnswer, RegistryRefuses
from envbuild.registry.exchange import Exchange
from envbuild.registry.reference import PUSH, RegistryReference
from envbuild.registry.referrers import NewReferrer, attach, contents, tag_of
from envbuild.registry.server import Patience, Server
from tests.registry.hostile import INDEX, Registry
from tests.sharing.images import digest, layer

KIND, OTHER = "application/vnd.test.kind", "application/vnd.test.other"
IMAGE = b'{"schemaVersion":2}'


def repository(host: str) -> Repository:
    patience = Patience(attempts=2, pause=0.01)
    return Repository(Exchange(Server(host, (), insecure=False, patience=patience), None), "web", PUSH)


def read(host: str, subject: str, most: int = 1 << 20) -> list[bytes]:
    return sorted(contents(repository(host), subject, (KIND,), most))


@pytest.fixture
def noting(server) -> Registry:
    """A registry that knows of subjects."""
    registry = server()
    known: dict[str, list[dict]] = {}

    def note(handler, request) -> bool:
        if request.method != "PUT" or "/manifests/" not in request.path or b'"subject"' not in request.body:
            return False
        plain = json.loads(request.body)
        name = registry.put(digest(request.body), MANIFEST, request.body)
        entry = {
            "mediaType": MANIFEST,
            "digest": name,
            "size": len(request.body),
            "artifactType": plain["artifactType"],
        }
        known.setdefault(plain["subject"]["digest"], []).append(entry)
        return handler.say(201, OCI_Subject=plain["subject"]["digest"])

    def tell(handler, request) -> bool:
        if "/referrers/" not in request.path:
            return False
        entries = known.get(request.path.rpartition("/")[2], [])
        return handler.say(200, json.dumps({"schemaVersion": 2, "manifests": entries}).encode(), Content_Type=INDEX)

    registry.rules += [note, tell]
    return registry


def test_a_registry_that_knows_of_subjects_needs_no_tag(noting):
    subject = descriptor_of(MANIFEST, IMAGE)
    attach(repository(noting.host), subject, [NewReferrer(KIND, b"1"), NewReferrer(OTHER, b"2")])
    assert read(noting.host, subject.digest) == [b"1"]
    assert tag_of(subject.digest) not in noting.manifests


def test_writers_at_once_lose_nothing(registry):
    host = registry().host
    subject = descriptor_of(MANIFEST, IMAGE)

    def write(number: int) -> None:
        attach(repository(host), subject, [NewReferrer(KIND, b"%d" % number), NewReferrer(KIND, b"%d'" % number)])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert read(host, subject.digest) == sorted(b"%d%s" % (number, mark) for number in range(4) for mark in (b"", b"'"))


def test_what_is_there_is_not_written_again(registry):
    server = registry()
    subject = descriptor_of(MANIFEST, IMAGE)
    for _ in range(2):
        attach(repository(server.host), subject, [NewReferrer(KIND, b"1")])
    puts = [path for path in server.requests("PUT") if path.endswith(tag_of(subject.digest))]
    assert (len(puts), read(server.host, subject.digest)) == (1, [b"1"])


def test_one_that_comes_in_between_is_seen(server):
    """Somebody who read the index before ours came writes theirs over it."""
    registry = server()
    subject = descriptor_of(MANIFEST, IMAGE)
    theirs = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}).encode()
    tag = tag_of(subject.digest)

    def lose(handler, request) -> None:
        registry.put(tag, INDEX, theirs)
        handler.say(201)

    registry.rule("PUT", f"/manifests/{tag}", lose, times=2)
    attach(repository(registry.host), subject, [NewReferrer(KIND, b"1")])
    assert read(registry.host, subject.digest) == [b"1"]
    registry.rule("PUT", f"/manifests/{tag}", lose)
    with pytest.raises(BadAnswer, match="others write over"):
        attach(repository(registry.host), subject, [NewReferrer(KIND, b"2")])


def artifact(registry: Registry, about: str, content: bytes, **changed: object) -> dict:
    """Puts an artifact into a registry, and returns its entry in an index."""
    registry.blobs[digest(content)] = content
    plain = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": KIND,
        "config": {"mediaType": EMPTY_TYPE, "digest": digest(b"{}"), "size": 2},
        "layers": [{"mediaType": KIND, "digest": digest(content), "size": len(content)}],
        "subject": {"mediaType": MANIFEST, "digest": about, "size": 1},
        **changed,
    }
    manifest = json.dumps(plain).encode()
    return {"mediaType": MANIFEST, "digest": registry.put(digest(manifest), MANIFEST, manifest), "size": len(manifest)}


def test_what_is_not_as_it_has_to_be_is_left_out(server):
    registry = server()
    subject = digest(IMAGE)
    good = artifact(registry, subject, b"good")
    entries = [
        {**good, "artifactType": OTHER, "digest": digest(b"x")},
        artifact(registry, digest(b"other image"), b"of another image"),
        artifact(registry, subject, b"no subject", subject=None),
        artifact(registry, subject, b"of another kind", artifactType=OTHER),
        artifact(registry, subject, b"large" * 1000),
        artifact(registry, subject, b"two", layers=[]),
        artifact(registry, subject, b"lies", layers=[{"mediaType": KIND, "digest": digest(b"good"), "size": 3}]),
        {"mediaType": MANIFEST, "digest": digest(b"not there"), "size": 9, "artifactType": KIND},
        {"mediaType": MANIFEST, "digest": "sha256:../../x", "size": 9, "artifactType": KIND},
        {**good, "size": good["size"] + 1},
        {**good, "artifactType": ["x"]},
        "text",
        # What cosign 3.1 writes where the registry does not know of subjects.
        {**good, "artifactType": EMPTY_TYPE},
    ]
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()
    registry.put(tag_of(subject), INDEX, index)
    assert set(read(registry.host, subject, 1000)) == {b"good"}


def test_thousands_of_artifacts_are_not_all_fetched(server, monkeypatch):
    monkeypatch.setattr("envbuild.registry.referrers.MAX_REFERRERS", 4)
    registry = server()
    subject = digest(IMAGE)
    entries = [artifact(registry, subject, b"%d" % number) for number in range(8)]
    rest = [{**entries[0], "artifactType": OTHER}] * 5000
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [*rest, *entries]}).encode()
    registry.put(tag_of(subject), INDEX, index)
    assert len(read(registry.host, subject)) == 4


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (200, None, BadAnswer),
        (200, b"[]", BadAnswer),
        (200, b'{"manifests": 1}', BadAnswer),
        (200, b"[" * 100_000, BadAnswer),
        (403, b"", Exception),
        (500, b"", RegistryRefuses),
    ],
    ids=["5 MB", "list", "number", "deep", "forbidden", "broken"],
)
def test_an_answer_that_can_not_be_is_an_error_and_not_nothing(server, status, body, error):
    registry = server()
    said = b" " * (5 << 20) if body is None else body
    registry.rule("GET", "/referrers/", lambda handler, request: handler.say(status, said))
    with pytest.raises(error):
        read(registry.host, digest(IMAGE))


def test_pages_without_an_end_end(server):
    registry = server()
    page = json.dumps({"schemaVersion": 2, "manifests": [{"x": 1}]}).encode()
    following = {"Link": '</v2/web/referrers/next>; rel="next"'}
    registry.rule("GET", "/referrers/", lambda handler, request: handler.say(200, page, **following))
    with pytest.raises(BadAnswer, match="no end"):
        read(registry.host, digest(IMAGE))
    assert len(registry.requests) < 20


def test_a_tag_that_names_an_image_is_no_index_of_artifacts(server):
    registry = server()
    subject = digest(IMAGE)
    registry.image(layer(("x", b"")), tag=tag_of(subject))
    with pytest.raises(BadAnswer, match="does not name an index"):
        read(registry.host, subject)
    assert repository(registry.host).manifest(RegistryReference(registry.host, "web", tag_of(subject)))

"""Manifests of artifacts: what is written is read again, and what is not an artifact is refused."""

from __future__ import annotations

import json

import pytest

from envbuild.oci.artifact import EMPTY, Artifact, artifact_manifest, read_artifact
from envbuild.oci.descriptor import CONFIG, INDEX, descriptor_of
from envbuild.oci.manifest import MAX_DOCUMENT, MAX_LAYERS, BadImage

KIND = "application/vnd.example.thing"
WHOLE = Artifact(
    KIND,
    (descriptor_of("text/plain", b"hello", (("a", "b"),)), descriptor_of("text/plain", b"")),
    (("created", "today"), ("other", "")),
    descriptor_of(INDEX, b"what it is about"),
)


@pytest.mark.parametrize("artifact", [WHOLE, WHOLE.replace(subject=None, annotations=())])
def test_what_is_written_is_read_again(artifact: Artifact) -> None:
    content = artifact_manifest(artifact)
    assert read_artifact(content, "x") == artifact
    assert artifact_manifest(read_artifact(content, "x")) == content


def test_the_empty_configuration_is_that_of_the_specification() -> None:
    assert EMPTY.digest == "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    assert (EMPTY.size, EMPTY.media_type) == (2, "application/vnd.oci.empty.v1+json")


def test_an_artifact_without_content_has_the_empty_blob() -> None:
    assert read_artifact(artifact_manifest(Artifact(KIND, ())), "x").layers == (EMPTY,)


def test_the_kind_is_that_of_the_configuration_where_nothing_says_it() -> None:
    plain = json.loads(artifact_manifest(WHOLE.replace(config=descriptor_of(KIND, b"{}"))))
    del plain["artifactType"]
    assert read_artifact(json.dumps(plain).encode(), "x").kind == KIND


@pytest.mark.parametrize(
    "changed",
    [
        {"schemaVersion": 1},
        {"mediaType": INDEX},
        {"artifactType": 5},
        {"artifactType": ""},
        {"layers": None},
        {"layers": [{}]},
        {"layers": [EMPTY.plain()] * (MAX_LAYERS + 1)},
        {"layers": [{**EMPTY.plain(), "digest": "sha512:00"}]},
        {"layers": [{**EMPTY.plain(), "size": -1}]},
        {"subject": {"mediaType": CONFIG}},
        {"subject": []},
        {"annotations": []},
        {"annotations": {"a": 1}},
        {"config": "x"},
    ],
)
def test_what_is_not_an_artifact_is_refused(changed: dict[str, object]) -> None:
    plain = {**json.loads(artifact_manifest(WHOLE)), **changed}
    with pytest.raises(BadImage):
        read_artifact(json.dumps(plain).encode(), "x")


@pytest.mark.parametrize("content", [b"", b"[]", b"[" * 100_000], ids=["empty", "list", "deep"])
def test_what_is_no_object_is_refused(content: bytes) -> None:
    with pytest.raises(BadImage):
        read_artifact(content, "x")


def test_what_is_too_large_is_refused() -> None:
    with pytest.raises(BadImage):
        read_artifact(b"{" + b" " * MAX_DOCUMENT + b"}", "x")

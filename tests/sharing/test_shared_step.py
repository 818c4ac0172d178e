"""Records of shared caches: what is written is read again, and what is damaged is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from envbuild.oci.artifact import Artifact, artifact_manifest, read_artifact
from envbuild.oci.descriptor import Descriptor
from envbuild.oci.manifest import BadImage
from envbuild.sharing.shared_step import (
    CHAIN,
    KIND,
    MAX_INLINE,
    MAX_OUTPUT,
    PART,
    RECORDS,
    Part,
    SharedStep,
    manifest_of_chain,
    manifest_of_step,
    part_of,
    read_records,
)

BLOB = Descriptor(PART, "sha256:" + "c" * 64, 12345)
STEP = SharedStep("1" * 64, "2" * 64, "3" * 64, True, 1.5, Part(b"index"), Part(b"", BLOB), b"said\n", "{}")
BASE = SharedStep("4" * 64, "5" * 64, "", True, 0.0, Part(b"index"), base='{"tree": ""}')


def test_what_is_written_is_read_again():
    assert read_records(manifest_of_step(STEP), "x") == [STEP]
    assert read_records(manifest_of_chain([BASE, STEP]), "x") == [BASE, STEP]
    assert read_artifact(manifest_of_chain([BASE, STEP]), "x").layers == (BLOB,)


def test_a_chain_that_is_too_long_for_a_manifest_has_its_beginning():
    steps = [STEP.replace(key=f"{number:064x}", output=b"x" * MAX_OUTPUT) for number in range(400)]
    manifest = manifest_of_chain(steps)
    assert len(manifest) < 4 << 20
    kept = read_records(manifest, "x")
    assert kept == steps[: len(kept)]
    assert 100 < len(kept) < 400


def test_what_is_small_lies_in_the_record():
    assert part_of(b"x" * MAX_INLINE).blob is None
    large = part_of(b"x" * (MAX_INLINE + 1))
    assert large.blob is not None
    assert large.blob.size == MAX_INLINE + 1


@pytest.mark.parametrize(
    "change",
    [
        {"key": "2" * 63},
        {"key": None},
        {"tree": "../../x"},
        {"tree": "A" * 64},
        {"parent": 5},
        {"owners_kept": 1},
        {"seconds": "1"},
        {"seconds": True},
        {"index": None},
        {"index": "?"},
        {"index": "A" * (2 * MAX_INLINE)},
        {"contents": []},
        {"contents": ["sha256:00", 5]},
        {"contents": ["sha256:" + "0" * 64, 0]},
        {"contents": ["sha256:" + "0" * 64, 1 << 60]},
        {"contents": ["sha256:" + "0" * 64, True]},
        {"output": "A" * (2 * MAX_OUTPUT)},
        {"network": 5},
        {"base": "x" * (2 << 20)},
    ],
    ids=lambda change: str(change)[:60],
)
def test_a_damaged_record_is_refused(change: dict[str, Any]):
    with pytest.raises(BadImage):
        read_records(_with({**_plain(STEP), **change}), "x")


@pytest.mark.parametrize("name", ["key", "tree", "parent", "owners_kept", "seconds", "index", "contents"])
def test_a_record_that_lacks_something_is_refused(name: str):
    plain = _plain(STEP)
    del plain[name]
    with pytest.raises(BadImage):
        read_records(_with(plain), "x")


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"format": 2, "steps": []}', '{"format": 1}', "[" * 100_000],
    ids=["empty", "list", "object", "format", "steps", "deep"],
)
def test_what_has_no_records_is_refused(text: str):
    with pytest.raises(BadImage):
        read_records(artifact_manifest(Artifact(CHAIN, (), ((RECORDS, text),))), "x")


def test_an_artifact_of_another_kind_is_refused():
    with pytest.raises(BadImage):
        read_records(artifact_manifest(Artifact("application/x", ())), "x")


def test_a_time_that_is_no_number_is_refused():
    text = json.dumps({"format": 1, "steps": [{**_plain(STEP), "seconds": float("nan")}]})
    with pytest.raises(BadImage):
        read_records(artifact_manifest(Artifact(KIND, (), ((RECORDS, text),))), "x")


def _plain(step: SharedStep) -> dict[str, Any]:
    text = dict(read_artifact(manifest_of_step(step), "x").annotations)[RECORDS]
    return json.loads(text)["steps"][0]


def _with(plain: dict[str, Any]) -> bytes:
    text = json.dumps({"format": 1, "steps": [plain]})
    return artifact_manifest(Artifact(KIND, (), ((RECORDS, text),)))

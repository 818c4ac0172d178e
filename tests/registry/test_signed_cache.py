"""Shared caches whose results are signed: what the policy's keys did not sign is not used."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from envbuild.sharing.record_signature import SIGNATURE
from envbuild.sharing.shared_step import RECORDS
from tests.conftest import Project
from tests.registry.hostile import MANIFEST, Registry
from tests.registry.test_shared_cache import finished, ran, warnings

pytestmark = pytest.mark.namespaces

STEPS = ("run echo 1 > /x && echo said", "run cat /x > /y")


def with_keys(project: Project, *names: str) -> Project:
    for name in names:
        assert project.command("key", "generate", name).code == 0
    return project


def policy(project: Project, place: str, key: str) -> None:
    project.write(".config/envbuild/policy.toml", f'[[rule]]\nnames = ["{place}"]\nkeys = ["keys/{key}.pub"]').chmod(
        0o644
    )
    project.write(".config/envbuild/cache.toml", "patience = 60")


def put(project: Project, place: str, *options: str) -> None:
    done = project.build(*STEPS, options=("--cache-to", place, *options))
    assert done.code == 0, done.out + done.err
    assert not warnings(done)


def records(registry: Registry) -> dict[str, dict]:
    return {
        tag: json.loads(content)
        for tag, (_, content) in registry.manifests.items()
        if tag.partition("-")[0] in ("step", "base", "chain")
    }


def test_only_what_the_keys_of_the_policy_signed_is_used(machine: Callable[[], Project], server):
    registry = server()
    place = f"{registry.host}/team/cache"
    builder = with_keys(machine(), "ci", "other")
    there = machine()

    def first_build(*said: str) -> int:
        fresh = machine()
        policy(fresh, place, "ci")
        done = fresh.build(options=("--cache-from", place))
        text = " ".join(warnings(done))
        assert all(part in text for part in said), text
        assert bool(text) == bool(said)
        assert finished(done)["image"] == image
        return len(ran(done))

    put(builder, place)
    image = builder.show()["digest"][7:]
    assert not any(SIGNATURE in record["annotations"] for record in records(registry).values())
    refused = "not signed by a key that the policy names"
    assert first_build(refused) == 3
    put(builder, place, "--sign", "--key", "other")
    assert first_build(refused) == 3
    # Whoever signs has signed all of it, also what is there without.
    put(builder, place, "--sign", "--key", "ci")
    assert all(SIGNATURE in record["annotations"] for record in records(registry).values())
    assert first_build() == 0
    puts = len([request for request in registry.requests if request.method == "PUT"])
    put(builder, place, "--sign", "--key", "ci")
    assert len([request for request in registry.requests if request.method == "PUT"]) == puts
    # A policy about another cache says nothing of this one.
    policy(there, f"{registry.host}/other", "ci")
    assert ran(there.build(options=("--cache-from", place))) == []
    # A signature of other records, one that was taken off, and one under the name of another cache.
    signed = records(registry)
    texts = {tag: record["annotations"][RECORDS] for tag, record in signed.items()}
    some_tag = next(tag for tag in signed if tag.startswith("step"))
    for change in ("exchanged", "taken off", "damaged"):
        for tag, record in signed.items():
            annotations = dict(record["annotations"])
            if change == "taken off":
                del annotations[SIGNATURE]
            elif change == "damaged":
                annotations[SIGNATURE] = annotations[SIGNATURE][:-10]
            else:
                other = next(name for name in signed if texts[name] != texts[tag])
                annotations[SIGNATURE] = signed[other]["annotations"][SIGNATURE]
            registry.put(tag, MANIFEST, json.dumps({**record, "annotations": annotations}).encode())
        assert first_build(refused) == 3, change
    assert some_tag in registry.manifests
    elsewhere = f"{registry.host}/team/other"
    for tag, record in signed.items():
        registry.put(tag, MANIFEST, json.dumps(record).encode())
    fresh = machine()
    policy(fresh, elsewhere, "ci")
    done = fresh.build(options=("--cache-from", elsewhere))
    assert len(ran(done)) == 3
    assert refused in " ".join(warnings(done))

"""`envbuild promote` in a registry: a tag comes to name the image of another one, with the way beside the image."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from envbuild.oci.artifact import Artifact, artifact_manifest
from envbuild.oci.descriptor import Descriptor, descriptor_of
from envbuild.sharing.promotion import KIND, Promotion, dump, read_promotion
from tests.conftest import Project
from tests.registry.hostile import INDEX, MANIFEST, Handler, Request
from tests.sharing.images import digest, layer

pytestmark = pytest.mark.namespaces

FILES = layer(("etc", None), ("etc/a", b"a"))
D = "sha256:" + "1" * 64


@pytest.fixture
def shop(user: Project) -> Project:
    assert user.build("env A=1", "test true").code == 0
    assert user.command("tag", "web", "web:qa").code == 0
    return user


def done_well(project: Project, *words: str) -> Any:
    done = project.command(*words, "--format", "json")
    assert done.code == 0, done.err
    return json.loads(done.out)


def test_from_qa_to_prod_by_digest_with_the_way_on_both_sides(shop: Project, registry, tmp_path: Path):
    host = registry().host
    pushed = done_well(shop, "push", "web:qa", f"{host}/shop/web:qa")
    done = done_well(shop, "promote", f"{host}/shop/web:qa", f"{host}/shop/web:prod")
    assert (done["manifest"], done["replaced"], done["checks"]) == (pushed["manifest"], "", ["test true"])
    (entry,) = done_well(shop, "log", f"{host}/shop/web:prod")
    (promotion,) = entry["promotions"]
    assert promotion["digest"] == entry["manifest"] == pushed["manifest"]
    assert (promotion["source"], promotion["target"]) == (f"{host}/shop/web:qa", f"{host}/shop/web:prod")
    assert promotion["host"] == os.uname().nodename
    shown = shop.command("log", f"{host}/shop/web:prod").out
    assert f"promoted from {host}/shop/web:qa by {promotion['user']}@{promotion['host']}" in shown
    assert "passed: test true" in shown
    assert "nobody has signed it" in shown
    again = shop.command("promote", f"{host}/shop/web:qa", f"{host}/shop/web:prod")
    assert (again.code, "already" in again.out) == (0, True)
    elsewhere = Project(shop.folder, tmp_path / "other-store")
    elsewhere.environment = {**shop.environment, "ENVBUILD_STORE": str(tmp_path / "other-store")}
    assert done_well(elsewhere, "pull", f"{host}/shop/web:prod")["image"] == pushed["image"]
    (pulled,) = done_well(elsewhere, "log", "web:prod")
    assert pulled["promotions"] == [promotion]
    assert f"claimed  {host}/shop/web:prod promoted from" in elsewhere.command("log", "web:prod").out


def test_from_the_store_and_on_to_another_repository_with_its_signatures_and_way(shop: Project, registry):
    server = registry()
    first = done_well(shop, "promote", "web:qa", f"{server.host}/qa/web:1")
    assert first["checks"] == ["test true"]
    before = len(server.requests("PATCH")), len([path for path in server.requests("GET") if "/blobs/" in path])
    second = done_well(shop, "promote", f"{server.host}/qa/web:1", f"{server.host}/prod/web:1", "--expect", "none")
    assert second["manifest"] == first["manifest"]
    assert any("from=qa%2Fweb" in path for path in server.requests("POST"))
    layers = [path for path in server.requests("GET") if "/blobs/" in path]
    assert len(server.requests("PATCH")) == before[0]
    assert len(layers) - before[1] <= 3  # the configuration, and records
    (entry,) = done_well(shop, "log", f"{server.host}/prod/web:1")
    assert {promotion["source"] for promotion in entry["promotions"]} == {"web:qa", f"{server.host}/qa/web:1"}


def test_an_index_of_several_platforms_goes_whole_to_another_registry(user: Project, server, registry):
    source, target = server(), registry()
    entries = []
    for number, name in enumerate(("amd64", "arm64")):
        manifest = source.image(layer(("which", name.encode())), tag=f"only-{number}")
        content = source.manifests[f"only-{number}"][1]
        described = descriptor_of(manifest["mediaType"], content).plain()
        entries.append({**described, "platform": {"os": "linux", "architecture": name}})
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()
    source.put("qa", INDEX, index)
    done = done_well(user, "promote", f"{source.host}/web:qa", f"{target.host}/prod/web:1")
    assert done["manifest"] == digest(index)
    for entry in entries:
        platform = f"linux/{entry['platform']['architecture']}"
        assert user.command("pull", f"{target.host}/prod/web:1", "web:1", "--platform", platform).code == 0
        assert user.command("cat", "web:1", "/which").out == entry["platform"]["architecture"]
    damaged = layer(("which", b"else"))
    source.image(damaged, tag="bad")
    source.blobs[digest(damaged)] = damaged[:-1] + b"x"
    refused = user.command("promote", f"{source.host}/web:bad", f"{target.host}/prod/web:1")
    assert (refused.code, "is not what its digest says" in refused.err) == (1, True)
    assert done_well(user, "log", f"{target.host}/prod/web:1")[0]["manifest"] == digest(index)


def test_a_tag_that_names_something_else_than_expected_stays(shop: Project, registry):
    host = registry().host
    first = done_well(shop, "promote", "web:qa", f"{host}/web:prod")["manifest"]
    assert shop.build("env A=2").code == 0
    for expected in ("none", "0" * 12):
        refused = shop.command("promote", "web:latest", f"{host}/web:prod", "--expect", expected)
        assert (refused.code, first[7:] in refused.err) == (1, True)
    moved = done_well(shop, "promote", "web:latest", f"{host}/web:prod", "--expect", first[7:19])
    assert moved["replaced"] == first
    assert [entry["manifest"] for entry in done_well(shop, "log", f"{host}/web:prod")] == [moved["manifest"], first]


def test_a_tag_that_moves_meanwhile_stays(user: Project, server):
    registry = server()
    registry.image(FILES, tag="qa")
    subject = digest(registry.manifests["qa"][1])

    def move(handler: Handler, request: Request) -> None:
        registry.image(FILES, tag="prod", annotations={"other": "1"})
        handler.say(201, OCI_Subject=subject)

    registry.rule("PUT", "/manifests/sha256:", move)
    refused = user.command("promote", f"{registry.host}/web:qa", f"{registry.host}/web:prod")
    assert refused.code == 1
    assert digest(registry.manifests["prod"][1])[7:] in refused.err
    assert b"other" in registry.manifests["prod"][1]


def test_what_a_tag_names_is_found_out_where_a_registry_does_not_say_its_digest(user: Project, server):
    registry = server()
    registry.image(FILES, tag="qa")
    registry.image(FILES, tag="prod", annotations={"other": "1"})
    before = registry.manifests["prod"][1]
    registry.rule("HEAD", "/manifests/", lambda handler, request: handler.say(200, before))
    refused = user.command("promote", f"{registry.host}/web:qa", f"{registry.host}/web:prod", "--expect", "none")
    assert (refused.code, digest(before)[7:] in refused.err) == (1, True)
    assert registry.manifests["prod"][1] == before


def test_what_a_registry_has_on_record_is_a_claim_within_limits(user: Project, server):
    registry = server()
    registry.image(FILES, tag="prod")
    subject = Descriptor(MANIFEST, digest(registry.manifests["prod"][1]), len(registry.manifests["prod"][1]))
    good = Promotion("web:qa", f"{registry.host}/web:prod", subject.digest, "", "u", "h", "2026-01-01T00:00:00Z")
    bad = [
        dump(good.replace(user="\x1b[31mroot")),
        dump(good.replace(user="\u202eroot")),
        dump(good.replace(digest=D)),
        dump(good.replace(replaced="../../x")),
        dump(good.replace(source="x" * 500)),
        dump(good.replace(checks=("x",) * 5000)),
        b"[" * 50_000,
        b'{"version": 1}',
        b"x" * (1 << 20),
    ]
    records = [dump(good), *bad, *(dump(good.replace(user=f"u{number}")) for number in range(300))]
    entries = []
    for content in records:
        blob = descriptor_of(KIND, content)
        manifest = artifact_manifest(Artifact(KIND, (blob,), (), subject))
        registry.blobs[digest(content)] = content
        registry.put(digest(manifest), MANIFEST, manifest)
        entries.append({**descriptor_of(MANIFEST, manifest).plain(), "artifactType": KIND})
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()
    registry.rule("GET", "/referrers/", lambda handler, request: handler.say(200, index, Content_Type=INDEX))
    (entry,) = done_well(user, "log", f"{registry.host}/web:prod")
    assert 1 <= len(entry["promotions"]) <= 100
    assert {promotion["digest"] for promotion in entry["promotions"]} == {subject.digest}
    assert "\x1b" not in user.command("log", f"{registry.host}/web:prod").out
    assert user.command("pull", f"{registry.host}/web:prod").code == 0
    assert len(done_well(user, "log", "web:prod")[0]["promotions"]) == 10


def test_a_circle_of_replaced_images_ends(user: Project, server):
    registry = server()
    registry.image(FILES, tag="prod")
    subject = digest(registry.manifests["prod"][1])
    target = f"{registry.host}/web:prod"
    promotion = Promotion("web:qa", target, subject, subject, "u", "h", "2026-01-01T00:00:00Z")
    content = dump(promotion)
    blob = descriptor_of(KIND, content)
    about = Descriptor(MANIFEST, subject, len(registry.manifests["prod"][1]))
    manifest = artifact_manifest(Artifact(KIND, (blob,), (), about))
    registry.blobs[digest(content)] = content
    registry.put(digest(manifest), MANIFEST, manifest)
    entry = {**descriptor_of(MANIFEST, manifest).plain(), "artifactType": KIND}
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}).encode()
    registry.rule("GET", "/referrers/", lambda handler, request: handler.say(200, index, Content_Type=INDEX))
    assert len(done_well(user, "log", target)) == 1


def test_a_record_is_read_as_it_was_written():
    promotion = Promotion("a", "b/c:d", D, "", "u", "h", "2026-01-01T00:00:00Z", ("test x",))
    assert read_promotion(dump(promotion), D) == promotion
    assert read_promotion(dump(promotion), D.replace("1", "2")) is None


def test_a_policy_is_asked_before_anything_moves(shop: Project, registry):
    server = registry()
    folder = Path(shop.environment["HOME"]) / ".config/envbuild"
    folder.mkdir(parents=True)
    host = server.host
    (folder / "policy.toml").write_text(f'[[rule]]\nnames = ["web:prod", "{host}/web:prod"]\nrefuse = true\n')
    done_well(shop, "push", "web:qa", f"{host}/web:qa")
    for source, target in (
        ("web:qa", "web:prod"),
        ("web:qa", f"{host}/web:prod"),
        (f"{host}/web:qa", f"{host}/web:prod"),
    ):
        refused = shop.command("promote", source, target)
        assert refused.code == 1
        assert "may not be promoted: the policy refuses it" in refused.err
    assert shop.command("remote", "ls", f"{host}/web").out == "qa\n"
    assert shop.command("log", "web:prod").code == 2
    assert done_well(shop, "promote", "web:qa", "web:live")["checks"] == ["test true"]

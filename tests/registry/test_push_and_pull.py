"""Images that go to Debian's registry and come back."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Project

pytestmark = pytest.mark.namespaces


def done_well(project: Project, *words: str, **variables: str) -> dict[str, Any]:
    done = project.command(*words, "--format", "json", **variables)
    assert done.code == 0, done.err
    return json.loads(done.out)


@pytest.mark.user
def test_an_image_comes_back_with_its_digest_and_its_steps(built: Project, elsewhere: Project, registry):
    host = registry().host
    pushed = done_well(built, "push", "web", f"{host}/shop/web:1")
    assert (pushed["reference"], pushed["there"], pushed["mounted"]) == (f"{host}/shop/web:1", 0, 0)
    pulled = done_well(elsewhere, "pull", f"{host}/shop/web:1")
    assert (pulled["name"], pulled["manifest"]) == ("web:1", pushed["manifest"])
    before, after = built.show(), elsewhere.show("web:1")
    assert pulled["image"] == pushed["image"] == after["digest"] == before["digest"]
    steps = [[(step["text"], step["tree"]) for step in shown["steps"]] for shown in (before, after)]
    assert steps[0] == steps[1]
    ran = elsewhere.command("run", "web:1")
    assert ran.out == "one\n", ran.err
    assert f"pull of {host}/shop/web:1" in elsewhere.command("log", "web:1").out


def test_what_is_there_travels_in_neither_direction(built: Project, elsewhere: Project, registry):
    server = registry()
    first = done_well(built, "push", "web", f"{server.host}/web:1")
    assert done_well(built, "push", "web", f"{server.host}/web:1")["sent"] == 0
    done_well(elsewhere, "pull", f"{server.host}/web:1")
    blobs = [path for path in server.requests("GET") if "/blobs/" in path]
    again = done_well(elsewhere, "pull", f"{server.host}/web:1", "copy")
    assert (again["name"], again["fetched"]) == ("copy:latest", 0)
    assert [path for path in server.requests("GET") if "/blobs/" in path] == blobs
    built.write("app/main", "two")
    assert built.build().code == 0
    second = done_well(built, "push", "web", f"{server.host}/web:2")
    assert second["sent"] < first["sent"] / 10
    assert done_well(elsewhere, "pull", f"{server.host}/web:2")["fetched"] < first["sent"] / 10
    assert elsewhere.command("run", "web:2").out == "two\n"


def test_a_second_machine_that_built_the_same_pulls_nothing(built: Project, registry):
    host = registry().host
    done_well(built, "push", "web", f"{host}/web:1")
    assert done_well(built, "pull", f"{host}/web:1", "again")["fetched"] == 0


def test_blobs_are_taken_over_from_another_repository(built: Project, registry):
    server = registry()
    sent = done_well(built, "push", "web", f"{server.host}/shop/web:1")["sent"]
    other = done_well(built, "push", "web", f"{server.host}/store/copy:1")
    assert (other["sent"], other["mounted"]) == (0, sent)
    assert any("from=shop%2Fweb" in path for path in server.requests("POST"))


def test_a_large_layer_goes_in_pieces(built: Project, elsewhere: Project, registry):
    server = registry()
    assert built.build(*("run head -c 34000000 /dev/urandom > /large",), name="large.env").code == 0
    done_well(built, "push", "large", f"{server.host}/large", "--compression", "none")
    assert len(server.requests("PATCH")) > 2
    done_well(elsewhere, "pull", f"{server.host}/large")
    assert elsewhere.show("large")["digest"] == built.show("large")["digest"]


def test_a_digest_names_the_same_image_for_ever(built: Project, elsewhere: Project, registry):
    host = registry().host
    first = done_well(built, "push", "web", f"{host}/web:1")
    built.write("app/main", "two")
    assert built.build().code == 0
    done_well(built, "push", "web", f"{host}/web:1")
    done_well(elsewhere, "pull", f"{host}/web:1@{first['manifest']}", "old")
    assert elsewhere.command("run", "old").out == "one\n"


def test_skopeo_takes_what_was_pushed_and_gives_what_is_pulled(built: Project, elsewhere: Project, registry, tmp_path):
    if shutil.which("skopeo") is None:
        pytest.skip("skopeo is not installed")
    host = registry().host
    done_well(built, "push", "web", f"{host}/web:1", "--compression", "gzip")
    layout = f"oci:{tmp_path}/layout:web"
    copied = ("--insecure-policy", "copy", "--src-tls-verify=false", "--dest-tls-verify=false")
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    for source, target in ((f"docker://{host}/web:1", layout), (layout, f"docker://{host}/other:1")):
        subprocess.run(["skopeo", *copied, source, target], check=True, capture_output=True, env=environment)
    done_well(elsewhere, "pull", f"{host}/other:1")
    assert elsewhere.command("run", "other:1").out == "one\n"


def test_what_is_not_there_is_said(built: Project, registry):
    host = registry().host
    done = built.command("pull", f"{host}/shop/nothing:1")
    assert (done.code, done.err) == (
        2,
        f"error: there is no {host}/shop/nothing:1\nhint: see what there is: envbuild remote ls {host}/shop/nothing\n",
    )


@pytest.mark.parametrize("reference", ["web", "shop/web:1", "Upper/web", "docker://h.example/web", "h.example/Web"])
def test_a_name_without_a_host_names_no_registry(built: Project, reference: str):
    done = built.command("pull", reference)
    assert done.code == 2
    assert "does not name an image of a registry" in done.err
    assert "HOST/shop/web:1.2" in done.err


def test_what_a_registry_has_is_listed_and_compared(built: Project, registry):
    host = registry().host
    done_well(built, "push", "web", f"{host}/shop/web:1")
    built.write("app/main", "two")
    assert built.build("env A=2", *("run mkdir -p /opt && echo 1 > /opt/x", "copy app/ -> /srv/app/")).code == 0
    done_well(built, "push", "web", f"{host}/shop/web:2")
    assert built.command("remote", "ls", f"{host}/shop/web").out == "1\n2\n"
    assert built.command("remote", "ls", host).out == "shop/web\n"
    difference = json.loads(
        built.command("remote", "diff", f"{host}/shop/web:1", f"{host}/shop/web:2", "--format", "json").out
    )
    assert {"name": "Env A", "old": "1", "new": "2"} in difference["facts"]
    assert [layer["title"] for layer in difference["added"]] == ["copy app/ -> /srv/app/"]
    assert difference["same"] >= 1
    shown = built.command("remote", "diff", f"{host}/shop/web:1", f"{host}/shop/web:2").out
    assert "~ Env A: 1 -> 2" in shown
    assert "+ layer" in shown


def test_a_kept_layer_that_somebody_changed_is_fetched_again(built: Project, elsewhere: Project, registry):
    host = registry().host
    done_well(built, "push", "web", f"{host}/web:1")
    done_well(elsewhere, "pull", f"{host}/web:1")
    elsewhere.command("untag", "web:1")
    for blob in (elsewhere.store / "blobs").iterdir():
        blob.chmod(0o600)
        blob.write_bytes(bytes(blob.stat().st_size))
    built.write("app/main", "two")
    assert built.build().code == 0
    done_well(built, "push", "web", f"{host}/web:2")
    assert done_well(elsewhere, "pull", f"{host}/web:2")["fetched"] > 0
    assert elsewhere.command("run", "web:2").out == "two\n"


def test_a_download_goes_on_where_it_broke(built: Project, elsewhere: Project, registry, tmp_path: Path):
    server = registry()
    done_well(built, "push", "web", f"{server.host}/web:1", "--compression", "gzip")
    largest = max(
        (server.data / "docker/registry/v2/blobs/sha256").glob("*/*/data"), key=lambda path: path.stat().st_size
    )
    blobs = elsewhere.store / "blobs"
    blobs.mkdir(parents=True, mode=0o700)
    part = blobs / f"{largest.parent.name}.part"
    part.write_bytes(largest.read_bytes()[:1000])
    elsewhere.store.chmod(0o700)
    fetched = done_well(elsewhere, "pull", f"{server.host}/web:1")["fetched"]
    assert "206" in server.log.read_text()
    assert fetched == sum(path.stat().st_size for path in blobs.iterdir()) - 1000
    assert elsewhere.command("run", "web:1").out == "one\n"

"""Shared caches that are down, slow or somebody's who means harm: the build comes to the same image without them."""

from __future__ import annotations

import base64
import io
import json
import re
import socket
import struct
import tarfile
import time
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest
from zstandard import ZstdCompressor

from envbuild.oci.descriptor import Descriptor
from envbuild.sharing.mount_archive import LAYER, manifest_of_mount
from envbuild.sharing.shared_step import RECORDS
from envbuild.tree.entry import Entry, encode
from tests.conftest import Project
from tests.registry.hostile import MANIFEST, Handler, Registry, Request
from tests.registry.test_shared_cache import finished, ran, warnings

pytestmark = pytest.mark.namespaces

STEPS = ("run echo 1 > /x && echo said", "run cat /x > /y")


FILLED: dict[str, Any] = {}
"""What a registry has after a build, what that came to, and the lock of it: the same for all tests."""


@pytest.fixture
def filled(server: Callable[..., Registry], machine: Callable[[], Project]) -> tuple[Registry, dict[str, Any]]:
    """A registry with the results of a build, and what that came to."""
    registry, here = server(), machine()
    lock = here.write("web.env", "from tar:busybox.tar", *STEPS).with_name("web.env.lock")
    if not FILLED:
        done = here.build(options=("--cache-to", place_of(registry)))
        assert not warnings(done)
        FILLED.update(blobs=registry.blobs, manifests=registry.manifests, came_to=finished(done), lock=lock.read_text())
    registry.blobs, registry.manifests = dict(FILLED["blobs"]), dict(FILLED["manifests"])
    lock.write_text(FILLED["lock"])
    return registry, FILLED["came_to"]


def place_of(registry: Registry) -> str:
    return f"{registry.host}/team/cache"


def does_without(
    machine: Callable[[], Project], registry: Registry, image: str, *said: str, patience: str = "60"
) -> None:
    """Builds with a cache that is of no use, and looks at what is said of it."""
    there = machine()
    there.write(".config/envbuild/cache.toml", f"patience = {patience}")
    done = there.build(options=("--cache-from", place_of(registry)))
    assert finished(done)["image"] == image
    assert len(ran(done)) == 3, ran(done)
    text = " ".join(warnings(done))
    assert all(part in text for part in said), text
    assert len(warnings(done)) <= 2
    assert there.command("fsck").code == 0


def changed(registry: Registry, change: Callable[[dict[str, Any]], None]) -> None:
    """Changes each record that lies in a registry."""
    for tag, (_, content) in list(registry.manifests.items()):
        if tag.startswith("sha256:"):
            continue
        manifest = json.loads(content)
        records = json.loads(manifest["annotations"][RECORDS])
        for record in records["steps"]:
            change(record)
        manifest["annotations"][RECORDS] = json.dumps(records)
        registry.put(tag, MANIFEST, json.dumps(manifest).encode())


def test_a_registry_that_is_not_there(machine, filled):
    _, built = filled
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = f"localhost:{free.getsockname()[1]}/team/cache"
        done = machine().build(options=("--cache-from", closed, "--cache-to", closed))
    assert finished(done)["image"] == built["image"]
    assert len(warnings(done)) == 2, warnings(done)
    assert "is not used" in warnings(done)[0]
    assert "not put into" in warnings(done)[1]


def test_a_registry_that_never_answers(machine, filled):
    _, built = filled
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(8)
        place = f"localhost:{silent.getsockname()[1]}/team/cache"
        there = machine()
        there.write(".config/envbuild/cache.toml", f"from = ['{place}']", f"to = '{place}'", "patience = 0.2")
        done = there.build()
    assert finished(done)["image"] == built["image"]
    assert "too slow" in warnings(done)[0]
    assert len(warnings(done)) == 2


def test_a_registry_that_sends_a_header_now_and_then(machine, filled):
    registry, built = filled

    def drip(handler: Handler, request: Request) -> None:
        try:
            for number in range(600):
                handler.wfile.write(b"HTTP/1.1 200 OK\r\n" if not number else b"X-%d: 1\r\n" % number)
                time.sleep(0.2)
        except OSError:
            handler.close_connection = True

    registry.rule("GET", "/manifests/", drip)
    does_without(machine, registry, built["image"], "too slow", patience="0.5")


def test_a_blob_that_never_ends(machine, filled):
    registry, built = filled

    def endless(handler: Handler, request: Request) -> None:
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        while True:
            handler.wfile.write(b"0" * 65536)

    registry.rule("GET", "/blobs/", endless)
    does_without(machine, registry, built["image"], "more than its")


def test_a_blob_of_other_bytes(machine, filled):
    registry, built = filled
    registry.blobs = {digest: bytes(len(content)) for digest, content in registry.blobs.items()}
    does_without(machine, registry, built["image"], "not what its digest says")


def test_a_manifest_that_is_too_large(machine, filled):
    registry, built = filled
    registry.rule("GET", "/manifests/", lambda handler, request: handler.say(200, b" " * (5 << 20)))
    does_without(machine, registry, built["image"], "more than")


def test_a_registry_that_lets_nobody_in(machine, filled):
    registry, built = filled
    registry.rule("GET", "/manifests/", lambda handler, request: handler.say(403, b""))
    does_without(machine, registry, built["image"], "unauthorized")


def test_a_record_that_lies_under_the_tag_of_another(machine, filled):
    registry, built = filled
    steps = [tag for tag in registry.manifests if tag.startswith("step-")]
    first, second = (registry.manifests[tag] for tag in steps)
    registry.manifests |= {steps[0]: second, steps[1]: first}
    for tag in [tag for tag in registry.manifests if tag.startswith("chain-")]:
        del registry.manifests[tag]
    there = machine()
    done = there.build(options=("--cache-from", place_of(registry)))
    assert finished(done)["image"] == built["image"]
    assert ran(done) == list(STEPS)
    assert "the result of another step" in warnings(done)[0]


def test_a_result_that_is_another_tree_than_its_record_says(machine, filled):
    registry, built = filled

    def lie(record: dict[str, Any]) -> None:
        record["tree"] = sha256(record["tree"].encode()).hexdigest()

    changed(registry, lambda record: lie(record) if record["parent"] else None)
    there = machine()
    done = there.build(options=("--cache-from", place_of(registry)))
    assert finished(done)["image"] == built["image"]
    assert "another tree than the lock does" in warnings(done)[0]
    (there.folder / "web.env.lock").unlink()
    done = machine().build(options=("--cache-from", place_of(registry)))
    assert finished(done)["image"] == built["image"]
    assert "is in none of them" in warnings(done)[0]


@pytest.mark.user
def test_a_tree_that_no_step_can_have_left(machine, filled):
    """Whoever may write there can give a key a tree of their choice, but none that would be something else on a disk
    (tests/sharing/test_tree_pack.py has all forms)."""
    registry, built = filled
    body = encode([Entry(b".", "d", 0o755, 0, 0, 0), Entry(b"..", "l", 0o777, 0, 0, 0, target=b"x")])
    data = b"envbuild tree pack 1\n" + struct.pack(">III", 1, 0, len(body)) + body
    index = base64.b64encode(ZstdCompressor().compress(data)).decode()

    def lie(record: dict[str, Any]) -> None:
        if record["parent"]:
            record.update(tree=sha256(body).hexdigest(), index=index, contents="")

    changed(registry, lie)
    there = machine()
    (there.folder / "web.env.lock").unlink()
    done = there.build(options=("--cache-from", place_of(registry)))
    assert finished(done)["image"] == built["image"]
    assert "damaged" in warnings(done)[0]
    assert there.command("fsck").code == 0


def test_who_is_logged_in_shows_it_to_the_registry_alone(machine, server):
    registry = server()
    registry.needs_login("me", "secret")
    other = server()
    first = machine()
    login = first.command("login", registry.host, "-u", "me", "--password-stdin", stdin=b"secret")
    assert login.code == 0, login.err
    done = first.build(*STEPS, options=("--cache-from", place_of(other), "--cache-to", place_of(registry)))
    assert not warnings(done)
    assert len(registry.shown()) == 1
    assert other.shown() == []
    assert not re.search("secret|bWU6c2VjcmV0", done.out + done.err)
    assert ran(machine().build(options=("--cache-from", place_of(registry)))) == []


def test_a_step_that_fails_behind_shared_ones(machine, filled):
    registry, _ = filled
    there = machine()
    done = there.build(
        *STEPS, "run false", options=("--cache-from", place_of(registry), "--cache-to", place_of(registry))
    )
    assert done.code == 1
    assert [event["text"] for event in done.events if event["event"] == "step-started"] == ["run false"]
    # What it was fetched for is here by now.
    assert ran(there.build(*STEPS)) == []


@pytest.mark.user
def test_a_cache_that_leads_out_of_its_directory(machine, server, tmp_path):
    registry = server()
    step = "run(cache=/c) ls -A /c > /seen && echo 1 > /c/x"
    options = ("--cache-to", place_of(registry), "--cache-mounts")
    assert not warnings(machine().build(step, options=options))
    (tag,) = [tag for tag in registry.manifests if tag.startswith("mount-")]
    outside = tmp_path / "outside"
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        link, file = tarfile.TarInfo("link"), tarfile.TarInfo("link/evil")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
        archive.addfile(link)
        archive.addfile(file, io.BytesIO(b""))
        archive.addfile(tarfile.TarInfo(f"../../../{outside}"), io.BytesIO(b""))
    content = ZstdCompressor().compress(packed.getvalue())
    blob = Descriptor(LAYER, f"sha256:{sha256(content).hexdigest()}", len(content))
    registry.blobs[blob.digest] = content
    registry.put(tag, MANIFEST, manifest_of_mount(tag, blob))
    there = machine()
    done = there.build(f"{step} && true", options=("--cache-from", place_of(registry), "--cache-mounts"))
    assert finished(done)["ran"] == 1
    assert "a cache of the shared cache" in warnings(done)[0]
    assert there.cat("/seen") == ""
    assert not outside.exists()
    assert not (tmp_path / "evil").exists()
    # A record of another cache says nothing of this one, and none has more than it says.
    for manifest in (manifest_of_mount("mount-" + "0" * 64, blob), manifest_of_mount(tag, blob.replace(size=5))):
        registry.put(tag, MANIFEST, manifest)
        there = machine()
        done = there.build(f"{step} && true", options=("--cache-from", place_of(registry), "--cache-mounts"))
        assert warnings(done)
        assert there.cat("/seen") == ""

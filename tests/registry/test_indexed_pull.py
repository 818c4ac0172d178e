"""Pulls by the indexes of layers: only what is missing travels, and an index that lies changes nothing."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from envbuild.oci.layer_index import ANNOTATION, Directory, IndexPlace, LayerIndex, packed, parse_place, read_index
from envbuild.tree.entry import CHARACTER_DEVICE, DIRECTORY, FILE, Entry, decode, digest_of, encode
from tests.conftest import Project
from tests.registry.hostile import MANIFEST, Handler, Registry, Request
from tests.registry.test_push_and_pull import done_well

pytestmark = pytest.mark.namespaces

FILES, LARGE = 60, 400_000


def noise(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


PUSHED: dict[str, Any] = {}
"""What a registry has after the first push, which is the same for all tests."""


@pytest.fixture
def shop(user: Project, server: Callable[..., Registry], tmp_path: Path) -> Shop:
    shop = Shop(user, server(), tmp_path)
    if not PUSHED:
        shop.push("1")
        PUSHED.update(blobs=shop.registry.blobs, manifests=shop.registry.manifests, image=shop.image)
    shop.registry.blobs, shop.registry.manifests = dict(PUSHED["blobs"]), dict(PUSHED["manifests"])
    shop.image = PUSHED["image"]
    return shop


class Shop:
    """An image with a layer of many files, pushed from one machine and pulled to another."""

    def __init__(self, project: Project, registry: Registry, folder: Path) -> None:
        self.here, self.registry = project, registry
        self.there = Project(project.folder, folder / "other-store")
        self.there.environment = {**project.environment, "ENVBUILD_STORE": str(folder / "other-store")}
        self.image = ""
        for number in range(FILES):
            self.write(f"app/{number % 5}/f{number}", noise(number, 20_000))
        self.write("app/large", noise(1000, LARGE))
        self.write("app/empty", b"")

    def write(self, name: str, content: bytes) -> None:
        path = self.here.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def push(self, tag: str, *words: str, lines: tuple[str, ...] = ("copy app/ -> /app/",)) -> dict[str, Any]:
        done = self.here.build(*lines)
        assert done.code == 0, done.err
        self.image = self.here.show()["digest"]
        return done_well(self.here, "push", "web", f"{self.registry.host}/web:{tag}", *words)

    def pull(self, tag: str) -> dict[str, Any]:
        """Pulls, and sees that the image is the one that was pushed last, with all its files."""
        before = self.registry.sent
        done = self.there.command("pull", f"{self.registry.host}/web:{tag}", "--format", "json")
        assert done.code == 0, done.err
        pulled = json.loads(done.out)
        pulled["said"] = done.err
        pulled["sent"] = self.registry.sent - before
        assert pulled["image"] == self.image
        assert self.there.command("fsck").code == 0
        return pulled

    def manifest(self, tag: str) -> dict[str, Any]:
        return json.loads(self.registry.manifests[tag][1])

    def ranges(self) -> list[str]:
        return [asked for request in self.registry.requests if (asked := request.headers.get("Range", ""))]


def test_a_next_version_costs_what_differs(shop: Shop):
    first = shop.pull("1")
    assert first["sent"] > LARGE
    shop.write("app/3/f33", noise(2000, 20_000))
    sent = shop.push("2")["sent"]
    second = shop.pull("2")
    # A frame has small files of 128 KiB together.
    assert 20_000 < second["fetched"] < 160_000 < sent
    assert second["sent"] < second["fetched"] + 20_000  # manifest and configuration
    kept = shop.there.store / "blobs"
    assert all(path.stat().st_size < 20_000 for path in kept.iterdir())


def test_a_large_file_is_fetched_alone(shop: Shop):
    shop.pull("1")
    shop.write("app/large", noise(2001, LARGE))
    shop.push("2")
    assert LARGE < shop.pull("2")["fetched"] < LARGE + 20_000


def test_what_differs_in_names_and_attributes_alone_fetches_no_content(shop: Shop):
    shop.pull("1")
    (shop.here.folder / "app/3").rename(shop.here.folder / "app/moved")
    shop.push("2")
    assert shop.pull("2")["fetched"] < 20_000


def test_much_that_is_missing_comes_in_one_request(shop: Shop):
    shop.pull("1")
    before = len(shop.ranges())
    for number in range(0, FILES, 2):
        shop.write(f"app/{number % 5}/f{number}", noise(3000 + number, 20_000))
    shop.push("2")
    shop.pull("2")
    assert len(shop.ranges()) - before == 2  # the index, and the frames


@pytest.mark.user
def test_layers_that_hide_what_is_below_come_back(shop: Shop):
    lines = ("run rm -r /bin/ls /bin/cat; mkdir /d", "run rmdir /d; echo 1 > /d", "run echo 2 > /e")
    shop.push("steps", "--layers", "steps", lines=lines)
    assert len(shop.manifest("steps")["layers"]) == 4
    shop.pull("steps")


def test_a_pull_that_broke_off_goes_on(shop: Shop):
    def cut(handler: Handler, request: Request) -> None:
        blob = shop.registry.blobs[request.path.rpartition("/")[2]]
        if not request.headers.get("Range"):
            handler.say(200, blob)
            return
        start, end = (int(number) for number in request.headers["Range"].removeprefix("bytes=").split("-"))
        handler.send_response(206)
        handler.send_header("Content-Length", str(end + 1 - start))
        handler.send_header("Content-Range", f"bytes {start}-{end}/{len(blob)}")
        handler.end_headers()
        if end - start < 20_000:
            handler.wfile.write(blob[start : end + 1])
            return
        handler.wfile.write(blob[start : start + (end - start) // 2])
        handler.close_connection = True

    shop.registry.rule("GET", "/blobs/", cut, times=6)
    layers = shop.manifest("1")["layers"]
    assert shop.pull("1")["fetched"] <= sum(layer["size"] for layer in layers)
    assert len(shop.ranges()) > 4  # two indexes, and each of two layers from where it broke on


def refuses(status: int, **headers: str) -> Callable[[Handler, Request], object]:
    def answer(handler: Handler, request: Request) -> object:
        blob = handler.server.owner.blobs[request.path.rpartition("/")[2]]
        if not request.headers.get("Range"):
            return handler.say(200, blob)
        return handler.say(status, blob if status == 200 else blob[: len(blob) // 2], **headers)

    return answer


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(refuses(200), id="ignores ranges"),
        pytest.param(refuses(416), id="refuses ranges"),
        pytest.param(refuses(206, Content_Range="bytes 0-99/100"), id="another part"),
        pytest.param(refuses(206), id="says not which part"),
    ],
)
def test_a_registry_without_ranges_gives_layers_whole(shop: Shop, answer: Callable[[Handler, Request], object]):
    shop.registry.rule("GET", "/blobs/", answer)
    pulled = shop.pull("1")
    assert "its layers were fetched whole: the registry gives no parts of layers" in pulled["said"]
    assert pulled["fetched"] >= sum(layer["size"] for layer in shop.manifest("1")["layers"])


def test_parts_with_other_bytes_are_noticed(shop: Shop):
    def flip(handler: Handler, request: Request) -> object:
        blob = handler.server.owner.blobs[request.path.rpartition("/")[2]]
        start, _, end = request.headers.get("Range", "").removeprefix("bytes=").partition("-")
        if not end:
            return handler.say(200, blob)
        part = bytearray(blob[int(start) : int(end) + 1])
        if len(part) > 20_000:
            part[len(part) // 2] ^= 1
        return handler.say(206, bytes(part), Content_Range=f"bytes {start}-{end}/{len(blob)}")

    shop.registry.rule("GET", "/blobs/", flip)
    shop.pull("1")


Change = Callable[[LayerIndex], LayerIndex]


def changed_top(change: Callable[[list[Entry]], list[Entry]]) -> Change:
    """Another root of the layer."""

    def apply(index: LayerIndex) -> LayerIndex:
        top = index.directories[index.root]
        body = b"".join(encode([entry]) for entry in change(list(decode(top.body))))
        directories = {digest: it for digest, it in index.directories.items() if digest != index.root}
        places = [0 for entry in decode(body) if entry.kind == FILE and entry.size] if b"/" not in body else []
        return index.replace(directories={**directories, digest_of(body): Directory(body, places)})

    return apply


def added(entry: Entry) -> Change:
    return changed_top(lambda entries: [*entries, entry])


def moved_contents(index: LayerIndex) -> LayerIndex:
    return index.replace(
        directories={
            digest: Directory(it.body, [at + 1 for at in it.places]) for digest, it in index.directories.items()
        }
    )


def all_at_one_place(index: LayerIndex) -> LayerIndex:
    return index.replace(
        directories={digest: Directory(it.body, [600] * len(it.places)) for digest, it in index.directories.items()}
    )


def without_a_directory(index: LayerIndex) -> LayerIndex:
    first = next(iter(index.directories))
    return index.replace(directories={digest: it for digest, it in index.directories.items() if digest != first})


def bomb(index: LayerIndex) -> LayerIndex:
    """Few directories that are many: each holds the one before twice."""
    directories = dict(index.directories)
    child = index.root
    for _ in range(60):
        body = encode([Entry(name, DIRECTORY, 0o755, 0, 0, 0, 0, child) for name in (b"a", b"b")])
        child = digest_of(body)
        directories[child] = Directory(body, [])
    return index.replace(directories=directories)


CONTENT = "0" * 64


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(moved_contents, id="contents elsewhere"),
        pytest.param(all_at_one_place, id="contents at one place"),
        pytest.param(without_a_directory, id="a directory is missing"),
        pytest.param(bomb, id="a bomb of directories"),
        pytest.param(lambda index: index.replace(frames=((1, 1 << 31),)), id="other frames"),
        pytest.param(lambda index: index.replace(frames=()), id="no frames"),
        pytest.param(lambda index: index.replace(gone=(b"../../etc/passwd",)), id="hides what is outside"),
        pytest.param(lambda index: index.replace(gone=(b"app",)), id="hides what is not below"),
        pytest.param(added(Entry(b"x", FILE, 0o644, 0, 0, 0, 5, CONTENT)), id="a file more"),
        pytest.param(added(Entry(b"../x", FILE, 0o644, 0, 0, 0, 5, CONTENT)), id="a path that leads out"),
        pytest.param(added(Entry(b"null", CHARACTER_DEVICE, 0o666, 0, 0, 0, target=b"1:3")), id="a device"),
        pytest.param(added(Entry(b".wh.app", FILE, 0o644, 0, 0, 0)), id="a whiteout"),
        pytest.param(changed_top(lambda entries: [*entries, *entries]), id="each name twice"),
        pytest.param(changed_top(lambda entries: entries[::-1]), id="another order"),
    ],
)
def test_an_index_that_lies_changes_nothing(shop: Shop, change: Change, tmp_path: Path):
    serve(shop, change)
    shop.pull("1")
    assert not any("etc/passwd" in str(path) for path in tmp_path.rglob("*"))


@pytest.mark.parametrize("frame", [b"", b"x" * 100, (0x184D2A5C).to_bytes(4, "little") + b"\4\0\0\0abcd"])
def test_an_index_that_is_none_changes_nothing(shop: Shop, frame: bytes):
    serve(shop, lambda index: index, frame)
    shop.pull("1")


def test_a_layer_that_comes_whole_is_held_against_its_digest(shop: Shop):
    """Also where no frame that was needed is another one: here it is the table behind them."""
    manifest = shop.manifest("1")
    layer = max(manifest["layers"], key=lambda layer: layer["size"])
    blob = bytearray(shop.registry.blobs[layer["digest"]])
    blob[-10] ^= 1
    shop.registry.blobs[layer["digest"]] = bytes(blob)
    done = shop.there.command("pull", f"{shop.registry.host}/web:1")
    assert done.code != 0
    assert layer["digest"][7:19] in done.err
    assert json.loads(shop.there.command("images", "--format", "json").out) == []


def test_a_claim_of_other_files_than_the_layers_hold_is_no_image_of_ours(shop: Shop):
    """The tree of the index is the one that the configuration names, and the layer holds another file: what comes is
    either this tree or none."""
    manifest = shop.manifest("1")
    layer = manifest["layers"][-1]
    blob = bytearray(shop.registry.blobs[layer["digest"]])
    place = parse_place(layer["annotations"][ANNOTATION], layer["size"])
    assert place is not None
    blob[place.offset // 2] ^= 1  # in some frame's content
    del shop.registry.blobs[layer["digest"]]
    layer["digest"] = f"sha256:{sha256(blob).hexdigest()}"
    shop.registry.blobs[layer["digest"]] = bytes(blob)
    shop.registry.put("1", MANIFEST, json.dumps(manifest).encode())
    done = shop.there.command("pull", f"{shop.registry.host}/web:1")
    assert done.code == 2
    assert json.loads(shop.there.command("images", "--format", "json").out) == []


def test_an_annotation_that_leads_elsewhere_is_not_followed(shop: Shop):
    manifest = shop.manifest("1")
    for text in ("1 0 99 sha256:x", f"1 99999999 10 sha256:{CONTENT}", f"2 0 9 sha256:{CONTENT}", "", "1"):
        manifest["layers"][-1]["annotations"] = {ANNOTATION: text}
        shop.registry.put("1", MANIFEST, json.dumps(manifest).encode())
        shutil.rmtree(shop.there.store, ignore_errors=True)
        shop.pull("1")


def serve(shop: Shop, change: Change, frame: bytes | None = None) -> None:
    """Has parts of the layer come with another index, and the whole of it as it was."""
    manifest = shop.manifest("1")
    layer = manifest["layers"][-1]
    blob = shop.registry.blobs[layer["digest"]]
    place = parse_place(layer["annotations"][ANNOTATION], len(blob))
    assert place is not None
    index = read_index(blob[place.offset :][: place.length], place)
    other = frame if frame is not None else packed(change(index))
    assert other is not None
    where = IndexPlace(place.offset, len(other), f"sha256:{sha256(other).hexdigest()}")
    layer["annotations"] = {ANNOTATION: where.text}
    shop.registry.put("1", MANIFEST, json.dumps(manifest).encode())
    parts = blob[: place.offset] + other + bytes(len(blob))

    def answer(handler: Handler, request: Request) -> object:
        start, _, end = request.headers.get("Range", "").removeprefix("bytes=").partition("-")
        if not end:
            return handler.say(200, blob)
        part = parts[int(start) : int(end) + 1]
        return handler.say(206, part, Content_Range=f"bytes {start}-{end}/{len(blob)}")

    shop.registry.rule("GET", f"/blobs/{layer['digest']}", answer)

"""Images of other tools for tests, put together byte by byte, so that each part of them can be wrong."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

Member = tuple[str, Any]
"""A path, and a file's bytes, None for a directory, or a TarInfo."""


def layer(*members: Member, form: int = tarfile.PAX_FORMAT) -> bytes:
    """A layer's archive."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=form) as archive:
        for path, what in members:
            info = what if isinstance(what, tarfile.TarInfo) else tarfile.TarInfo(path)
            if what is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            if isinstance(what, bytes):
                info.size = len(what)
            archive.addfile(info, io.BytesIO(what) if isinstance(what, bytes) else None)
    return content.getvalue()


def special(path: str, kind: bytes, target: str = "", **attributes: Any) -> Member:
    """A link, a device or a pipe."""
    info = tarfile.TarInfo(path)
    info.type, info.linkname = kind, target
    for name, value in attributes.items():
        setattr(info, name, value)
    return path, info


def digest(content: bytes) -> str:
    return f"sha256:{sha256(content).hexdigest()}"


def config(layers: Sequence[bytes], **settings: Any) -> bytes:
    return json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "created": "2024-05-06T07:08:09.123456789Z",
            "config": settings,
            "rootfs": {"type": "layers", "diff_ids": [digest(content) for content in layers]},
        }
    ).encode()


def descriptor(content: bytes, kind: str) -> dict[str, Any]:
    return {"mediaType": kind, "digest": digest(content), "size": len(content)}


class Layout:
    """An OCI image layout that can be written with any part changed."""

    def __init__(self, *layers: bytes, **settings: Any) -> None:
        self.blobs: dict[str, bytes] = {}
        self.config = config(layers, **settings)
        self.layers = [gzip.compress(content, mtime=0) for content in layers]
        self.manifest: dict[str, Any] = {
            "schemaVersion": 2,
            "config": descriptor(self.config, "application/vnd.oci.image.config.v1+json"),
            "layers": [descriptor(blob, "application/vnd.oci.image.layer.v1.tar+gzip") for blob in self.layers],
        }
        self.index: dict[str, Any] = {"schemaVersion": 2, "manifests": []}
        self.annotations = {"org.opencontainers.image.ref.name": "web:1"}

    def write(self, folder: Path, changed: Mapping[str, bytes] | None = None) -> Path:
        """Write it as a folder; `changed` are blobs by digest that get other bytes."""
        manifest = json.dumps(self.manifest).encode()
        kind = "application/vnd.oci.image.manifest.v1+json"
        if not self.index["manifests"]:
            self.index["manifests"] = [{**descriptor(manifest, kind), "annotations": self.annotations}]
        blobs = {digest(blob): blob for blob in (self.config, manifest, *self.layers)}
        (folder / "blobs/sha256").mkdir(parents=True)
        for name, content in {**blobs, **self.blobs, **(changed or {})}.items():
            (folder / "blobs/sha256" / name.removeprefix("sha256:")).write_bytes(content)
        (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        (folder / "index.json").write_text(json.dumps(self.index))
        return folder


def docker_archive(path: Path, *layers: bytes, name: str = "web:1", **settings: Any) -> Path:
    """What `docker save` wrote before version 25: a folder for each layer, a second name for one that is there."""
    content = config(layers, **settings)
    places = [f"{number:064x}/layer.tar" for number in range(len(layers))]
    manifest = [{"Config": f"{digest(content)[7:]}.json", "RepoTags": [name], "Layers": places}]
    with tarfile.open(path, "w") as archive:

        def add(place: str, body: bytes) -> None:
            info = tarfile.TarInfo(place)
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))

        for number, (place, body) in enumerate(zip(places, layers, strict=True)):
            same = layers.index(body)
            if same < number:
                archive.addfile(special(place, tarfile.SYMTYPE, f"../{places[same]}")[1])
            else:
                add(place, body)
        add(f"{digest(content)[7:]}.json", content)
        add("manifest.json", json.dumps(manifest).encode())
    return path

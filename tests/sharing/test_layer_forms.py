"""The forms in which other tools write layers, made by their descriptions: these tools can't be had here."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest
import zstandard

from tests.conftest import Project
from tests.sharing.images import Layout, descriptor, layer, special
from tests.sharing.test_import import BASE, files, taken

pytestmark = pytest.mark.namespaces


def test_layers_in_frames_are_plain_layers(project: Project, tmp_path: Path):
    """As zstd:chunked has them: several frames, and one of a table that readers skip."""
    layout = Layout(BASE)
    compress = zstandard.ZstdCompressor().compress
    blob = compress(BASE[:1024]) + compress(BASE[1024:]) + b"\x50\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"table"
    layout.layers = [blob]
    layout.manifest["layers"] = [descriptor(blob, "application/vnd.oci.image.layer.v1.tar+zstd")]
    taken(project, layout.write(tmp_path / "layout"))
    assert "etc/a" in files(project)


@pytest.mark.user
def test_layers_of_estargz(project: Project, tmp_path: Path):
    """As stargz-snapshotter's docs/estargz.md has them: a member of gzip for each file, a landmark, a table of
    contents, and a footer in the extra field of an empty member. The landmark and the table are files of the layer."""
    members = [layer(*pair) for pair in ((("etc/", None), ("etc/a", b"a")), ((".prefetch.landmark", b"\x0f"),))]
    members += [layer(("etc/b", b"b" * 3000)), layer(("stargz.index.json", b'{"version": 1, "entries": []}'))]
    pieces = [member[: len(member.rstrip(b"\0")) + 511 >> 9 << 9] for member in members]
    content = b"".join(pieces) + bytes(1024)
    blob = b"".join(gzip.compress(piece, mtime=0) for piece in (*pieces, bytes(1024)))
    payload = b"%016xSTARGZ" % 0
    footer = b"\x1f\x8b\x08\x04" + bytes(4) + b"\0\xff" + (len(payload) + 4).to_bytes(2, "little")
    footer += b"SG" + len(payload).to_bytes(2, "little") + payload + b"\x01\0\0\xff\xff" + bytes(8)
    layout = Layout(content)
    layout.layers = [blob + footer]
    layout.manifest["layers"] = [descriptor(blob + footer, "application/vnd.oci.image.layer.v1.tar+gzip")]
    taken(project, layout.write(tmp_path / "layout"))
    assert set(files(project)) == {".prefetch.landmark", "etc", "etc/a", "etc/b", "stargz.index.json"}
    assert project.command("cat", "web:1", "/etc/b").out == "b" * 3000


def test_layers_of_kaniko(project: Project, tmp_path: Path):
    """Whiteouts stand behind what a layer adds, and parents of what changed are repeated."""
    changed = layer(("etc", None), ("etc/new", b"n"), ("opt", None), ("etc/.wh.a", b""), ("opt/.wh.x", b""))
    taken(project, Layout(BASE, changed).write(tmp_path / "layout"))
    assert set(files(project)) == {"etc", "etc/b", "etc/new", "opt", "usr", "usr/f"}


def test_layers_of_apko(project: Project, tmp_path: Path):
    """Files with a PAX record of their checksum, hard links for what busybox is called, folders that are not named."""

    def file(path: str, content: bytes) -> tarfile.TarInfo:
        info = tarfile.TarInfo(path)
        info.size, info.mode = len(content), 0o755
        info.pax_headers = {"APK-TOOLS.checksum.SHA1": "da39a3ee5e6b4b0d3255bfef95601890afd80709"}
        return info

    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(file("usr/bin/busybox", b"box"), io.BytesIO(b"box"))
        archive.addfile(special("bin/sh", tarfile.SYMTYPE, "/usr/bin/busybox")[1])
        archive.addfile(special("usr/bin/ls", tarfile.LNKTYPE, "usr/bin/busybox")[1])
        archive.addfile(file("lib/apk/db/installed", b"P:busybox\n"), io.BytesIO(b"P:busybox\n"))
    taken(project, Layout(content.getvalue()).write(tmp_path / "layout"))
    assert project.command("cat", "web:1", "/usr/bin/ls").out == "box"
    assert files(project)["lib/apk/db"] == "directory"

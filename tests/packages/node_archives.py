"""Archives of Node packages made by hand, also such as no honest npm makes, installed by both of our ways."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import stat
import subprocess
import tarfile
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path

from envbuild.lockfile.lock import Package
from envbuild.packages.node_modules import NodeProject, install
from envbuild.packages.npm_archive import Odd
from envbuild.record import Pairs
from envbuild.store.store import Store
from envbuild.tree.entry import DIRECTORY, FILE, LINK, Entry
from envbuild.tree.lookup import lookup, walk

EPOCH = 1_700_000_000
MANIFEST = {"package.json": "{}"}
EACH = Path(__file__).parent / "inside/each.js"
Listing = dict[str, tuple[object, ...]]
Given = list[tuple[str, tuple[str, str]]]


def member(name: str, content: str | bytes = "", *, kind: bytes = b"0", mode: int = 0o644, target: str = "") -> tuple:
    """Return a member of an archive."""
    data = content.encode() if isinstance(content, str) else content
    info = tarfile.TarInfo(name)
    info.type, info.size, info.mode, info.linkname = kind, len(data), mode, target
    return info, data


def packed(members: Iterable[tuple], form: int = tarfile.PAX_FORMAT) -> bytes:
    """Return an archive of members as bytes."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return gzip.compress(out.getvalue(), mtime=0)


def package(manifest: dict | str | None = None, **files: str) -> bytes:
    """Return the archive of a package with this package.json and these files."""
    text = manifest if isinstance(manifest, str) else json.dumps(manifest or {"name": "a", "version": "1.0.0"})
    members = [member("package/package.json", text)]
    return packed([*members, *(member(f"package/{name}", content) for name, content in files.items())])


class Ground:
    """A store, and a directory in which the script installs."""

    def __init__(self, folder: Path) -> None:
        self.store = Store.open(str(folder / "store"))
        self._folder = folder
        self._number = 0

    def keep(self, archives: dict[str, bytes]) -> Given:
        """Return the places of packages with the hashes and paths of their archives, which are written."""
        given = []
        for place, content in archives.items():
            digest = hashlib.sha512(content).hexdigest()
            path = self._folder / f"{digest[:40]}.tgz"
            path.write_bytes(content)
            given.append((place, (f"sha512:{digest}", str(path))))
        return given

    def join(
        self, given: Given, wanted: Pairs = (), files: dict[str, str] = MANIFEST, links: Pairs = ()
    ) -> Listing | None:
        """Return what is joined of packages, None if they are left to the sandbox."""
        packages = tuple((Package(place, "1.0.0", digest, "a/-/a.tgz"), path) for place, (digest, path) in given)
        written = tuple((name, text.encode()) for name, text in files.items())
        project = NodeProject("/srv/app", written, packages, links, wanted)
        try:
            tree, _ = install(self.store, project, self.store.trees.save([]), EPOCH)
        except Odd:
            return None
        top = lookup(self.store.trees, tree, b"srv/app")
        assert top is not None
        return {path.decode(): self._shown(entry) for path, entry in walk(self.store.trees, top.digest)}

    def run(self, given: Given) -> Listing | None:
        """Return what the script makes of packages, None if it fails."""
        return self.run_all([(given, (), MANIFEST, ())])[0]

    def run_all(self, projects: Sequence[tuple[Given, Pairs, dict[str, str], Pairs]]) -> list[Listing | None]:
        """Return what the script makes of packages as `join` takes them, None where it fails. One Node does it for all:
        its start takes longer than the script."""
        orders = [self._order(*project) for project in projects]
        words = ["node", str(EACH), str(resources.files("envbuild.packages.inside") / "npm_install.js"), *orders]
        done = subprocess.run(words, capture_output=True, text=True, umask=0, check=True)
        failed = done.stdout.splitlines()
        return [None if order in failed else _listed(Path(order).with_suffix("")) for order in orders]

    def _order(self, given: Given, wanted: Pairs, files: dict[str, str], links: Pairs) -> str:
        """Return the file that tells the script what to install, into a directory of the same name."""
        self._number += 1
        into = self._folder / f"app{self._number}"
        into.mkdir()
        packages = [{"path": place, "version": "1.0.0", "file": path} for place, (_, path) in given]
        order = {
            "into": str(into),
            "install": sorted(packages, key=lambda item: (item["path"].count("node_modules/"), item["path"])),
            "files": files,
            "wanted": wanted,
            "links": links,
        }
        path = into.with_suffix(".json")
        path.write_text(json.dumps(order))
        return str(path)

    def _shown(self, entry: Entry) -> tuple[object, ...]:
        assert (entry.uid, entry.gid, entry.mtime) == (0, 0, EPOCH * 10**9)
        if entry.kind == FILE:
            return FILE, entry.mode, self.store.objects.read(entry)
        return (LINK, entry.target.decode()) if entry.kind == LINK else (DIRECTORY, entry.mode)


def _listed(top: Path) -> Listing:
    listing: Listing = {}
    for folder, names, others in os.walk(os.fsencode(top)):
        for name in (*names, *others):
            path = os.path.join(folder, name)
            inside = os.path.relpath(path, os.fsencode(top)).decode("utf-8", "surrogateescape")
            status = os.lstat(path)
            mode = stat.S_IMODE(status.st_mode)
            if stat.S_ISLNK(status.st_mode):
                listing[inside] = (LINK, os.readlink(path).decode())
            elif stat.S_ISDIR(status.st_mode):
                listing[inside] = (DIRECTORY, mode)
            else:
                listing[inside] = (FILE, mode, Path(os.fsdecode(path)).read_bytes())
    return listing

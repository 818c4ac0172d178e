"""Archives of Node packages as trees in the store, each unpacked once: what node_modules is put together from.

A part is a directory with two others: `package` has the files of an archive with the modes that npm gives them, and
`bin` a link for each program that its package.json names, to its path in the package. It follows from the archive
alone, and is kept under the archive's hash, which is compared with the bytes that are unpacked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from envbuild.digest import sha256_of
from envbuild.packages.node_manifest import MAX_MANIFEST, manifest_of, programs_of
from envbuild.packages.npm_archive import MAX_FILE, Odd, PackageFile, files_of
from envbuild.record import Record, values
from envbuild.store.objects import Objects
from envbuild.store.step_cache import StepRecord
from envbuild.store.store import Store
from envbuild.store.trees import TreeBatch
from envbuild.text import json
from envbuild.tree.entry import DIRECTORY, EMPTY_CONTENT, FILE, LINK, Digest, Entry
from envbuild.tree.lookup import child
from envbuild.tree.times import SECOND

FORMAT = "envbuild node part 1"
"""Changes with what an archive is unpacked to."""
_NAMES = (b"package", b"bin")
MANIFEST = b"package.json"
MAX_PACKED = 256 << 20
"""Bytes of an archive, which is read into memory."""
_PROGRAM = 0o755


_Names = dict[bytes, "Entry | _Names"]


class Part(Record):
    """The trees of an archive: of its files, and of links to its programs."""

    files: Digest
    programs: Digest


class NodeParts:
    """The parts that a store has, for files that have the time `epoch` (seconds)."""

    def __init__(self, store: Store, epoch: int) -> None:
        self._store = store
        self._epoch = epoch

    def find(self, digest: str) -> Part | None:
        """Return the part of an archive with this hash, None if it is not kept."""
        record = self._store.steps.get(self._key(digest))
        if record is None or self._store.leads_to_lost(record.tree):
            return None
        entries = {entry.name: entry.digest for entry in self._store.trees.load(record.tree)}
        return Part(*(entries[name] for name in _NAMES))

    def unpack(self, archives: Mapping[str, str]) -> dict[str, Part]:
        """Unpack archives, whose paths are given by their hashes, and keep what they are. Raises Odd for one that has
        to be unpacked in the sandbox."""
        parts: dict[str, Part] = {}
        records: dict[str, StepRecord] = {}
        batch = TreeBatch(self._store.trees)
        try:
            for digest, path in archives.items():
                part = _Package(batch, self._store.objects, self._epoch).unpack(_read(path, digest))
                own = Entry(b"", DIRECTORY, 0o755, 0, 0, 0)
                tree = batch.save(
                    own._replace(name=name, digest=inner) for name, inner in zip(_NAMES, values(part), strict=True)
                )
                records[self._key(digest)] = StepRecord(tree, EMPTY_CONTENT, 0.0)
                parts[digest] = part
        finally:
            with self._store.database.transaction():
                batch.flush()
                self._store.steps.put_parts(records)
        return parts

    def read(self, directory: Digest, name: bytes) -> bytes:
        """Return a document in a directory of a part, b"" if it is not there. Raises Odd and StoreDamaged."""
        entry = child(self._store.trees, directory, name)
        if entry is None:
            return b""
        if entry.kind != FILE or entry.size > MAX_MANIFEST:
            raise Odd
        return self._store.objects.read(entry)

    def has(self, directory: Digest, name: bytes) -> bool:
        """Return whether a directory of a part has something of this name."""
        return child(self._store.trees, directory, name) is not None

    def modules_in(self, directory: Digest) -> list[tuple[str, Digest]]:
        """Return the names and directories of the packages that a package brings along in its own node_modules."""
        trees, modules = self._store.trees, []
        for entry in self._folders(child(trees, directory, b"node_modules")):
            name = entry.name.decode()
            if name.startswith("@"):
                modules += [(f"{name}/{inner.name.decode()}", inner.digest) for inner in self._folders(entry)]
            elif not name.startswith("."):
                modules.append((name, entry.digest))
        return modules

    def _folders(self, above: Entry | None) -> list[Entry]:
        entries = self._store.trees.load(above.digest) if above is not None and above.kind == DIRECTORY else ()
        return [entry for entry in entries if entry.kind == DIRECTORY]

    def _key(self, digest: str) -> str:
        return sha256_of(json.dumps([FORMAT, digest, self._epoch]).encode())


class _Package:
    """One archive that is being unpacked. Of each directory it has what lies in it by name: a file's entry, or another
    such directory."""

    def __init__(self, trees: TreeBatch, objects: Objects, epoch: int) -> None:
        self._trees = trees
        self._objects = objects
        self._time = epoch * SECOND
        self._root: _Names = {}
        self._manifest: bytes | None = None

    def unpack(self, packed: bytes) -> Part:
        """Return the part of an archive. Raises Odd."""
        for file in files_of(packed):
            self._put(file)
        programs: dict[bytes, bytes] = {}
        if not self._root:
            raise Odd  # the script makes no directory for it
        said = {} if self._manifest is None else manifest_of(self._manifest)
        for name, path in programs_of(said, self._names_in):
            held = self._at(path.encode().split(b"/"))
            if held is None and "node_modules" not in path.split("/"):
                continue  # names a program that it lacks
            if not isinstance(held, Entry):
                raise Odd
            self._make_program(path.encode().split(b"/"), held)
            programs[name.encode()] = path.encode()
        links = [Entry(name, LINK, 0o777, 0, 0, self._time, target=target) for name, target in programs.items()]
        return Part(self._saved(self._root), self._trees.save(links))

    def _put(self, file: PackageFile) -> None:
        *above, name = file.path.split(b"/")
        here = self._root
        for folder in above:
            inner = here.setdefault(folder, {})
            if isinstance(inner, Entry):
                raise Odd
            here = inner
        if isinstance(here.get(name), dict):
            raise Odd
        here[name] = self._objects.add(Entry(name, FILE, file.mode, 0, 0, self._time), file.content)
        if file.path == MANIFEST:
            self._manifest = file.content

    def _make_program(self, path: list[bytes], entry: Entry) -> None:
        """Let a file be executed, and take a carriage return from the end of its first line, where it would be part of
        the interpreter's name."""
        content = self._objects.read(entry, MAX_FILE)
        end = content.find(b"\n")
        is_script = end > 0 and content.startswith(b"#!") and content[end - 1 : end] == b"\r"
        if entry.mode == _PROGRAM and not is_script:
            return
        if is_script:
            content = content[: end - 1] + content[end:]
        here = self._root
        for folder in path[:-1]:
            inner = here[folder]
            assert isinstance(inner, dict)
            here = inner
        here[path[-1]] = self._objects.add(entry._replace(mode=_PROGRAM, digest="", size=0), content)

    def _at(self, path: list[bytes]) -> Entry | _Names | None:
        here: Entry | _Names | None = self._root
        for name in path:
            if not isinstance(here, dict):
                return None
            here = here.get(name)
        return here

    def _names_in(self, path: str) -> list[str] | None:
        held = self._at(path.encode().split(b"/"))
        return [name.decode() for name in held] if isinstance(held, dict) else None

    def _saved(self, names: _Names) -> Digest:
        return self._trees.save(
            held
            if isinstance(held, Entry)
            else Entry(name, DIRECTORY, 0o755, 0, 0, self._time, digest=self._saved(held))
            for name, held in names.items()
        )


def _read(path: str, digest: str) -> bytes:
    """Return an archive, if it is the one with this hash. Raises Odd."""
    with open(path, "rb") as file:
        packed = file.read(MAX_PACKED + 1)
    algorithm = digest.partition(":")[0]
    if len(packed) > MAX_PACKED or f"{algorithm}:{hashlib.new(algorithm, packed).hexdigest()}" != digest:
        raise Odd
    return packed

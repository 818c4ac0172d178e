"""go.sum: the hashes of the modules that a project is built of, and of their go.mod files."""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
import zlib
from dataclasses import dataclass

from envbuild.errors import WorkFailed, fields
from envbuild.packages.go_names import GO_MOD, ModulePath, ModuleVersion, place_of
from envbuild.packages.manager import Contents

MAX_LINES = 100_000
MAX_UNPACKED = 500 << 20
"""Bytes of a module's files; Go itself takes no more."""
MAX_FILES = 100_000
_PREFIX = "h1:"
_CHUNK = 1 << 20


@fields
class BadGoSum(WorkFailed):
    """A go.sum can't be used."""

    path: str
    line: int
    reason: str

    def text(self) -> tuple[str, str]:
        return f"{self.path}:{self.line}: {self.reason}", "let go write it anew: go mod tidy"


@fields
class OtherModule(WorkFailed):
    """A module's file is not the one that go.sum names."""

    name: str
    reason: str

    def text(self) -> tuple[str, str]:
        return (
            f"{self.name}: what the proxy has is not what go.sum names: {self.reason}",
            "nothing of it was kept; ask who publishes the module, or whether the proxy changed it",
        )


@dataclass(frozen=True, slots=True)
class Sum:
    """One line of a go.sum: a module's zip file, or its go.mod alone, with the hash that Go gives it."""

    module: ModulePath
    version: ModuleVersion
    is_mod: bool
    digest: str

    @property
    def name(self) -> str:
        """What our lock calls it."""
        return f"{self.module}@{self.version}{GO_MOD if self.is_mod else ''}"

    @property
    def place(self) -> str:
        """Where a proxy and a module cache have the file."""
        return place_of(self.module, self.version, "mod" if self.is_mod else "zip")

    def check(self, content: bytes) -> None:
        """Raise OtherModule if this is not the file's content."""
        actual = hash_of_mod(content) if self.is_mod else _hash_of_zip(self.name, content)
        if actual != self.digest:
            raise OtherModule(self.name, f"\n  expected {self.digest}\n  got      {actual}")


def sums_of(contents: Contents) -> dict[str, Sum]:
    """Return what a go.sum names, by the names of our lock, in their order. Raises BadGoSum and UnsafeName."""
    sums: dict[str, Sum] = {}
    for path, content in contents:
        lines = content.decode("utf-8", "replace").split("\n")
        if len(lines) > MAX_LINES:
            raise BadGoSum(path, MAX_LINES, f"it has more than {MAX_LINES:,} lines")
        for number, line in enumerate(lines, 1):
            words = line.split()
            if not words:
                continue
            if len(words) != 3:
                raise BadGoSum(path, number, f"'{line[:60]}' is not a module, a version and a hash")
            module, version, digest = words
            if not _is_hash(digest):
                raise BadGoSum(path, number, f"'{digest[:60]}' is not a hash, which begins with {_PREFIX}")
            is_mod = version.endswith(GO_MOD)
            said = Sum(ModulePath(module), ModuleVersion(version.removesuffix(GO_MOD)), is_mod, digest)
            if sums.setdefault(said.name, said) != said:
                raise BadGoSum(path, number, f"{said.name[:100]} has two hashes")
    return dict(sorted(sums.items()))


def _is_hash(text: str) -> bool:
    try:
        return text.startswith(_PREFIX) and len(base64.b64decode(text.removeprefix(_PREFIX), validate=True)) == 32
    except ValueError:
        return False


def hash_of_mod(content: bytes) -> str:
    """Return the hash that go.sum has of a go.mod."""
    return _hash({"go.mod": hashlib.sha256(content).hexdigest()})


def _hash_of_zip(name: str, content: bytes) -> str:
    digests: dict[str, str] = {}
    left = MAX_UNPACKED
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            if len(members) > MAX_FILES:
                raise OtherModule(name, f"it has more than {MAX_FILES:,} files")
            for member in members:
                state = hashlib.sha256()
                with archive.open(member) as file:
                    while chunk := file.read(_CHUNK):
                        left -= len(chunk)
                        if left < 0:
                            raise OtherModule(name, f"it has more than {MAX_UNPACKED:,} bytes")
                        state.update(chunk)
                if "\n" in member.filename or member.filename in digests:
                    raise OtherModule(name, f"it has a file that no module has: {member.filename[:100]!r}")
                digests[member.filename] = state.hexdigest()
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError) as error:
        raise OtherModule(name, f"it can't be read ({error})") from error
    return _hash(digests)


def _hash(digests: dict[str, str]) -> str:
    """Return Go's hash of files (golang.org/x/mod/sumdb/dirhash, Hash1)."""
    lines = "".join(f"{digests[name]}  {name}\n" for name in sorted(digests, key=str.encode))
    return f"{_PREFIX}{base64.b64encode(hashlib.sha256(lines.encode()).digest()).decode()}"

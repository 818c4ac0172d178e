"""What a lock file pins for one Python, and which of the files of a distribution is the one for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from envbuild.http.addresses import BadAddress, WebAddress
from envbuild.lockfile.checked_name import UnsafeName
from envbuild.packages.documents import BadDocument, Fields
from envbuild.packages.markers import BadMarker, Surroundings, holds
from envbuild.packages.python_locks.document import Table
from envbuild.packages.python_names import SourceName, WheelName, distribution_file, file_of_address, normal_name
from envbuild.packages.python_versions import BadSpecifier, meets

MAX_TAGS = 20_000
_WHAT = "what Python in the sandbox says of itself"


@dataclass(frozen=True, slots=True)
class Choice:
    """What of a project is wanted beside its own dependencies, in normal form: `extras`, dependency `groups` beside
    those that count without being named, and those `without` which it is. `folders` beside the lock file are projects
    that are installed from their sources."""

    extras: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    without: frozenset[str] = frozenset()
    folders: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class TargetPython:
    """The Python of a tree: the `variables` that markers ask of it, and the `tags` of wheels that it can use, each with
    its place from the best on."""

    variables: Mapping[str, str]
    tags: Mapping[str, int]

    @classmethod
    def read(cls, answer: Fields) -> TargetPython:
        """Return what the script pip_describe.py says. Raises BadDocument."""
        markers, tags = answer.fields("markers"), answer.any("tags")
        if not isinstance(tags, list) or len(tags) > MAX_TAGS:
            raise BadDocument(_WHAT, "it has no list of tags")
        places = {str(tag): number for number, tag in reversed(list(enumerate(tags)))}
        return cls({name: markers.text(name) for name in markers.names()}, places)

    @property
    def version(self) -> str:
        """The whole version of the Python."""
        return self.variables.get("python_full_version", "")

    @property
    def shown(self) -> str:
        """The Python as messages show it."""
        return f"Python {self.version} on {self.variables.get('platform_machine', '')}"

    def wants(self, table: Table, marker: str, extras: frozenset[str], groups: frozenset[str] = frozenset()) -> bool:
        """Return whether a marker of a table holds. Raises UnusableLockFile."""
        try:
            return holds(marker, Surroundings(self.variables, extras, groups))
        except BadMarker as error:
            raise table.wrong(f"has a marker that can't be read: {error}") from None

    def check_version(self, table: Table, field: str, who: str) -> None:
        """Raise UnusableLockFile if a table says that it is for other versions of Python."""
        required = table.text(field)
        # The version alone counts here, not that of a pre-release of it.
        try:
            met = required in ("", "*") or meets(self.version, required)
        except BadSpecifier:
            return  # such as Poetry's `^3.11`, which its own lock has beside the groups
        if not met:
            raise table.wrong(
                f"{who} is for Python {required}, and this is {self.shown}", "take another base, or lock for this one"
            )

    def place(self, wheel: WheelName) -> tuple[int, int] | None:
        """Return how good a wheel is for this Python, the smallest being the best; None if it can't use it."""
        *front, pythons, abis, platforms = wheel.removesuffix(".whl").split("-")
        places = [
            place
            for python in pythons.split(".")
            for abi in abis.split(".")
            for platform in platforms.split(".")
            if (place := self.tags.get(f"{python}-{abi}-{platform}")) is not None
        ]
        build = "".join(char for char in front[2] if char.isdigit())[:9] if len(front) > 2 else ""
        return (min(places), -int(build or 0)) if places else None


@dataclass(frozen=True, slots=True)
class PinnedFile:
    """One file of a distribution."""

    name: WheelName | SourceName
    sha256: str


@dataclass(frozen=True, slots=True)
class Pinned:
    """One distribution that a lock file wants: its `files`, of which one is installed; or, where the file says the
    hashes alone, its `hashes`; and the `address` of its only file, if that is in no index."""

    name: str
    version: str
    files: tuple[PinnedFile, ...] = ()
    hashes: tuple[str, ...] = ()
    address: WebAddress | None = None
    index: str = field(default="", compare=False)
    """The index that the lock file has it from, for messages."""


def file_named(table: Table, name: str, sha256: str) -> PinnedFile:
    """Return a file by its name, or by the address or path that leads to it. Raises UnusableLockFile."""
    from urllib.parse import unquote, urlsplit

    try:
        plain = unquote(urlsplit(name).path) if "/" in name else name
        return PinnedFile(distribution_file(plain.rpartition("/")[2]), sha256)
    except (UnsafeName, ValueError) as error:
        raise table.wrong(error.message if isinstance(error, UnsafeName) else str(error)) from None


def of_address(table: Table, url: str, sha256: str) -> tuple[WebAddress, PinnedFile]:
    """Return the address of a distribution that is in no index, and its file. Raises UnusableLockFile."""
    try:
        address = WebAddress(url.partition("#")[0])
        return address, PinnedFile(file_of_address(address), sha256)
    except (BadAddress, UnsafeName) as error:
        raise table.wrong(error.message) from None


def best_file(pinned: Pinned, target: TargetPython) -> PinnedFile | None:
    """Return the file that is installed: the wheel that fits best, else the sources; None if there is none."""
    wheels = [
        (place, file)
        for file in pinned.files
        if isinstance(file.name, WheelName) and (place := target.place(file.name)) is not None
    ]
    if wheels:
        return min(wheels, key=lambda pair: (pair[0], pair[1].name))[1]
    sources = [file for file in pinned.files if isinstance(file.name, SourceName)]
    return min(sources, key=lambda file: (not file.name.endswith(".tar.gz"), file.name)) if sources else None


def normal_names(names: Sequence[str]) -> frozenset[str]:
    """Return names of extras or groups in their normal form."""
    return frozenset(map(normal_name, names))

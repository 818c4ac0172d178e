"""Names that packages go by, each by its ecosystem's grammar: what locks, indexes, resolvers and packages say of
themselves is data, and becomes one of these before anything is named after it."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from envbuild.errors import WorkFailed
from envbuild.linux.nofollow import Component, NotPlain
from envbuild.lockfile.lock import Package
from envbuild.packages.addresses import BadAddress, WebAddress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

INDEX, BUILD, TREE = "index/", "build/", "tree/"
"""How origins of Python's packages begin (docs/packages.md)."""
_LONGEST = 300
_ARCHIVE = r"(?:\.tar\.gz|\.tgz|\.tar\.bz2|\.tbz|\.tar\.xz|\.txz|\.tar|\.zip)"
_WHEEL = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._]*[A-Za-z0-9_])?)-(?P<version>[A-Za-z0-9][A-Za-z0-9._+!]*)"
    r"(?:-[0-9][A-Za-z0-9._]*)?-[A-Za-z0-9_][A-Za-z0-9._]*-[A-Za-z0-9_][A-Za-z0-9._]*-[A-Za-z0-9_][A-Za-z0-9._]*\.whl"
)
_SOURCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!~-]*?" + _ARCHIVE)
_DISTRIBUTION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_PYTHON_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]*")
_DEBIAN = re.compile(r"[a-z0-9][a-z0-9+.-]+(?::[a-z0-9][a-z0-9-]*)?")
_DEBIAN_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+~:-]*")
_DEBIAN_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+~:_%@=^-]*\.deb")
_DEBIAN_FOLDER = re.compile(r"[A-Za-z0-9~_+.@=:%,^-]+")
_NODE_NAME = r"(?:@[A-Za-z0-9~-][A-Za-z0-9._~-]*/)?[A-Za-z0-9!~*'()-][A-Za-z0-9!~*'()._-]*"
_NODE = re.compile(_NODE_NAME)
_NODE_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*")
_NODE_FILE = re.compile(
    r"(?:[A-Za-z0-9@_~!*'()+-][A-Za-z0-9@._~!*'()+-]*/){0,2}[A-Za-z0-9@_~!*'()+-][A-Za-z0-9@._~!*'()+-]*"
)


class BadName(WorkFailed):
    """What something is called is no name for it."""

    def __init__(self, what: str, text: str) -> None:
        shown = text if len(text) <= 120 else f"{text[:120]}..."
        super().__init__(
            f"{shown!r} is not {what}",
            "it came from a lock, an index or a package itself, and may be meant to mislead: nothing was written. "
            "If it is in the lock, see who changed that line, or renew it with: envbuild update",
        )


class _Name(str):
    """A text that its class's `grammar` fits whole."""

    __slots__ = ()
    grammar: re.Pattern[str]
    what: str

    def __new__(cls, text: str) -> Self:
        if len(text) > _LONGEST or cls.grammar.fullmatch(text) is None:
            raise BadName(cls.what, text)
        return super().__new__(cls, text)


class _FileName(Component):
    """A file name that its class's `grammar` fits whole."""

    __slots__ = ()
    grammar: re.Pattern[str]
    what: str

    def __new__(cls, text: str) -> Self:
        if cls.grammar.fullmatch(text) is None:
            raise BadName(cls.what, text)
        try:
            return super().__new__(cls, text)
        except NotPlain:
            raise BadName(cls.what, text) from None


class WheelName(_FileName):
    """`NAME-VERSION[-BUILD]-PYTHON-ABI-PLATFORM.whl` (Python packaging's "Binary distribution format"). Raises
    BadName."""

    __slots__ = ()
    grammar = _WHEEL
    what = "the file name of a wheel"

    @property
    def version(self) -> str:
        return self.split("-")[1]


class SourceName(_FileName):
    """The file name of an archive of sources (Python packaging's "Source distribution format"). Raises BadName."""

    __slots__ = ()
    grammar = _SOURCE
    what = "the file name of a wheel or a source distribution"


class DistributionName(_Name):
    """The name of a Python distribution ("Names and normalization"). Raises BadName."""

    __slots__ = ()
    grammar = _DISTRIBUTION
    what = "the name of a Python distribution"


class PythonVersion(_Name):
    """The version of a Python distribution ("Version specifiers"). Raises BadName."""

    __slots__ = ()
    grammar = _PYTHON_VERSION
    what = "the version of a Python distribution"


class DebianName(_Name):
    """`NAME` or `NAME:ARCH` (deb-control(5), Package). Raises BadName."""

    __slots__ = ()
    grammar = _DEBIAN
    what = "the name of a Debian package"


class DebianVersion(_Name):
    """deb-version(7). Raises BadName."""

    __slots__ = ()
    grammar = _DEBIAN_VERSION
    what = "the version of a Debian package"


class DebianFile(_FileName):
    """The file name of a Debian package. Raises BadName."""

    __slots__ = ()
    grammar = _DEBIAN_FILE
    what = "the file name of a Debian package"


class DebianOrigin(str):
    """`SOURCE/FOLDER/.../FILE.deb`: the last part of a source's own path, and a path below it. Raises BadName."""

    __slots__ = ()

    def __new__(cls, text: str) -> DebianOrigin:
        *folders, name = text.split("/")
        DebianFile(name)
        bad = [one for one in folders if one in (".", "..") or _DEBIAN_FOLDER.fullmatch(one) is None]
        if not folders or bad or len(text) > 1024:
            raise BadName("the place of a Debian package below its source", text)
        return super().__new__(cls, text)

    @property
    def file(self) -> DebianFile:
        return DebianFile(self.rpartition("/")[2])


class NodePath(str):
    """`NAME` or `NAME/node_modules/NAME`: where a package lies below node_modules, its scope included (npm's
    documentation, "package.json", name). Raises BadName."""

    __slots__ = ()

    def __new__(cls, text: str) -> NodePath:
        for one in text.split("/node_modules/"):
            if len(one) > 214 or _NODE.fullmatch(one) is None or one.rpartition("/")[2] == "node_modules":
                raise BadName("the name of a Node package", text)
        if len(text) > 2048:
            raise BadName("the name of a Node package", text)
        return super().__new__(cls, text)


class NodeVersion(_Name):
    """A version as semver.org has it. Raises BadName."""

    __slots__ = ()
    grammar = _NODE_VERSION
    what = "the version of a Node package"


class NodeOrigin(str):
    """`NAME/-/FILE`: where a registry has a package's archive. Raises BadName."""

    __slots__ = ()

    def __new__(cls, text: str) -> NodeOrigin:
        name, separator, file = text.partition("/-/")
        NodePath(name)
        if not separator or "/node_modules/" in name or len(file) > _LONGEST or _NODE_FILE.fullmatch(file) is None:
            raise BadName("the place of a Node package in a registry", text)
        return super().__new__(cls, text)


class TreePath(str):
    """A path in a tree without a slash at the beginning, and without parts that lead up. Raises BadName."""

    __slots__ = ()

    def __new__(cls, text: str) -> TreePath:
        try:
            parts = [Component(one) for one in text.split("/")]
        except NotPlain:
            raise BadName("the path of a file of the image", text) from None
        if not text.isprintable():
            raise BadName("the path of a file of the image", text)
        distribution_file(parts[-1])
        return super().__new__(cls, text)


def distribution_file(text: str) -> WheelName | SourceName:
    """The file name of a Python distribution. Raises BadName."""
    return WheelName(text) if text.endswith(".whl") else SourceName(text)


def file_of_address(address: WebAddress) -> WheelName | SourceName:
    """The name of the distribution's file that an address leads to. Raises BadName."""
    return distribution_file(unquote(urlsplit(address).path.rpartition("/")[2]))


def checked(manager: str, package: Package) -> Package:
    """The same package, all of whose fields are what this package manager's packages have. Raises BadName."""
    match manager:
        case "apt":
            DebianName(package.name)
            DebianVersion(package.version)
            DebianOrigin(package.origin)
        case "pip":
            DistributionName(package.name)
            PythonVersion(package.version)
            _check_python_origin(package.origin)
        case _:
            NodePath(package.name)
            NodeVersion(package.version)
            NodeOrigin(package.origin.removeprefix(BUILD))
    return package


def _check_python_origin(text: str) -> None:
    origin = text.removeprefix(BUILD)
    if origin.startswith(INDEX):
        distribution_file(origin.removeprefix(INDEX))
    elif origin.startswith(TREE):
        TreePath(origin.removeprefix(TREE))
    else:
        try:
            file_of_address(WebAddress(origin))
        except BadAddress:
            raise BadName("where a Python distribution comes from", text) from None

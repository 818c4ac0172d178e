"""Names that packages go by, each by its ecosystem's grammar: what locks, indexes, resolvers and packages say of
themselves is data, and becomes one of these before anything is named after it."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from envbuild.debian.names import DebianName, DebianOrigin, DebianVersion
from envbuild.linux.nofollow import Component, NotPlain
from envbuild.lockfile.checked_name import MAX_NAME, BadName, CheckedFileName, CheckedName
from envbuild.lockfile.lock import Package
from envbuild.packages.addresses import BadAddress, WebAddress

INDEX, BUILD, TREE = "index/", "build/", "tree/"
"""How origins of Python's packages begin (docs/packages.md)."""
_ARCHIVE = r"(?:\.tar\.gz|\.tgz|\.tar\.bz2|\.tbz|\.tar\.xz|\.txz|\.tar|\.zip)"
_WHEEL = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._]*[A-Za-z0-9_])?)-(?P<version>[A-Za-z0-9][A-Za-z0-9._+!]*)"
    r"(?:-[0-9][A-Za-z0-9._]*)?-[A-Za-z0-9_][A-Za-z0-9._]*-[A-Za-z0-9_][A-Za-z0-9._]*-[A-Za-z0-9_][A-Za-z0-9._]*\.whl"
)
_SOURCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!~-]*?" + _ARCHIVE)
_DISTRIBUTION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_PYTHON_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]*")
_NODE_NAME = r"(?:@[A-Za-z0-9~-][A-Za-z0-9._~-]*/)?[A-Za-z0-9!~*'()-][A-Za-z0-9!~*'()._-]*"
_NODE = re.compile(_NODE_NAME)
_NODE_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*")
_NODE_FILE = re.compile(
    r"(?:[A-Za-z0-9@_~!*'()+-][A-Za-z0-9@._~!*'()+-]*/){0,2}[A-Za-z0-9@_~!*'()+-][A-Za-z0-9@._~!*'()+-]*"
)


class WheelName(CheckedFileName):
    """`NAME-VERSION[-BUILD]-PYTHON-ABI-PLATFORM.whl` (Python packaging's "Binary distribution format"). Raises
    BadName."""

    __slots__ = ()
    grammar = _WHEEL
    what = "the file name of a wheel"

    @property
    def version(self) -> str:
        return self.split("-")[1]


class SourceName(CheckedFileName):
    """The file name of an archive of sources (Python packaging's "Source distribution format"). Raises BadName."""

    __slots__ = ()
    grammar = _SOURCE
    what = "the file name of a wheel or a source distribution"


class DistributionName(CheckedName):
    """The name of a Python distribution ("Names and normalization"). Raises BadName."""

    __slots__ = ()
    grammar = _DISTRIBUTION
    what = "the name of a Python distribution"


class PythonVersion(CheckedName):
    """The version of a Python distribution ("Version specifiers"). Raises BadName."""

    __slots__ = ()
    grammar = _PYTHON_VERSION
    what = "the version of a Python distribution"


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


class NodeVersion(CheckedName):
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
        if not separator or "/node_modules/" in name or len(file) > MAX_NAME or _NODE_FILE.fullmatch(file) is None:
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

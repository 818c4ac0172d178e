"""Names of Python distributions, of their versions and files, and of the places that these come from."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from envbuild.http.addresses import WebAddress
from envbuild.language.model import is_lock_file
from envbuild.linux.nofollow import Component, NotPlain
from envbuild.lockfile.checked_name import CheckedFileName, CheckedName, UnsafeName

PYTHONS = ("python3", *(f"python3.{minor}" for minor in range(14, 7, -1)), "python")
"""The names of a tree's Python, in the order in which they are tried."""
PROJECT_FILE = "pyproject.toml"
_LOCK_FILES = {"uv.lock": "uv", "poetry.lock": "poetry", "Pipfile.lock": "pipfile", "pylock.toml": "pylock"}
INDEX, TREE = "index/", "tree/"
"""How the origins of distributions begin (docs/packages.md); other origins are addresses."""
_ARCHIVE = r"(?:\.tar\.gz|\.tgz|\.tar\.bz2|\.tbz|\.tar\.xz|\.txz|\.tar|\.zip)"
_WHEEL = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._]*[A-Za-z0-9_])?)-(?P<version>[A-Za-z0-9][A-Za-z0-9._+!]*)"
    r"(?:-[0-9][A-Za-z0-9._]*)?-[A-Za-z0-9_][A-Za-z0-9._]*-[A-Za-z0-9_][A-Za-z0-9._]*-[A-Za-z0-9_][A-Za-z0-9._]*\.whl"
)
_SOURCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!~-]*?" + _ARCHIVE)
_ENDING = re.compile(_ARCHIVE + r"\Z")
_DISTRIBUTION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_SEPARATORS = re.compile(r"[-_.]+")
_PYTHON_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]*")


class WheelName(CheckedFileName):
    """`NAME-VERSION[-BUILD]-PYTHON-ABI-PLATFORM.whl` (Python packaging's "Binary distribution format"). Raises
    UnsafeName."""

    __slots__ = ()
    grammar = _WHEEL
    what = "the file name of a wheel"

    @property
    def version(self) -> str:
        """The version of the distribution."""
        return self.split("-")[1]


class SourceName(CheckedFileName):
    """The file name of an archive of sources (Python packaging's "Source distribution format"). Raises UnsafeName."""

    __slots__ = ()
    grammar = _SOURCE
    what = "the file name of a wheel or a source distribution"

    @property
    def version(self) -> str:
        """The version of the distribution."""
        name = _ENDING.sub("", self)
        return name.rpartition("-")[2] if "-" in name else "0"


class DistributionName(CheckedName):
    """The name of a Python distribution ("Names and normalization"). Raises UnsafeName."""

    __slots__ = ()
    grammar = _DISTRIBUTION
    what = "the name of a Python distribution"


class PythonVersion(CheckedName):
    """The version of a Python distribution ("Version specifiers"). Raises UnsafeName."""

    __slots__ = ()
    grammar = _PYTHON_VERSION
    what = "the version of a Python distribution"


class TreePath(str):
    """A path in a tree without a slash at the beginning, and without parts that lead up. Raises UnsafeName."""

    __slots__ = ()

    def __new__(cls, text: str) -> TreePath:
        try:
            parts = [Component(part) for part in text.split("/")]
        except NotPlain:
            raise UnsafeName("the path of a file of the image", text) from None
        if not text.isprintable():
            raise UnsafeName("the path of a file of the image", text)
        distribution_file(parts[-1])
        return super().__new__(cls, text)


def distribution_file(text: str) -> WheelName | SourceName:
    """Return the file name of a Python distribution. Raises UnsafeName."""
    return WheelName(text) if text.endswith(".whl") else SourceName(text)


def file_of_address(address: WebAddress) -> WheelName | SourceName:
    """Return the name of the distribution's file that an address leads to. Raises UnsafeName."""
    return distribution_file(unquote(urlsplit(address).path.rpartition("/")[2]))


def lock_kind(path: str) -> str:
    """Return which tool's lock file this is by its name: uv, poetry, pipfile or pylock; "" for other files."""
    name = path.rpartition("/")[2]
    return _LOCK_FILES.get(name, "pylock") if is_lock_file(name) else ""


def normal_name(name: str) -> str:
    """Return a distribution's name in its normal form (Python packaging's "Names and normalization")."""
    return _SEPARATORS.sub("-", name).lower()

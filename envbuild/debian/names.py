"""Names of Debian packages, of their versions and files, and of their places in an archive."""

from __future__ import annotations

import re

from envbuild.lockfile.checked_name import CheckedFileName, CheckedName, UnsafeName

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

MAX_ORIGIN = 1024
"""Characters of a package's place below its source."""
_FOLDER = re.compile(r"[A-Za-z0-9~_+.@=:%,^-]+")


class DebianName(CheckedName):
    """`NAME` or `NAME:ARCH` (deb-control(5), Package). Raises UnsafeName."""

    __slots__ = ()
    grammar = re.compile(r"[a-z0-9][a-z0-9+.-]+(?::[a-z0-9][a-z0-9-]*)?")
    what = "the name of a Debian package"

    @property
    def without_architecture(self) -> str:
        """`NAME` alone."""
        return self.partition(":")[0]


class DebianVersion(CheckedName):
    """A version (deb-version(7)). Raises UnsafeName."""

    __slots__ = ()
    grammar = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+~:-]*")
    what = "the version of a Debian package"


class DebianFile(CheckedFileName):
    """The file name of a Debian package. Raises UnsafeName."""

    __slots__ = ()
    grammar = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+~:_%@=^-]*\.deb")
    what = "the file name of a Debian package"


class DebianOrigin(str):
    """`SOURCE/FOLDER/.../FILE.deb`: the last part of a source's own path, and a path below it. Raises UnsafeName."""

    __slots__ = ()
    file_kind: type[CheckedFileName] = DebianFile

    def __new__(cls, text: str) -> Self:
        *folders, name = text.split("/")
        cls.file_kind(name)
        bad = [folder for folder in folders if folder in (".", "..") or _FOLDER.fullmatch(folder) is None]
        if not folders or bad or len(text) > MAX_ORIGIN:
            raise UnsafeName("the place of a Debian package below its source", text)
        return super().__new__(cls, text)

    @property
    def file(self) -> CheckedFileName:
        """The name of the file."""
        return self.file_kind(self.rpartition("/")[2])


class SourceFile(CheckedFileName):
    """The file name of a part of a Debian source package (dsc(5)). Raises UnsafeName."""

    __slots__ = ()
    grammar = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+~:_%@=^-]*\.(?:dsc|diff\.gz|tar\.(?:gz|bz2|lzma|xz|zst)(?:\.asc)?)")
    what = "the file name of a part of a Debian source package"


class SourcePart(CheckedName):
    """`NAME` for a source package's description, `NAME:PART` for each of its other files. Raises UnsafeName."""

    __slots__ = ()
    grammar = re.compile(r"[a-z0-9][a-z0-9+.-]+(?::[a-z0-9][A-Za-z0-9.-]*)?")
    what = "the name of a Debian source package"


class SourceOrigin(DebianOrigin):
    """`SOURCE/FOLDER/.../FILE` of a file of a source package. Raises UnsafeName."""

    __slots__ = ()
    file_kind = SourceFile

"""Names of Node packages, of their versions, and of their places below node_modules and in a registry."""

from __future__ import annotations

import re

from envbuild.lockfile.checked_name import MAX_NAME, CheckedName, UnsafeName

MAX_NODE_NAME = 214
"""Characters of a name (npm's documentation, "package.json")."""
MAX_PATH = 2048
"""Characters of a path below node_modules."""
_NAME = re.compile(r"(?:@[A-Za-z0-9~-][A-Za-z0-9._~-]*/)?[A-Za-z0-9!~*'()-][A-Za-z0-9!~*'()._-]*")
STORE = ".pnpm"
"""The folder in which packages have folders of their own, as in pnpm's virtual store."""
_FOLDER = re.compile(r"[A-Za-z0-9@_][A-Za-z0-9@+._~!'-]{0,200}")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*")
_FILE = re.compile(
    r"(?:[A-Za-z0-9@_~!*'()+-][A-Za-z0-9@._~!*'()+-]*/){0,2}[A-Za-z0-9@_~!*'()+-][A-Za-z0-9@._~!*'()+-]*"
)


class NodePath(str):
    """`NAME` or `NAME/node_modules/NAME`: where a package lies below node_modules, its scope included (npm's
    documentation, "package.json", name). Raises UnsafeName."""

    __slots__ = ()

    def __new__(cls, text: str) -> NodePath:
        for name in text.split("/node_modules/"):
            if len(name) > MAX_NODE_NAME or _NAME.fullmatch(name) is None or name.rpartition("/")[2] == "node_modules":
                raise UnsafeName("the name of a Node package", text)
        if len(text) > MAX_PATH:
            raise UnsafeName("the name of a Node package", text)
        return super().__new__(cls, text)


class NodePlace(str):
    """A NodePath, or `.pnpm/FOLDER/node_modules/NAME`: where a package lies below node_modules whose others it finds by
    links. Raises UnsafeName."""

    __slots__ = ()

    def __new__(cls, text: str) -> NodePlace:
        store, _, rest = text.partition("/")
        if store != STORE:
            return super().__new__(cls, NodePath(text))
        folder, separator, name = rest.partition("/node_modules/")
        if not separator or _FOLDER.fullmatch(folder) is None or "/node_modules/" in name:
            raise UnsafeName("the place of a Node package", text)
        NodePath(name)
        return super().__new__(cls, text)


class NodeVersion(CheckedName):
    """A version as semver.org has it. Raises UnsafeName."""

    __slots__ = ()
    grammar = _VERSION
    what = "the version of a Node package"


class NodeOrigin(str):
    """`NAME/-/FILE`: where a registry has a package's archive. Raises UnsafeName."""

    __slots__ = ()

    def __new__(cls, text: str) -> NodeOrigin:
        name, separator, file = text.partition("/-/")
        NodePath(name)
        if not separator or "/node_modules/" in name or len(file) > MAX_NAME or _FILE.fullmatch(file) is None:
            raise UnsafeName("the place of a Node package in a registry", text)
        return super().__new__(cls, text)

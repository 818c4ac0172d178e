"""Lock files as text that others wrote: plain values, which are looked at before anything is taken of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from envbuild.errors import UsageError, fields
from envbuild.lockfile.checked_name import UnsafeName
from envbuild.packages.python_names import DistributionName, PythonVersion, normal_name
from envbuild.packages.toml_text import BadToml, parse_toml

MAX_PACKAGES = 20_000
_SHA256 = re.compile(r"sha256:[0-9a-f]{64}")


@fields
class UnusableLockFile(UsageError):
    """A lock file of another tool can't be read, or pins what can't be installed as it is."""

    path: str
    reason: str
    hint: str = ""

    def text(self) -> tuple[str, str]:
        return f"{self.path}: {self.reason}", self.hint or "nothing of it was taken"


class Table:
    """One table of a lock file; `where` says which. Each method raises UnusableLockFile."""

    def __init__(self, path: str, plain: object, where: str = "") -> None:
        self.path, self.where = path, where
        if not isinstance(plain, dict):
            raise self.wrong("is not a table")
        self._plain = plain

    def wrong(self, reason: str, hint: str = "") -> UnusableLockFile:
        return UnusableLockFile(self.path, f"{self.where} {reason}".strip(), hint)

    def __contains__(self, name: str) -> bool:
        return name in self._plain

    def value(self, name: str) -> object:
        return self._plain.get(name)

    def names(self) -> list[str]:
        return list(map(str, self._plain))

    def text(self, name: str, default: str = "") -> str:
        """Return a field that is a text, `default` where it is missing."""
        value = self._plain.get(name, default)
        if not isinstance(value, str):
            raise self.wrong(f"has a '{name[:100]}' that is not a text")
        return value

    def texts(self, name: str) -> list[str]:
        """Return a field that is a list of texts."""
        value = self._plain.get(name, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.wrong(f"has a '{name[:100]}' that is not a list of texts")
        return value

    def table(self, name: str) -> Table:
        """Return a field that is a table; an empty one where it is missing."""
        return Table(self.path, self._plain.get(name, {}), f"{self.where} '{name[:100]}'".strip())

    def tables(self, name: str) -> list[Table]:
        """Return a field that is a list of tables."""
        value = self._plain.get(name, [])
        if not isinstance(value, list):
            raise self.wrong(f"has a '{name[:100]}' that is not a list")
        return [Table(self.path, item, f"{self.where} '{name[:100]}'".strip()) for item in value]

    def packages(self, name: str) -> Iterator[Table]:
        """Yield the packages that a list has, each named in what is said of it."""
        tables = self.tables(name)
        if len(tables) > MAX_PACKAGES:
            raise self.wrong(f"has more than {MAX_PACKAGES} packages")
        for table in tables:
            yield Table(self.path, table._plain, f"package {table.text('name')[:100]!r}")

    def name(self, field: str = "name") -> str:
        """Return a field that is the name of a distribution, in its normal form."""
        try:
            return normal_name(DistributionName(self.text(field)))
        except UnsafeName as error:
            raise self.wrong(error.message) from None

    def entries(self) -> Iterator[tuple[str, Table]]:
        """Yield the tables by the names of distributions that they have here, in normal form."""
        if len(self._plain) > MAX_PACKAGES:
            raise self.wrong(f"has more than {MAX_PACKAGES} packages")
        for name, plain in self._plain.items():
            yield Table(self.path, {"name": name}).name(), Table(self.path, plain, f"package {name[:100]!r}")

    def version(self) -> str:
        """Return the field that is the version of a distribution."""
        return self.checked_version(self.text("version"))

    def checked_version(self, text: str) -> str:
        """Return a text that is the version of a distribution."""
        try:
            return PythonVersion(text)
        except UnsafeName as error:
            raise self.wrong(error.message) from None

    def sha256(self, field: str = "hash") -> str:
        """Return the digits of a field that is `sha256:` and 64 digits."""
        text = self.text(field)
        if _SHA256.fullmatch(text) is None:
            raise self.wrong(
                f"has a file without a sha256: {text[:100]!r}", "only files with a sha256 can be locked and checked"
            )
        return text.partition(":")[2]


def read_toml(path: str, content: bytes) -> Table:
    """Return what a TOML file says. Raises UnusableLockFile."""
    try:
        return Table(path, parse_toml(content))
    except BadToml as error:
        raise UnusableLockFile(path, str(error)) from None


def read_json(path: str, content: bytes) -> Table:
    """Return what a JSON file says. Raises UnusableLockFile."""
    try:
        plain = json.loads(content)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deep" if isinstance(error, RecursionError) else f"it is not JSON: {error}"
        raise UnusableLockFile(path, reason) from None
    return Table(path, plain)

"""The submodules of a commit: where the repository says that they come from.

`.gitmodules` is a file of the repository, which anybody may have written. Of it only addresses count; names, commands
and options (`update`, `branch`, `ignore`) do not, and paths are those of the commit's own tree.
"""

from __future__ import annotations

from envbuild.errors import WorkFailed, fields
from envbuild.git.program import GitFailed, output
from envbuild.git.tracked_files import TrackedFile
from envbuild.language.git_address import checked_repository, scp_form
from envbuild.language.values import InvalidValue

MODULES = ".gitmodules"
MAX_MODULES = 1 << 20
"""Bytes of a .gitmodules."""


@fields
class BadSubmodule(WorkFailed):
    """A submodule that can't be fetched."""

    url: str
    path: str
    reason: str

    def text(self) -> tuple[str, str]:
        return (
            f"fetch: {self.url}: its submodule '{self.path}' can't be fetched: {self.reason}",
            "without (submodules) it is an empty directory; fetch what it is to have with a statement of its own",
        )


def addresses_of(folder: str, modules: TrackedFile | None, url: str) -> dict[str, str]:
    """Return the addresses that a commit's `.gitmodules` gives, by path. Raises BadSubmodule."""
    if modules is None:
        return {}
    words = ("config", "--blob", modules.oid, "--no-includes", "-z", "--get-regexp", r"^submodule\..*\.(path|url)$")
    try:
        listing = output(folder, *words, limit=MAX_MODULES)
    except GitFailed as error:
        if not error.errors.strip():
            return {}  # no such key
        raise BadSubmodule(url, MODULES, "git can't read it") from error
    paths: dict[str, str] = {}
    urls: dict[str, str] = {}
    for item in listing.decode("utf-8", "surrogateescape").split("\0")[:-1]:
        key, _, value = item.partition("\n")
        name, _, kind = key.removeprefix("submodule.").rpartition(".")
        (paths if kind == "path" else urls)[name] = value
    return {path: urls[name] for name, path in paths.items() if name in urls}


def address_of(path: str, addresses: dict[str, str], url: str) -> str:
    """Return the address of the submodule at a path, whole. Raises BadSubmodule."""
    given = addresses.get(path)
    if given is None:
        raise BadSubmodule(url, path, f"{MODULES} does not say where it is")
    relative = given.startswith(("./", "../"))
    try:
        return checked_repository(joined(url, given) if relative else scp_form(given))
    except InvalidValue as error:
        raise BadSubmodule(url, path, error.message) from error


def joined(base: str, relative: str) -> str:
    """Return what git makes of an address like `../other`: it is relative to the repository as to a directory. Raises
    InvalidValue for one that leads out of the server."""
    scheme, _, rest = base.partition("://")
    host, _, path = rest.partition("/")
    parts = path.rstrip("/").split("/")
    for part in relative.split("/"):
        if part == ".." and not parts:
            raise InvalidValue(f"'{relative}' leads out of the server")
        if part == "..":
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return f"{scheme}://{host}/{'/'.join(parts)}"

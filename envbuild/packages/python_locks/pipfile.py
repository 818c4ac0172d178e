"""Pipfile.lock: sections of packages with hashes, of files whose names it does not say (as `pipenv sync` takes it)."""

from __future__ import annotations

from envbuild.packages.python_locks.document import Table, UnusableLockFile, read_json
from envbuild.packages.python_locks.pinned import Choice, Pinned, TargetPython, of_address
from envbuild.packages.python_locks.uv_lock import chosen, not_a_file
from envbuild.packages.python_names import normal_name

_SECTIONS = {"dev": "develop"}
"""Sections by the names that Pipenv's options have for them."""
_LOCAL = ("path", "git", "hg", "svn", "bzr")


def read_pipfile_lock(
    path: str, content: bytes, project: Table | None, choice: Choice, target: TargetPython
) -> list[Pinned]:
    """Return what a Pipfile.lock pins for a Python, in the order of its names. Raises UnusableLockFile."""
    lock = read_json(path, content)
    form = lock.table("_meta").value("pipfile-spec")
    if form != 6:
        raise UnusableLockFile(path, f"it has pipfile-spec {form!r}, and 6 is known", "lock it anew: pipenv lock")
    _check_python(lock.table("_meta").table("requires"), target)
    sections = {normal_name(name): name for name in lock.names() if name != "_meta"}
    known = {name: section for name, section in _SECTIONS.items() if section in sections.values()}
    known = {**sections, **known}
    names = chosen(lock, "group", choice.groups, set(known)) | ({"default"} & set(known))
    names -= chosen(lock, "group", choice.without, set(known))
    chosen(lock, "extra", choice.extras, set())
    wanted: dict[str, Pinned] = {}
    for section in sorted({known[name] for name in names}):
        for name, entry in lock.table(section).entries():
            if not target.wants(entry, entry.text("markers"), frozenset()):
                continue
            pinned = _pinned(entry, name)
            if pinned is not None and wanted.setdefault(pinned.name, pinned) != pinned:
                raise entry.wrong("is there in two versions", "choose one of the sections that have it")
    return [wanted[name] for name in sorted(wanted)]


def _check_python(requires: Table, target: TargetPython) -> None:
    version = requires.text("python_full_version") or requires.text("python_version")
    if version and f"{target.version}.".startswith(f"{version}.") is False:
        raise requires.wrong(
            f"it is for Python {version[:40]}, and this is {target.shown}", "take another base, or lock for this one"
        )


def _pinned(entry: Table, name: str) -> Pinned | None:
    """Return what an entry pins, None for the project itself."""
    local = next((kind for kind in _LOCAL if kind in entry), None)
    if local == "path" and entry.text("path").rstrip("/") in ("", "."):
        return None
    if local is not None or (entry.text("file") and "://" not in entry.text("file")):
        raise not_a_file(entry, local or "file", entry.text(local or "file"))
    hashes = []
    for text in entry.texts("hashes"):
        hashes.append(Table(entry.path, {"hash": text}, entry.where).sha256())
    if not hashes:
        raise entry.wrong("has no hashes", "only files with a sha256 can be locked and checked")
    if entry.text("file"):
        if len(hashes) != 1:
            raise entry.wrong("comes from an address and has not one hash")
        address, file = of_address(entry, entry.text("file"), hashes[0])
        version = entry.text("version").removeprefix("==")
        return Pinned(name, entry.checked_version(version or file.name.version), (file,), address=address)
    version = entry.text("version")
    if not version.startswith("=="):
        raise entry.wrong(f"has the version {version[:40]!r}, which is not one")
    return Pinned(name, entry.checked_version(version.removeprefix("==")), hashes=tuple(sorted(set(hashes))))

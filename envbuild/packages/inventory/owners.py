"""The packages that many files of a tree belong to, found in one pass over the records in the tree."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from posixpath import normpath

from envbuild.packages.inventory.bad_record import MAX_STATUS, Unreadable
from envbuild.packages.inventory.list_index import ListIndex
from envbuild.packages.inventory.python import recorded
from envbuild.store.objects import TooLargeToRead
from envbuild.store.store import Store
from envbuild.tree.entry import DIRECTORY, FILE, LINK, Digest, Entry
from envbuild.tree.lookup import lookup

INFO = b"var/lib/dpkg/info"
_MODULES = b"node_modules/"
_PACKAGES = b"-packages/"


def has_debian_records(store: Store, tree: Digest) -> bool:
    """Return whether a tree says which files its Debian packages have."""
    entry = lookup(store.trees, tree, INFO)
    return entry is not None and entry.kind == DIRECTORY


def owners_of(store: Store, tree: Digest, paths: Iterable[bytes], known: Container[str] = ()) -> Mapping[bytes, str]:
    """Return the name of the package of each path (without a slash before it) that belongs to one. None of the paths
    belongs to the Debian packages whose lists' names are `known`."""
    wanted = set(paths)
    owners: dict[bytes, str] = {}
    for path in wanted:
        if _MODULES in path:
            name = _node_module(store, tree, path)
            if name is not None:
                owners[path] = name
    owners.update(_of_python(store, tree, [path for path in wanted if _PACKAGES in path]))
    owners.update(_of_debian(store, tree, wanted, known))
    return owners


def _of_debian(store: Store, tree: Digest, wanted: set[bytes], known: Container[str]) -> Iterator[tuple[bytes, str]]:
    folder = lookup(store.trees, tree, INFO)
    if not wanted or folder is None or folder.kind != DIRECTORY:
        return
    # dpkg's lists may have /lib for what lies in /usr/lib.
    links = {entry.name: entry.target.strip(b"/") for entry in store.trees.load(tree) if entry.kind == LINK}
    lines = {b"/" + path: path for path in wanted}
    for name, target in links.items():
        lines |= {b"/" + name + path[len(target) :]: path for path in wanted if path.startswith(target + b"/")}
    candidates = ListIndex(store, folder.digest).candidates(lines)
    for entry in store.trees.load(folder.digest) if candidates else ():
        package = _text(entry.name.removesuffix(b".list"))
        if entry.name not in candidates or entry.kind != FILE or package in known:
            continue
        for line in lines.keys() & set(store.objects.read(entry, MAX_STATUS).split(b"\n")):
            yield lines[line], package.partition(":")[0]


def _of_python(store: Store, tree: Digest, wanted: list[bytes]) -> Iterator[tuple[bytes, str]]:
    """Yield the files of Python distributions in directories of packages."""
    below: dict[bytes, set[bytes]] = {}
    for path in wanted:
        head, separator, _ = path.partition(_PACKAGES)
        below.setdefault(head + separator.rstrip(b"/"), set()).add(path)
    for folder, paths in below.items():
        entry = lookup(store.trees, tree, folder)
        for info in store.trees.load(entry.digest) if entry is not None and entry.kind == DIRECTORY else ():
            if info.kind == DIRECTORY and info.name.endswith(b".dist-info"):
                place = folder + b"/" + info.name
                name = _text(info.name.removesuffix(b".dist-info").rpartition(b"-")[0])
                yield from ((path, name) for path in paths if path.startswith(place + b"/"))
                yield from ((path, name) for path in paths & _record(store, tree, folder, place))


def _record(store: Store, tree: Digest, folder: bytes, place: bytes) -> set[bytes]:
    """Return the paths that a distribution's RECORD lists; one that can't be read lists none."""
    base = _text(folder)
    try:
        text = store.read_text(tree, f"{_text(place)}/RECORD", MAX_STATUS) or ""
        rows = recorded(text)
    except (TooLargeToRead, Unreadable):
        return set()
    return {normpath(f"{base}/{row[0]}").encode("utf-8", "surrogateescape") for row in rows if row}


def _node_module(store: Store, tree: Digest, path: bytes) -> str | None:
    above, separator, rest = path.rpartition(_MODULES)
    parts = rest.split(b"/")
    name = b"/".join(parts[: 2 if rest.startswith(b"@") else 1])
    if name == rest or name.startswith(b"."):
        return None
    module: Entry | None = lookup(store.trees, tree, above + separator + name + b"/package.json")
    return _text(name) if module is not None and module.kind == FILE else None


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")

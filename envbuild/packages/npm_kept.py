"""What npm is told of packages that are locked, so that it asks a registry only for what is added to them.

npm 6's form of a lock, which npm_tasks.py writes, says which version lies where, and npm asks for the document of each
package. A lock of version 3 says what each package needs, too (package-lock.json(5)). It is made here of the
package.json in each archive. A registry may know a package otherwise than its archive does; so this is used only where
the packages go together by what their archives say, and only for an answer that adds to them and moves nothing.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Container, Mapping, Sequence

from envbuild.lockfile.lock import Package
from envbuild.packages.documents import Fields
from envbuild.packages.manager import BUILD
from envbuild.packages.node_manifest import manifest_of
from envbuild.packages.node_names import NodePath
from envbuild.packages.node_parts import NodeParts, Part
from envbuild.packages.npm_archive import Odd

MODULES = "node_modules/"
MAX_BUNDLED = 5000
_NEEDS = ("dependencies", "optionalDependencies", "peerDependencies", "acceptDependencies")
_WHERE = ("os", "cpu", "libc")
_BUNDLED = ("bundleDependencies", "bundledDependencies")
_SHRINKWRAP = b"npm-shrinkwrap.json"


def lock_of(
    packages: Sequence[tuple[Package, str]],
    before: Sequence[Package],
    parts: NodeParts,
    registry: Callable[[str], str],
) -> bytes:
    """Return a lock of packages, which are given with the paths of their archives, and of which those in `before` were
    chosen together; `registry` gives the address of the one that a package of this name comes from. Raises Odd where
    the archives don't say enough."""
    known: dict[str, Part] = {}
    for package, path in packages:
        if package.hash not in known:
            part = parts.find(package.hash)
            known[package.hash] = part if part is not None else parts.unpack({package.hash: path})[package.hash]
    entries: dict[str, dict[str, object]] = {}
    for package, _ in packages:
        if package.origin.startswith(BUILD):
            continue
        place = MODULES + NodePath(package.name)
        part = known[package.hash]
        manifest = manifest_of(parts.read(part.files, b"package.json"))
        real = package.origin.partition("/-/")[0]
        algorithm, _, digits = package.hash.partition(":")
        entry = {
            "version": package.version,
            "resolved": f"{registry(real)}/{package.origin}",
            "integrity": f"{algorithm}-{base64.b64encode(bytes.fromhex(digits)).decode()}",
            **_needs_of(manifest),
        }
        if real != package.name.rpartition(f"/{MODULES}")[2]:
            entry["name"] = real
        if parts.has(part.files, _SHRINKWRAP):
            entry["hasShrinkwrap"] = True
        entries[place] = entry
        if "bundleDependencies" in entry:
            entries |= dict(_bundled(parts, place, part))
    for package in before:
        place = MODULES + package.name
        if place in entries and not _has_all(entries, place):
            raise Odd
    return json.dumps({"lockfileVersion": 3, "requires": True, "packages": {"": {}, **entries}}).encode()


def only_added(answer: Sequence[Package], before: Sequence[Package]) -> list[Package] | None:
    """Return an answer of npm's that adds to what was answered `before`, None if it moves or leaves out anything."""
    held = {package.name: package for package in before if not package.origin.startswith(BUILD)}
    kept, packages = dict(held), []
    for package in answer:
        same = kept.pop(package.name, None)
        if same is not None and (same.version, same.hash) != (package.version, package.hash):
            return None
        if same is None and _lies_in(package.name, held):
            return None
        packages.append(same or package)
    return None if kept else packages


def place_of(places: Container[str], path: str, name: str) -> str | None:
    """Return where Node finds a package that one at `path` depends on: in its own folder, or in one above."""
    while True:
        place = f"{path}/{MODULES}{name}" if path else f"{MODULES}{name}"
        if place in places:
            return place
        if not path:
            return None
        path = path.rpartition(f"/{MODULES}")[0] if f"/{MODULES}" in path else ""


def needed_places(items: Mapping[str, Fields], unfit: Container[str]) -> set[str]:
    """Return the places in a lock of npm's that the project needs, or a package that is needed. What is `unfit` for the
    machine is not, nor is what nothing else needs: npm itself does not install that either."""
    needed, pending = {""}, [""]
    while pending:
        path = pending.pop()
        for field in (*_NEEDS[:3], *(("devDependencies",) if not path else ())):
            names = items[path].any(field) if path in items else None
            for name in names if isinstance(names, dict) else ():
                place = place_of(items, path, str(name))
                if place is not None and place not in needed and place not in unfit:
                    needed.add(place)
                    pending.append(place)
    return needed


def _lies_in(name: str, held: Mapping[str, Package]) -> bool:
    while f"/{MODULES}" in name:
        name = name.rpartition(f"/{MODULES}")[0]
        if name in held:
            return True
    return False


def _needs_of(manifest: dict[str, object]) -> dict[str, object]:
    """Return what of a package.json npm resolves by. Raises Odd."""
    needs: dict[str, object] = {}
    for field in _NEEDS:
        value = manifest.get(field)
        if not value:
            continue
        if not isinstance(value, dict) or not all(isinstance(said, str) for said in value.values()):
            raise Odd
        needs[field] = value
    if isinstance(manifest.get("engines"), (dict, list)):
        needs["engines"] = manifest["engines"]
    for field in _WHERE:
        value = manifest.get(field)
        if value:
            names = [value] if isinstance(value, str) else value
            if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                raise Odd
            needs[field] = names
    peers = manifest.get("peerDependenciesMeta")
    if isinstance(peers, dict):
        optional = [name for name, said in peers.items() if isinstance(said, dict) and said.get("optional")]
        needs["peerDependenciesMeta"] = {name: {"optional": True} for name in optional}
    bundled = next((manifest[field] for field in _BUNDLED if manifest.get(field)), None)
    if bundled is True:
        bundled = needs.get("dependencies")
    if isinstance(bundled, dict):
        bundled = list(bundled)
    if bundled:
        if not isinstance(bundled, list) or not all(isinstance(name, str) for name in bundled):
            raise Odd
        needs["bundleDependencies"] = bundled
    return needs


def _bundled(parts: NodeParts, place: str, part: Part) -> list[tuple[str, dict[str, object]]]:
    """Return what a package brings along in its own archive. Raises Odd."""
    entries: list[tuple[str, dict[str, object]]] = []
    pending = [(place, part.files)]
    while pending:
        above, directory = pending.pop()
        for name, inner in parts.modules_in(directory):
            manifest = manifest_of(parts.read(inner, b"package.json"))
            version = manifest.get("version")
            if not isinstance(version, str) or manifest.get("name") != name or len(entries) == MAX_BUNDLED:
                raise Odd
            entries.append((f"{above}/{MODULES}{name}", {"version": version, "inBundle": True, **_needs_of(manifest)}))
            pending.append((f"{above}/{MODULES}{name}", inner))
    return entries


def _has_all(entries: Mapping[str, Mapping[str, object]], place: str) -> bool:
    """Return whether a package has all that its package.json says that it needs."""
    needed, optional = (entries[place].get(field) for field in _NEEDS[:2])
    may_lack = optional if isinstance(optional, dict) else {}
    return not isinstance(needed, dict) or all(
        name in may_lack or place_of(entries, place, name) is not None for name in needed
    )

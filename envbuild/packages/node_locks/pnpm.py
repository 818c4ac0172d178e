"""pnpm-lock.yaml, in the versions 6 to 9 of its form (pnpm 8 and later)."""

from __future__ import annotations

from envbuild.packages.manager import Contents
from envbuild.packages.node_locks import OTHER_LOCKS
from envbuild.packages.node_locks.graph import MAX_PACKAGES, Edge, Graph, NodePackage
from envbuild.packages.node_locks.indented_text import BadProjectLock, Table, read
from envbuild.packages.node_locks.project import named, wanted
from envbuild.packages.node_names import NodePath, NodeVersion

RENEW = "pnpm install --lockfile-only"
_KNOWN = ("6", "7", "9")
_PROJECT = "."
_ELSEWHERE = "only packages of a registry can be installed from a lock: copy it in and use a run step, or publish it"


def graph_of(contents: Contents, omit: frozenset[str]) -> Graph:
    """Return what the project's lock says, without the kinds of dependencies in `omit`. Raises BadProjectLock,
    BadDocument and BadName."""
    path, content = named(contents, OTHER_LOCKS["pnpm"])
    lock = read(path, content)
    version = lock.text("lockfileVersion")
    if version.partition(".")[0] not in _KNOWN:
        reason = f"it has the version '{version[:20]}', and known are 6 to 9"
        raise lock.bad("lockfileVersion", reason, f"let pnpm 8 or later write it anew: {RENEW}")
    if lock.table("patchedDependencies").values:
        raise lock.bad("patchedDependencies", "it patches packages, which is not supported", "patch them in a run step")
    packages, snapshots = lock.table("packages"), lock.table("snapshots")
    if not snapshots.values:
        snapshots = packages
    if len(snapshots.values) > MAX_PACKAGES:
        raise lock.bad("packages", f"it has more than {MAX_PACKAGES:,} packages")
    nodes: dict[str, NodePackage] = {}
    roots = _roots(lock, contents, omit)
    edges = list(roots)
    while edges:
        edge = edges.pop()
        if edge.key not in nodes:
            nodes[edge.key] = package = _package(edge.key, packages, snapshots, omit)
            edges += package.needs
    return Graph(path, nodes, roots)


def _roots(lock: Table, contents: Contents, omit: frozenset[str]) -> tuple[Edge, ...]:
    """Return what the project needs, as its package.json says and the lock answers."""
    importers = lock.table("importers")
    project = importers.table(_PROJECT) if importers.values else lock
    others = [name for name in importers.values if name != _PROJECT]
    if others:
        reason = f"it is the lock of a workspace, with the project '{others[0][:60]}' too"
        raise importers.bad(others[0], reason, "one project can be installed: pnpm deploy makes one with its own lock")
    overridden = {name.rpartition(">")[2].partition("@")[0] for name in lock.table("overrides").values}
    edges = []
    for alias, said, optional in wanted(contents, omit):
        sections = [project.table(section) for section in ("dependencies", "devDependencies", "optionalDependencies")]
        entry = next((section.table(alias) for section in sections if alias in section.values), None)
        if entry is None or (entry.text("specifier") != said and alias not in overridden):
            held = f"has it as '{entry.text('specifier')[:60]}'" if entry is not None else "does not have it"
            reason = f"package.json wants {alias}@{said[:60]}, and the lock {held}"
            raise BadProjectLock(lock.path, entry.line if entry is not None else 0, reason, f"renew it with: {RENEW}")
        edges.append(_edge(entry, "version", alias, entry.text("version"), optional))
    return tuple(edges)


def _edge(table: Table, line: str, alias: str, reference: str, optional: bool) -> Edge:
    """Return what a reference to a package means: a version of the alias, or a package by its key."""
    if reference.startswith(("link:", "workspace:", "file:")):
        raise table.bad(line, f"{alias} comes from '{reference[:60]}'", _ELSEWHERE)
    NodePath(alias)
    plain = reference.removeprefix("/")
    head = plain.partition("(")[0]
    is_key = plain != reference or "@" in head[:1] or "@" in head.partition(":")[0]
    return Edge(alias, plain if is_key else f"{alias}@{plain}", optional)


def _package(key: str, packages: Table, snapshots: Table, omit: frozenset[str]) -> NodePackage:
    plain = key.partition("(")[0]
    places = {key, f"/{key}"}
    name = next((name for name in (key, f"/{key}") if name in snapshots.values), None)
    about = next((name for name in (plain, f"/{plain}", key, f"/{key}") if name in packages.values), None)
    if name is None or about is None:
        reason = f"it has nothing about {min(places)[:100].lstrip('/')}, which something in it needs"
        raise BadProjectLock(packages.path, packages.line, reason, f"renew it with: {RENEW}")
    snapshot, facts = snapshots.table(name), packages.table(about)
    resolution = facts.table("resolution")
    integrity = resolution.text("integrity")
    title, _, version = plain.rpartition("@")
    title, version = facts.text("name", title), facts.text("version", version)
    if not integrity or resolution.text("type"):
        source = resolution.text("repo") or resolution.text("tarball") or resolution.text("directory") or "elsewhere"
        raise packages.bad(
            about, f"{title[:100]} comes from {source[:100]}, and the lock has no hash of it", _ELSEWHERE
        )
    needs = [
        _edge(section, alias, alias, reference, kind == "optional")
        for kind in ("", "optional")
        if kind not in omit or not kind
        for section in (snapshot.table("optionalDependencies" if kind else "dependencies"),)
        for alias, reference in section.pairs()
    ]
    return NodePackage(
        NodePath(title),
        NodeVersion(version),
        packages.lines[about],
        integrity,
        resolution.text("tarball"),
        facts.texts("os"),
        facts.texts("cpu"),
        facts.texts("libc"),
        tuple(needs),
    )

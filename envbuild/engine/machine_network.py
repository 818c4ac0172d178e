"""What a networked step gets of the machine's network settings: mounted while it runs, never in a tree or key."""

from __future__ import annotations

from envbuild.engine.execute import NetworkSettings
from envbuild.store.store import Store
from envbuild.tree.entry import FILE, Digest
from envbuild.tree.forest import lookup

Pairs = tuple[tuple[str, str], ...]


def network_settings(store: Store, tree: Digest, variables: Pairs, home: str) -> NetworkSettings:
    """The settings for a command on this tree. `variables` are the proxies and the like that the user has set."""
    from envbuild.bases.network import settings_for  # reads apt's configuration: only for networked steps

    release = lookup(store.trees, tree, b"etc/os-release")
    text = b""
    if release is not None and release.kind == FILE:
        text = store.objects.read(release)
    fields = dict(line.split("=", 1) for line in text.decode(errors="replace").splitlines() if "=" in line)
    suite = fields.get("VERSION_CODENAME", "").strip('"') or None

    def has(path: str) -> bool:
        return lookup(store.trees, tree, path.strip("/").encode()) is not None

    found = settings_for(suite, has, dict(variables), home)
    return NetworkSettings(found.files, found.binds, found.environment)

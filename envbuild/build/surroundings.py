"""What a build itself goes by in a tree when it runs a command there, beside what the command reads."""

from __future__ import annotations

from envbuild.digest import sha256_of
from envbuild.images.accounts import Homes, account_text
from envbuild.images.network_settings import network_settings
from envbuild.plan.step import Execute, Step
from envbuild.record import Pairs
from envbuild.sandbox.hosts import HOSTS
from envbuild.store.store import Store
from envbuild.tree.entry import Digest
from envbuild.tree.lookup import has_tmp, lookup, real_path

_OWN = ("/proc", "/sys", "/dev", "/tmp", "/run/secrets")
"""Where each sandbox has something of its own."""
_ROOT = ("", "root", "0")


def surroundings(store: Store, step: Step, tree: Digest, variables: Pairs, home: str) -> tuple[object, ...]:
    """Return all that a build goes by of a tree when it runs a step's command on it: equal for two trees, if the
    command is started alike. `variables` and `home` are the user's. Raises LinkCircle and AccountsTooLarge."""
    action = step.action
    trees = store.trees
    if not isinstance(action, Execute):
        return (has_tmp(trees, tree),)
    places = [
        action.workdir,
        *(cache.target for cache in action.caches),
        *(mount.target for mount in action.shown),
        *(mount.target for mount in action.tmpfs),
        *(target for _, target in action.mounts),
        *action.devices,
    ]
    parts: list[object] = [has_tmp(trees, tree), Homes(store).of(tree, action.user)]
    for place in (*_OWN, HOSTS, *places):
        path = place.encode("utf-8", "surrogateescape")
        entry = lookup(trees, tree, path)
        parts.append((real_path(trees, tree, path), None if entry is None else entry.kind))
    hosts = lookup(trees, tree, HOSTS.encode())
    parts.append(None if hosts is None else hosts._replace(name=b""))
    if action.user not in _ROOT:
        for name in ("passwd", "group"):
            text = account_text(store, tree, name)
            parts.append(None if text is None else sha256_of(text.encode("utf-8", "surrogateescape")))
    if action.network:
        settings = network_settings(store, tree, variables, home)
        parts.append(settings)
        for target in (target for target, _ in (*settings.files, *((bind[1], b"") for bind in settings.binds))):
            parts.append(real_path(trees, tree, target.encode("utf-8", "surrogateescape")))
    return tuple(parts)

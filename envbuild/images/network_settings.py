"""What a networked step gets of the machine's network settings: mounted while it runs, never in a tree or key."""

from __future__ import annotations

import os

from envbuild.record import Pairs, Record
from envbuild.sandbox.spec import Bind
from envbuild.store.objects import TooLargeToRead
from envbuild.store.store import Store
from envbuild.tree.entry import Digest
from envbuild.tree.lookup import lookup


class NetworkSettings(Record):
    """What the machine says about networks: for steps with `network`, mounted and never stored.

    `files` are (target, content) that are made for the step, `binds` (host path, target), `environment` variables.
    """

    files: tuple[tuple[str, bytes], ...] = ()
    binds: Pairs = ()
    environment: Pairs = ()


_SUITE = r"[a-z0-9][a-z0-9.-]{0,63}"


def network_settings(store: Store, tree: Digest, variables: Pairs, home: str) -> NetworkSettings:
    """Return the settings for a command on this tree. `variables` are those for proxies that the user has set."""
    from envbuild.images.host_network import settings_for  # reads apt's configuration: only for networked steps
    from envbuild.linux.os_release import MAX_RELEASE, release_fields

    try:
        text = store.read_text(tree, "etc/os-release", MAX_RELEASE) or ""
    except TooLargeToRead:
        text = ""
    # It goes into apt's sources.
    named = release_fields(text).get("VERSION_CODENAME", "")
    import re  # only for a networked step: 3 ms of a start

    suite = named if re.fullmatch(_SUITE, named) else None

    def has(path: str) -> bool:
        return lookup(store.trees, tree, path.strip("/").encode()) is not None

    settings = settings_for(suite, has, dict(variables), home)
    return NetworkSettings(settings.files, settings.binds, settings.environment)


def binds_of(settings: NetworkSettings, folder: str) -> list[Bind]:
    """Return what a sandbox has to mount; files that are made for it are written into `folder`, which outlives it."""
    binds = [Bind(os.path.realpath(source), target) for source, target in settings.binds]
    for number, (target, content) in enumerate(settings.files):
        path = f"{folder}/network-{number}"
        with open(path, "wb") as file:
            file.write(content)
        os.chmod(path, 0o644)
        binds.append(Bind(os.path.realpath(path), target))
    return binds

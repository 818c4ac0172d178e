"""What commands that move a name say of the instances that run."""

from __future__ import annotations

import os

from envbuild.cli.environment import Environment
from envbuild.images.names import place_of
from envbuild.store.store import Store

_MAX_SHOWN = 5
"""Instances that are named."""


def tell_of_left_behind(store: Store, full: str, environment: Environment) -> None:
    """Name the running instances that were started by NAME:TAG (as the store keeps it), which means another image
    now."""
    if not os.path.isdir(f"{store.path}/instances"):
        return
    from envbuild.instances.moved_on import left_behind  # most stores that only build have no instances

    outdated = left_behind(store, full)
    if not outdated:
        return
    from envbuild.text.enumeration import first_of

    names = [instance.name for instance in outdated]
    shown = store.projects.shown(full, place_of(".").id)
    verb = "runs" if len(names) == 1 else "run"
    environment.warn([f"{first_of(names, _MAX_SHOWN)} still {verb} another image than {shown} now is"], "note")

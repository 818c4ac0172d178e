"""Brings what a light capture left in Debian's packages, and says so."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence

from envbuild.capture.shipped_contents import bring
from envbuild.cli.environment import Environment
from envbuild.store.objects import Objects
from envbuild.store.promised import Promise


def bring_promised(promises: Sequence[Promise], objects: Objects, environment: Environment) -> None:
    """Put the contents that were promised into the pool. Raises ContentPromised."""
    packages = {(promise.package, promise.version) for promise in promises}
    few = ", ".join(f"{name} {version}" for name, version in sorted(packages)[:3])
    more = f" and {len(packages) - 3} more" if len(packages) > 3 else ""
    environment.warn([f"fetching what a light capture left in {few}{more}"], "note")
    if os.geteuid() == 0:
        _bring(promises, objects, environment)
        return
    from envbuild.linux.forked import call_in_child  # not for root, nor for who is in a namespace already

    def bring_inside() -> None:
        from envbuild.sandbox.user_namespace import enter_user_namespace

        objects.owners = enter_user_namespace().kind != "single"
        _bring(promises, objects, environment)

    call_in_child(bring_inside)


def _bring(promises: Sequence[Promise], objects: Objects, environment: Environment) -> None:
    with tempfile.TemporaryDirectory(prefix="envbuild-") as folder, environment.progress_line() as line:
        bring(promises, objects, folder, line)

"""What can keep a command from being started at all."""

from __future__ import annotations

from envbuild.errors import WorkFailed


class SandboxFailure(WorkFailed):
    """The sandbox could not be set up, or the command in it not be started."""

"""Snaps and flatpaks, read from their directories."""

from __future__ import annotations

from collections.abc import Iterator

from envbuild.capture.machine_root import MachineRoot
from envbuild.text import json

_SNAPS = "/snap"
_SNAP_STATE = "/var/lib/snapd/state.json"
_FLATPAKS = "/var/lib/flatpak"
_MAX_BYTES = 32 << 20


def snaps(root: MachineRoot) -> Iterator[tuple[str, ...]]:
    """Yield name, revision, version where the snap is mounted, and channel where it may be read, of each snap."""
    channels = _channels(root)
    for name in root.names(_SNAPS):
        revision = root.link(f"{_SNAPS}/{name}/current")
        if revision is None or "/" in revision:
            continue
        version = ""
        for line in (root.read_text(f"{_SNAPS}/{name}/current/meta/snap.yaml", 1 << 20) or "").split("\n"):
            if line.startswith("version:"):
                version = line.partition(":")[2].strip().strip("'\"")
        yield name, revision, version, channels.get(name, "")


def flatpaks(root: MachineRoot) -> Iterator[tuple[str, ...]]:
    """Yield kind, name, architecture, branch and commit of each application and runtime that all users have."""
    for kind in ("app", "runtime"):
        for name in root.names(f"{_FLATPAKS}/{kind}"):
            for architecture in root.names(f"{_FLATPAKS}/{kind}/{name}"):
                for branch in root.names(f"{_FLATPAKS}/{kind}/{name}/{architecture}"):
                    commit = root.link(f"{_FLATPAKS}/{kind}/{name}/{architecture}/{branch}/active")
                    if commit is not None:
                        yield kind, name, architecture, branch, commit


def _channels(root: MachineRoot) -> dict[str, str]:
    """Return the channel that each snap follows, by snapd's own state (only root may read it)."""
    try:
        plain = json.loads(root.read_text(_SNAP_STATE, _MAX_BYTES) or "{}")
        known = plain["data"]["snaps"]
        return {str(name): str(snap.get("channel", "")) for name, snap in known.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}

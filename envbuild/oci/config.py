"""The configuration of an image (OCI image specification, "Image Configuration"; the health check as Docker has it).

What other tools have no field for is under `envbuild`: the facts in their own form, the tree, and what is on record of
the build, so that an image that comes back is the same one, with its recipe and steps. A field that a tool does not
know it leaves alone (specification, "Extensibility"), and docker and the registries keep the bytes as they are.
"""

from __future__ import annotations

import time

from envbuild.oci.descriptor import json_bytes
from envbuild.plan import image_config
from envbuild.plan.image_config import Facts
from envbuild.record import Record

VERSION = 1
"""Of what is under `envbuild`."""
PLATFORMS = {
    "amd64": ("amd64", ""),
    "arm64": ("arm64", "v8"),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
    "i386": ("386", ""),
    "ppc64el": ("ppc64le", ""),
    "mips64el": ("mips64le", ""),
}
"""Debian's words for architectures, which facts have, in those of Go (GOARCH), with a variant."""
_NANO = 1_000_000_000


class History(Record):
    """A line of an image's history; one without a layer of its own is `empty`."""

    created_by: str
    empty: bool = False
    comment: str = ""


class Origin(Record):
    """What envbuild knows of an image beside its configuration: its digest and tree, and the detail of its build as
    JSON."""

    digest: str
    tree: str
    detail: str


def platform_of(arch: str) -> dict[str, str]:
    """Return a platform in the specification's words."""
    architecture, variant = PLATFORMS.get(arch, (arch, ""))
    return {"architecture": architecture, "os": "linux", **({"variant": variant} if variant else {})}


def config_of(facts: Facts, origin: Origin, diff_ids: list[str], history: list[History]) -> bytes:
    """Return the configuration of an image whose layers have these digests uncompressed, lowest first."""
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(facts.epoch))
    return json_bytes(
        {
            **platform_of(facts.arch),
            "created": created,
            "config": _settings(facts),
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "history": [
                {
                    "created": created,
                    "created_by": line.created_by,
                    **({"empty_layer": True} if line.empty else {}),
                    **({"comment": line.comment} if line.comment else {}),
                }
                for line in history
            ],
            "envbuild": {
                "version": VERSION,
                "image": origin.digest,
                "tree": origin.tree,
                "facts": image_config.to_plain(facts),
                "detail": origin.detail,
            },
        }
    )


def _settings(facts: Facts) -> dict[str, object]:
    settings: dict[str, object] = {
        "Env": [f"{name}={value}" for name, value in sorted(facts.environment_of_commands().items())],
        "WorkingDir": facts.workdir,
        "StopSignal": f"SIG{facts.stop}" if not facts.stop.isdigit() else facts.stop,
    }
    if facts.user:
        settings["User"] = facts.user
    if facts.entry is not None:
        settings["Entrypoint"] = list(facts.entry.argv)
    if facts.start is not None:
        settings["Cmd"] = list(facts.start.argv)
    if facts.expose:
        settings["ExposedPorts"] = {port if "/" in port else f"{port}/tcp": {} for port in facts.expose}
    if facts.volumes:
        settings["Volumes"] = {path: {} for path in facts.volumes}
    if facts.labels:
        settings["Labels"] = dict(facts.labels)
    if facts.health is not None:
        health = facts.health
        settings["Healthcheck"] = {
            "Test": ["CMD", *health.program.argv],
            "Interval": round(health.every * _NANO),
            "Timeout": round(health.timeout * _NANO),
            "Retries": health.retries,
            **({"StartPeriod": round(health.start_period * _NANO)} if health.start_period else {}),
            **({"StartInterval": round(health.start_interval * _NANO)} if health.start_interval else {}),
        }
    return settings

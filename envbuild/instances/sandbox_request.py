"""From the record of an instance to the request for its sandbox: the only part of a start that needs the store."""

from __future__ import annotations

import os

from envbuild.errors import UsageError, fields
from envbuild.images.network_settings import NetworkSettings, binds_of
from envbuild.instances.config import BIND, NEVER, TMPFS, VOLUME, Mount, Settings, runs_systemd
from envbuild.instances.network import HOST_NETWORK
from envbuild.instances.records import Instance, write_layers
from envbuild.linux.attributes import apply_attributes
from envbuild.plan.image_config import Facts
from envbuild.sandbox.spec import OVER_TREE, Bind, Request, Scratch
from envbuild.store.store import Store
from envbuild.tree.entry import DIRECTORY, Digest
from envbuild.tree.lookup import entry_at, has_tmp, lookup, root_entry

SHELLS = ("/bin/bash", "/usr/bin/bash", "/bin/sh", "/usr/bin/sh")
HOSTS = "/etc/hosts"
_CAPTURE = b"var/lib/envbuild/capture"
"""Where captures have their record (images/capture_record.py, which is not loaded for other images)."""
_IN_CONTAINER = {"container": "envbuild"}
"""What a command that is process 1 is told of where it is (systemd, docs/CONTAINER_INTERFACE.md)."""


@fields
class NoShell(UsageError):
    """The tree has no shell."""

    reference: str

    def text(self) -> tuple[str, str]:
        return (
            f"{self.reference} has no shell",
            f"run a program that it has: envbuild run {self.reference} -- PROGRAM",
        )


@fields
class NoWorkingDirectory(UsageError):
    """The working directory of a command does not exist."""

    path: str

    def text(self) -> tuple[str, str]:
        return f"the working directory {self.path} does not exist in the tree", "choose another one with --workdir"


def shell_of(store: Store, tree: Digest, reference: str) -> str:
    """Return the shell that a tree has. Raises NoShell."""
    for path in SHELLS:
        if lookup(store.trees, tree, path.strip("/").encode()) is not None:
            return path
    raise NoShell(reference)


def check_workdir(store: Store, tree: Digest, settings: Settings, upper: str | None = None) -> None:
    """Raise UsageError where the working directory can't be there."""
    workdir = settings.workdir
    entry = lookup(store.trees, tree, workdir.strip("/").encode())
    if entry is not None and entry.kind == DIRECTORY:
        return
    if any(workdir == mount.target or workdir.startswith(mount.target.rstrip("/") + "/") for mount in settings.mounts):
        return
    if upper is None or not os.path.lexists(f"{upper}/{workdir.strip('/')}"):
        raise NoWorkingDirectory(workdir)


def prepare(store: Store, instance: Instance, settings: Settings, facts: Facts, machine: NetworkSettings) -> Request:
    """Return what to run for an instance, with its layers in place and its volumes made.

    The process is root of the user namespace, uses the store (`share`) until the sandbox has mounted the layers, and
    has told it whether owners show. `machine` is what a command with the host's network sees of its settings. Raises
    UsageError, StoreDamaged and kinds of MachineLacks.
    """
    upper = f"{instance.path}/upper"
    check_workdir(store, instance.tree, settings, upper)
    layers = store.layers(instance.tree)
    if (settings.read_only or settings.fixed) and len(layers) > 1 and not store.database.read_only:
        from envbuild.instances.checkout_worker import fold_behind  # only for the first one

        fold_behind(store, instance.tree)
    write_layers(instance.path, layers)
    if not os.listdir(upper):
        # The root's own attributes are shown from the topmost directory.
        apply_attributes(upper, root_entry(store.trees, instance.tree), owners=store.owners_observable)
    binds = [*binds_of(machine, instance.path), *_hosts(store, instance, settings)]
    if entry_at(store.trees, instance.tree, _CAPTURE) is not None:
        binds += _identity(store, instance, settings)
    binds += [_bind(store, instance, mount) for mount in settings.mounts if mount.kind in (BIND, VOLUME)]
    return Request(
        layers=layers,
        argv=settings.argv,
        environment=tuple({**({} if settings.init else _IN_CONTAINER), **settings.variables(facts)}.items()),
        upper=None if settings.read_only else upper,
        work=None if settings.read_only else f"{instance.path}/work",
        fixed=settings.fixed,
        unfiltered=settings.unfiltered,
        directory=settings.workdir,
        user=settings.user,
        network=settings.network == HOST_NETWORK,
        binds=tuple(binds),
        scratch=(
            *_scratch_of_systemd(settings),
            *(Scratch(mount.target, mount.size) for mount in settings.mounts if mount.kind == TMPFS),
        ),
        tmp=OVER_TREE if has_tmp(store.trees, instance.tree) else "",
        hostname=_host_name(instance, settings),
        serve=True,
        as_init=not settings.init,
        # What is not synced can't be mounted a second time (overlayfs, volatile): one that may be restarted is.
        lasting=not instance.temporary or settings.restart.when != NEVER,
    )


def _scratch_of_systemd(settings: Settings) -> tuple[Scratch, ...]:
    """Return what systemd wants to be empty at each start, if that is the command."""
    if not runs_systemd(settings):
        return ()
    taken = {mount.target for mount in settings.mounts}
    return tuple(
        scratch for scratch in (Scratch("/run", mode=0o755), Scratch("/run/lock")) if scratch.target not in taken
    )


def _bind(store: Store, instance: Instance, mount: Mount) -> Bind:
    if mount.kind == BIND:
        return Bind(mount.source, mount.target, mount.read_only)
    from envbuild.instances.volumes import Volumes  # few instances have any

    volume = Volumes.of(store).make(mount.source, instance.tree, mount.target)
    return Bind(os.path.realpath(volume.path), mount.target, mount.read_only)


def _identity(store: Store, instance: Instance, settings: Settings) -> list[Bind]:
    """Return what makes an instance of a captured machine another machine; nothing for other images."""
    from envbuild.images.capture_record import is_capture  # few images are captures
    from envbuild.instances.own_identity import identity_binds

    if not is_capture(store, instance.tree):
        return []
    own_network = settings.network != HOST_NETWORK
    name = _host_name(instance, settings)
    taken = {mount.target for mount in settings.mounts}
    binds = identity_binds(store, instance.tree, instance.path, name, hosts=own_network)
    return [bind for bind in binds if bind.target not in taken]


def _host_name(instance: Instance, settings: Settings) -> str:
    return (settings.hostname or instance.name)[:64]


def _hosts(store: Store, instance: Instance, settings: Settings) -> list[Bind]:
    """Return the file that says who localhost is and who the instance itself, unless the image has its own."""
    if settings.network == HOST_NETWORK or lookup(store.trees, instance.tree, HOSTS.strip("/").encode()) is not None:
        return []
    path = os.path.realpath(f"{instance.path}/hosts")
    name = settings.hostname or instance.name
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"127.0.0.1\tlocalhost {name}\n::1\tlocalhost ip6-localhost ip6-loopback\n")
    os.chmod(path, 0o644)
    return [Bind(path, HOSTS, read_only=False)]

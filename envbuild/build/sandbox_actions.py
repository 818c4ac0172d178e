"""Runs one command of a recipe in a sandbox, and snapshots what it left."""

from __future__ import annotations

import errno
import os
import time

from envbuild.build.cache_mounts import CachesOfStep, CacheUser, caches_of
from envbuild.build.execution import Execution, PathTooLong
from envbuild.build.inputs import Inputs
from envbuild.build.sandbox_worker import Worker
from envbuild.build.secrets import Redactor
from envbuild.build.step_reads import reads_of, untracked
from envbuild.build.user_grants import NoSuchSecret, agent_of
from envbuild.contexts import ExitStack
from envbuild.images.accounts import Homes
from envbuild.images.network_settings import NetworkSettings, binds_of
from envbuild.language.network_hosts import HOST_NETWORK
from envbuild.linux.nofollow import Folder
from envbuild.linux.sparse_files import TookTooLong, TooSparse
from envbuild.packages.manager import OUT, PACKAGES, Asked, Task
from envbuild.plan.step import Execute, Step
from envbuild.record import Pairs
from envbuild.sandbox.hosts import HOSTS, MAX_BYTES, restore_hosts
from envbuild.sandbox.spec import OF_TREE, Bind, Outcome, Request, Scratch, Secret
from envbuild.sandbox.user_namespace import SHIFTED
from envbuild.store.layer_check import CLOCK_STEP
from envbuild.store.network_record import MACHINE, NetworkRecord
from envbuild.store.objects import TooLargeToRead
from envbuild.store.step_logs import OutputWriter
from envbuild.store.store import Store
from envbuild.store.work_area import Workspace
from envbuild.trace.reads import Reads
from envbuild.tree.entry import DIRECTORY, ROOT_NAME, Digest, Entry
from envbuild.tree.lookup import LinkCircle, has_tmp, lookup
from envbuild.tree.patterns import compile_patterns
from envbuild.tree.times import UNCHANGED, StepTimes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from envbuild.build.step_network.step_proxy import StepProxy


AGENT = "/run/ssh-agent.sock"
"""Where a step that may use the user's SSH agent finds it."""
MIN_READING_SECONDS = 10.0
"""Seconds that there always are to read what a command with a time limit left."""


class Executor:
    """Runs commands for one build."""

    def __init__(
        self,
        store: Store,
        worker: Worker,
        secrets: tuple[tuple[str, bytes], ...],
        agents: Pairs,
        devices: tuple[str, ...],
        network: Callable[[Digest], NetworkSettings],
        output_limit: int,
        machine: tuple[Pairs, str],
    ) -> None:
        """`agents` are (name, socket) of SSH agents and `devices` those that steps may have; `network` gives the
        settings that a networked command on this tree needs; `output_limit` bytes are kept of what a command prints;
        `machine` are the user's variables about proxies and indexes, and the user's folder."""
        self._machine = machine
        self._output_limit = output_limit
        self._store = store
        self._worker = worker
        self._secrets = dict(secrets)
        self._agents = dict(agents)
        self._devices = devices
        self._network = network
        self._homes = Homes(store)

    def execute(
        self,
        step: Step,
        inputs: Inputs,
        parent: Digest,
        near: tuple[Digest, ...],
        epoch: int,
        caches: CacheUser,
        sink: Callable[[bytes], None],
        *,
        traced: bool = False,
    ) -> Execution:
        """Run the step's command on `parent`; `sink` gets what it prints, with secrets masked. Its caches are those of
        the stage `caches`. If it is `traced`, what it reads is noted, which takes it a little longer.

        A test's changes are thrown away. Raises PathTooLong, OSError where the store can't be written, UsageError where
        the user has not given what it wants, and what the sandbox raises when the command can't be started at all.
        """
        action = step.action
        assert isinstance(action, Execute)
        secrets = tuple(Secret(name, self._secret(name)) for name in action.secrets)
        settings = self._network(parent) if action.network else NetworkSettings()
        proxy = None
        if action.network and action.network != HOST_NETWORK:
            from envbuild.build.step_network.start import proxy_of_step  # asyncio: only where a step has a network

            proxy, settings = proxy_of_step(action.network, settings, self._machine, [s.content for s in secrets])
        relay = None
        if action.ssh:
            from envbuild.build.agent_relay import AgentRelay  # few steps have it

            relay = AgentRelay(agent_of(self._agents, action.ssh))
        shown = tuple(self._shown(entry, target.decode()) for target, entry in inputs.entries)
        # The names of the machine's /etc/hosts are its own; those of a step are `localhost` and its host name.
        settings = settings.replace(binds=tuple(bind for bind in settings.binds if bind[1] != HOSTS))

        def request(space: Workspace, layers: tuple[str, ...], mounted: CachesOfStep) -> Request:
            agent = () if relay is None else (Bind(relay.listen(os.path.realpath(space.path)), AGENT),)
            devices = self._device_binds(action.devices, os.path.realpath(space.path)) if action.devices else ()
            return Request(
                layers=layers,
                argv=action.argv,
                environment=self._environment(action, parent, epoch, settings),
                upper=space.upper,
                work=space.work,
                directory=action.workdir,
                user=action.user,
                network=action.network == HOST_NETWORK,
                proxied=proxy is not None,
                names=self._has_etc(parent),
                binds=(*self._binds(inputs, settings, space.path), *shown, *mounted.binds, *agent, *devices),
                scratch=tuple(Scratch(mount.target, mount.size) for mount in action.tmpfs),
                secrets=secrets,
                timeout=step.timeout,
                tmp=OF_TREE if has_tmp(self._store.trees, parent) else "",
                doors=() if proxy is None else proxy.doors,
                traced=traced,
            )

        with ExitStack() as held:
            if relay is not None:
                held.enter_context(relay)
            done = self._run(step, request, secrets, parent, near, epoch, caches, sink, proxy)
        if proxy is not None:
            return done.replace(network=proxy.traffic.record, refused=tuple(proxy.traffic.refused.items()))
        return done.replace(network=NetworkRecord(MACHINE)) if action.network else done

    def install(
        self,
        step: Step,
        task: Task,
        parent: Digest,
        near: tuple[Digest, ...],
        epoch: int,
        sink: Callable[[bytes], None],
        *,
        keeps_times: bool = False,
        traced: bool = False,
    ) -> Execution:
        """Run a package manager's task on `parent`, without network. If it `keeps_times`, those of what it leaves stay
        as they are: for a tree on which another task goes on. `traced` as for `execute`."""

        def request(space: Workspace, layers: tuple[str, ...], mounted: CachesOfStep) -> Request:
            return Request(
                layers=layers,
                argv=task.argv,
                environment=(*task.environment, ("HOME", "/root"), ("SOURCE_DATE_EPOCH", str(epoch))),
                upper=space.upper,
                work=space.work,
                binds=tuple(_task_binds(task, space.path)),
                tmp=OF_TREE if has_tmp(self._store.trees, parent) else "",
                traced=traced,
            )

        return self._run(step, request, (), parent, near, epoch, None, sink, keeps_times=keeps_times)

    def resolve(
        self,
        task: Task,
        out: str,
        parent: Digest,
        near: tuple[Digest, ...],
        timeout: float,
        sink: Callable[[bytes], None],
        asked: Asked | None,
    ) -> tuple[Outcome, bytes]:
        """Run a package manager's task on `parent` with the network, and throw away what it does to the tree. It may
        ask the servers `asked`, None for all that this machine may.

        Return how it ended, after `timeout` seconds at the latest, and the end of its output. What it writes to
        `task.OUT` lies in the folder `out` afterwards."""
        settings, proxy = self._network(parent), None
        if asked is not None and not task.offline:
            from envbuild.build.step_network.start import proxy_of_servers  # as above

            proxy, settings = proxy_of_servers(asked, settings, self._machine)
        layers = self._store.layers(parent, near)
        with self._store.workspace(parent) as space:
            output = OutputWriter(f"{space.path}/output", self._store.objects, most=self._output_limit)

            def take(data: bytes) -> None:
                output.write(data)
                sink(data)

            request = Request(
                layers=layers,
                argv=task.argv,
                environment=(*settings.environment, *task.environment, ("HOME", "/tmp")),
                upper=space.upper,
                work=space.work,
                network=proxy is None and not task.offline,
                proxied=proxy is not None,
                binds=(
                    *binds_of(settings, space.path),
                    *_task_binds(task, space.path),
                    Bind(os.path.realpath(out), OUT, read_only=False),
                ),
                timeout=timeout,
            )
            outcome = self._run_behind(proxy, request, take)
            for host, reason in proxy.traffic.refused.items() if proxy is not None else ():
                take(f"the resolution was refused {host}: {reason}\n".encode())
            output.finish()
            return outcome, output.tail

    def _run(
        self,
        step: Step,
        request: Callable[[Workspace, tuple[str, ...], CachesOfStep], Request],
        secrets: tuple[Secret, ...],
        parent: Digest,
        near: tuple[Digest, ...],
        epoch: int,
        caches: CacheUser | None,
        sink: Callable[[bytes], None],
        proxy: StepProxy | None = None,
        *,
        keeps_times: bool = False,
    ) -> Execution:
        started = time.monotonic()
        began = time.time_ns() - CLOCK_STEP
        layers = self._store.layers(parent, near)
        with ExitStack() as held:
            space = held.enter_context(self._store.workspace(parent))
            mounted = CachesOfStep((), parent)
            if caches is not None and isinstance(step.action, Execute) and step.action.caches:
                mounted = held.enter_context(caches_of(self._store, step.action, caches, parent, epoch, space.path))
                if mounted.tree != parent:
                    layers = self._store.layers(mounted.tree, (parent,))
            output = OutputWriter(f"{space.path}/output", self._store.objects, most=self._output_limit)

            def take(data: bytes) -> None:
                output.write(data)
                sink(data)

            redactor = Redactor(tuple(secret.content for secret in secrets), take)
            asked = request(space, layers, mounted)
            unseen = _unseen(step, mounted) if asked.traced else ""
            if unseen:
                asked = asked.replace(traced=False)
            outcome = self._run_behind(proxy, asked, redactor.write)
            redactor.close()
            reads = Reads({}, unseen) if unseen else None
            if asked.traced:
                reads = reads_of(asked, outcome, self._store.trees, mounted.tree)
            digest = output.finish()
            if step.test:
                seconds = time.monotonic() - started
                return Execution(outcome, parent, digest, output.tail, 0, 0, seconds, reads=reads)
            discard = compile_patterns(step.discard) if step.discard else None
            if asked.names:
                restore_hosts(space.upper, lambda: self._own_hosts(parent), asked.hosts)
            deadline = None
            if step.timeout is not None:
                now = time.monotonic()
                deadline = max(started + step.timeout, now + MIN_READING_SECONDS)
            try:
                # Packages bring the times of their files with them.
                clock = self._store.clocks.of(parent, epoch) if isinstance(step.action, Execute) else None
                times = UNCHANGED
                if not keeps_times:
                    times = StepTimes(epoch, clock, began, time.time_ns() + CLOCK_STEP, mounted.shown)
                shot = self._store.snapshot(
                    space, parent, times=times, discard=discard, made=outcome.made, deadline=deadline
                )
            except (TooSparse, TookTooLong):
                if not outcome.status:
                    raise
                # The command's own failure is what counts; there is only nothing of it to look into.
                seconds = time.monotonic() - started
                return Execution(outcome, parent, digest, output.tail, 0, 0, seconds)
            except OSError as error:
                if error.errno == errno.ENAMETOOLONG:
                    raise PathTooLong from error
                raise
            seconds = time.monotonic() - started
            done = Execution(outcome, shot.tree, digest, output.tail, shot.files, shot.size, seconds, shot.removes)
            return done.replace(touched=shot.touched, reads=reads)

    def _run_behind(self, proxy: StepProxy | None, request: Request, sink: Callable[[bytes], None]) -> Outcome:
        """Run a command, with its proxy if it has one. Raises ProxyFailed."""
        if proxy is None:
            return self._worker.run(request, sink)
        with proxy:
            outcome = self._worker.run(request, sink, proxy.serve)
        proxy.check()
        return outcome

    def _has_etc(self, tree: Digest) -> bool:
        try:
            entry = lookup(self._store.trees, tree, b"etc")
        except LinkCircle:
            return False
        return entry is not None and entry.kind == DIRECTORY

    def _own_hosts(self, tree: Digest) -> bytes | None:
        try:
            return self._store.read_file(tree, HOSTS.strip("/"), MAX_BYTES)
        except (TooLargeToRead, LinkCircle):
            return None

    def _environment(self, action: Execute, tree: Digest, epoch: int, settings: NetworkSettings) -> Pairs:
        return tuple(
            {
                **dict(settings.environment),
                "HOME": self._homes.of(tree, action.user),
                **dict(action.environment),
                **dict(action.parameters),
                **({"SSH_AUTH_SOCK": AGENT} if action.ssh else {}),
                "SOURCE_DATE_EPOCH": str(epoch),
            }.items()
        )

    def _binds(self, inputs: Inputs, settings: NetworkSettings, folder: str) -> tuple[Bind, ...]:
        return (*binds_of(settings, folder), *(Bind(source, target) for source, target in inputs.binds))

    def _shown(self, entry: Entry, target: str) -> Bind:
        """Return a mount of what lies in another tree: of a checkout, as a mount needs one directory or file."""
        if entry.name in (b"", ROOT_NAME):
            return Bind(self._checkout(entry.digest), target)
        # A tree of it alone, so that it has its own attributes.
        name = b"shown"
        tree = self._store.trees.save([entry._replace(name=name)])
        return Bind(f"{self._checkout(tree)}/{name.decode()}", target)

    def _checkout(self, tree: Digest) -> str:
        """Return the one directory that has all of a tree. Whoever else makes it now is waited for."""
        with self._store.work.exclusive(f"fold-{tree}"):
            self._store.stacks.fold(tree)
        (layer,) = self._store.layers(tree)
        return os.path.realpath(layer)

    def _device_binds(self, devices: tuple[str, ...], folder: str) -> tuple[Bind, ...]:
        from envbuild.build.devices import device_binds  # few steps have one

        return device_binds(devices, self._devices, folder, shifted=self._worker.ids.kind == SHIFTED)

    def _secret(self, name: str) -> bytes:
        if name not in self._secrets:
            raise NoSuchSecret(name)
        return self._secrets[name]


def _unseen(step: Step, caches: CachesOfStep) -> str:
    action = step.action
    if not isinstance(action, Execute):
        return ""
    return untracked(
        network=bool(action.network), agent=bool(action.ssh), devices=bool(action.devices), caches=caches.binds
    )


def _task_binds(task: Task, folder: str) -> list[Bind]:
    """Return what a task mounts; its files are written into `folder`, which outlives the sandbox."""
    binds = []
    with Folder(folder) as held:
        for number, (target, content) in enumerate(task.files):
            held.write(f"task-{number}", content, 0o755 if target in task.executable else 0o644)
            binds.append(Bind(os.path.realpath(f"{folder}/task-{number}"), target))
        # One folder of links: a mount for each of hundreds of files would take longer than the rest.
        with held.folder("packages") as packages:
            for name, source in task.packages:
                packages.link(source, name)
    return [*binds, Bind(os.path.realpath(f"{folder}/packages"), PACKAGES)]

"""Runs the user's test on candidates, and remembers how it ended."""

from __future__ import annotations

from typing import Protocol

from envbuild.bisect.verdict import Observation, last_words_of
from envbuild.build.sandbox_worker import Worker
from envbuild.digest import sha256_of
from envbuild.images.accounts import Homes
from envbuild.images.network_settings import NetworkSettings, binds_of, network_settings
from envbuild.instances.network.interface import Network
from envbuild.plan.image_config import Facts
from envbuild.record import Pairs, Record, values
from envbuild.sandbox.exec_client import Session
from envbuild.sandbox.helper_client import HelperGone
from envbuild.sandbox.spec import OVER_TREE, Request, SandboxFailure
from envbuild.store.store import Store
from envbuild.store.trials import Trials
from envbuild.text import json
from envbuild.tree.entry import DIRECTORY, Digest
from envbuild.tree.lookup import has_tmp, lookup

TAIL = 4096
"""Bytes that are kept of the end of what a test prints."""

PATIENCE, MIN_PATIENCE, MAX_PATIENCE = 20, 30.0, 600.0
"""How many times as long as in the two environments a run may take, at least so many seconds; and the seconds of one
where that is not known, as both were remembered."""
HOSTNAME = "bisect"
"""The name of a candidate in the network of a group."""


class Probe(Record):
    """What is run on each candidate, and how: for `timeout` seconds at most, with the machine's network if it has a
    `network`, or with `services` of a group. `text` is looked for in its output."""

    argv: tuple[str, ...]
    timeout: float | None = None
    network: bool = False
    text: str = ""
    services: bool = False


class Surroundings(Record):
    """What runs have around them: the user's `variables` about proxies and indexes, and the user's `home`, for those
    with the machine's network; and the network with the services, if there are any. Then one thread runs tests."""

    variables: Pairs = ()
    home: str = ""
    network: Network | None = None


class Candidate(Record):
    """A tree and facts to try the test on. `selection` are its parts."""

    selection: int
    tree: Digest
    facts: Facts


class Layers(Protocol):
    """What returns the layers of a candidate, topmost first."""

    def of(self, selection: int, tree: Digest, /) -> tuple[str, ...]: ...


class Prober:
    """Runs one test on candidates. Several threads may use it."""

    def __init__(self, store: Store, worker: Worker, layers: Layers, probe: Probe, around: Surroundings) -> None:
        self._store = store
        self._worker = worker
        self._layers = layers
        self._probe = probe
        self._around = around
        self._homes = Homes(store)
        self._trials = Trials(store.memo)
        self._longest = 0.0
        self._limit: float | None = None
        self.tails: dict[int, str] = {}
        """The end of what the test printed in each candidate, when it failed if it ever did; or why it could not be
        started."""

    def known(self, candidate: Candidate) -> list[Observation]:
        """Return how the test ended on this candidate before, in this search and others. What a network or a service
        answers can't be remembered."""
        return [] if self._depends_on_others else [Observation(*run) for run in self._trials.get(self._key(candidate))]

    def remember(self, candidate: Candidate, seen: list[Observation]) -> None:
        """Keep all that was seen of a candidate."""
        if not self._depends_on_others:
            # What took longer than we waited for may have had a busy machine.
            kept = [run for run in seen if not run.timed_out or self._probe.timeout is not None]
            self._trials.put(self._key(candidate), [values(run) for run in kept])

    def request(self, candidate: Candidate) -> Request:
        """Return what to run for a candidate, whose layers are made where they are missing."""
        facts, tree = candidate.facts, candidate.tree
        return Request(
            layers=self._layers.of(candidate.selection, tree),
            argv=self._probe.argv,
            environment=tuple(self._environment(candidate).items()),
            directory=facts.workdir,
            user=facts.user,
            network=self._probe.network,
            names=self._has_etc(tree),
            timeout=self._probe.timeout,
            tmp=OVER_TREE if has_tmp(self._store.trees, tree) else "",
        )

    def expect_no_longer(self) -> None:
        """End runs from now on that take many times as long as those before, if nobody gave a time limit: a candidate
        may hang in which neither environment does."""
        if self._probe.timeout is None:
            self._limit = max(MIN_PATIENCE, PATIENCE * self._longest) if self._longest else MAX_PATIENCE

    def run(self, candidate: Candidate, request: Request) -> Observation:
        """Run the test once. Raises what ends the search, such as HelperGone."""
        output = _Output(self._probe.text.encode())
        settings = self._network(candidate.tree)
        with self._store.workspace(candidate.tree) as space:
            request = request.replace(
                upper=space.upper,
                work=space.work,
                binds=tuple(binds_of(settings, space.path)),
                environment=(*settings.environment, *request.environment),
            )
            session = None
            if self._around.network is not None:
                session = Session()
                request = request.replace(names=False)
                request = self._around.network.attach(space.path, (HOSTNAME,), request, session)
            try:
                outcome = self._worker.run(
                    request if self._limit is None else request.replace(timeout=self._limit),
                    output.write,
                    session=session,
                )
            except HelperGone:
                raise
            except SandboxFailure as failure:
                self.tails[candidate.selection] = failure.message
                return Observation(failure.exit_code, started=False)
        self._longest = max(self._longest, outcome.seconds)
        if outcome.status or output.seen or candidate.selection not in self.tails:
            self.tails[candidate.selection] = output.tail.decode("utf-8", "replace")
        words = last_words_of(output.tail.decode("utf-8", "replace"))
        return Observation(outcome.status, outcome.timed_out, output.seen, last_words=words)

    @property
    def _depends_on_others(self) -> bool:
        return self._probe.network or self._probe.services

    def _environment(self, candidate: Candidate) -> dict[str, str]:
        facts = candidate.facts
        return {"HOME": self._homes.of(candidate.tree, facts.user), **facts.environment_of_commands()}

    def _network(self, tree: Digest) -> NetworkSettings:
        return (
            network_settings(self._store, tree, self._around.variables, self._around.home)
            if self._probe.network
            else NetworkSettings()
        )

    def _has_etc(self, tree: Digest) -> bool:
        entry = lookup(self._store.trees, tree, b"etc", follow=False)
        return entry is not None and entry.kind == DIRECTORY

    def _key(self, candidate: Candidate) -> str:
        """Return the digest of all that a run depends on."""
        facts = candidate.facts
        parts = [
            *(candidate.tree, sorted(facts.environment_of_commands().items()), facts.user, facts.workdir),
            *(self._probe.argv, self._probe.timeout, self._probe.text, self._worker.ids.kind == "single"),
        ]
        return sha256_of(json.dumps(parts, separators=(",", ":")).encode("utf-8", "surrogateescape"))


class _Output:
    """What a test prints: its end, and whether a text was in it."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        self.tail = b""
        self.seen = False

    def write(self, data: bytes) -> None:
        kept = self.tail + data
        if self._text and not self.seen:
            self.seen = self._text in kept[-len(data) - len(self._text) :]
        self.tail = kept[-max(TAIL, len(self._text)) :]

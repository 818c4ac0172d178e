"""Runs commands on a tree that no build made, such as a merged one, and says how they ended: the tests of its recipe,
and what package managers say of themselves. What a command changes is thrown away.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from envbuild.build.cache_mounts import CacheUser
from envbuild.build.helper_ahead import start_helper
from envbuild.build.inputs import Inputs
from envbuild.build.request import BuildRequest
from envbuild.build.sandbox_actions import Executor
from envbuild.build.sandbox_worker import Worker
from envbuild.errors import UsageError
from envbuild.images.network_settings import network_settings
from envbuild.language.one_line import one_line
from envbuild.language.statement_parts import Place
from envbuild.plan.image_config import DEFAULT_ENVIRONMENT
from envbuild.plan.step import Execute, Step
from envbuild.record import Record
from envbuild.sandbox.spec import SandboxFailure
from envbuild.store.store import Store
from envbuild.tree.entry import DIRECTORY, FILE, Digest, Entry
from envbuild.tree.lookup import LinkCircle, lookup, walk

AUDIT_SECONDS = 120.0
"""The time after which an audit is ended: what it runs is a program of the tree."""
MAX_ENVIRONMENTS = 16
"""Python environments of one tree that are audited."""
_NOWHERE = Place("", 0)
_CHECK = ("--disable-pip-version-check", "--no-input", "check")
_WHEELS = ("/python-wheels", "/ensurepip/_bundled")
"""The directories of the wheels that ensurepip installs, of Debian and of Python itself."""


class Check(Record):
    """A command to be run on a tree, what it takes from elsewhere, and what it is called. A `silent` one has to print
    nothing: `dpkg --audit` says by its exit code only whether it could look."""

    name: str
    step: Step
    inputs: Inputs = Inputs()
    silent: bool = False


class Verdict(Record):
    """How a check ended: its exit `status`, or 128 and the signal's number, and the last lines that it printed.
    `reason` says why it could not run at all, "" if it ran."""

    name: str
    status: int
    lines: tuple[str, ...] = ()
    reason: str = ""
    silent: bool = False

    @property
    def passed(self) -> bool:
        """Whether it ran and found nothing."""
        return not self.reason and not self.status and not (self.silent and self.lines)


class TreeChecks:
    """Runs checks one after the other."""

    def __init__(self, store: Store, executor: Executor) -> None:
        self._store = store
        self._executor = executor

    def run(self, tree: Digest, checks: Sequence[Check], epoch: int, near: tuple[Digest, ...] = ()) -> list[Verdict]:
        """Run checks on a tree, of which those `near` may be mounted already; `epoch` is in seconds."""
        return [self._run(tree, check, epoch, near) for check in checks]

    def _run(self, tree: Digest, check: Check, epoch: int, near: tuple[Digest, ...]) -> Verdict:
        user = CacheUser(f"tree {tree}", "", fresh=True)
        try:
            done = self._executor.execute(check.step, check.inputs, tree, near, epoch, user, lambda data: None)
        except (SandboxFailure, UsageError) as error:
            return Verdict(check.name, 1, reason=error.message.splitlines()[0])
        lines = done.tail.decode("utf-8", "replace").splitlines()
        return Verdict(check.name, done.outcome.status, tuple(line for line in lines if line.strip()), "", check.silent)


@contextmanager
def tree_checks(store: Store, request: BuildRequest, tree: Digest) -> Iterator[TreeChecks]:
    """Yield what runs checks, the first of them on `tree`, with what the user grants in `request`.

    The process has one thread; it enters the user namespace. Raises MachineLacks kinds.
    """
    with ExitStack() as held:
        worker = held.enter_context(Worker.start(store, start_helper(store, tree)))
        executor = Executor(
            store,
            worker,
            request.secrets,
            request.agents,
            request.devices,
            lambda tree: network_settings(store, tree, request.network, request.home),
            request.output_limit,
            (request.network, request.home),
        )
        held.enter_context(store.work.removing_behind())
        yield TreeChecks(store, executor)


def check_of(step: Step, inputs: Inputs) -> Check:
    """Return the check that a recipe's test is."""
    return Check(one_line(step.text), step, inputs)


def audits_of(store: Store, tree: Digest) -> list[Check]:
    """Return how the package managers of a tree say whether what they have installed goes together: those whose
    programs are in it, and pip for each Python environment."""
    checks = []
    if _is_program(store, tree, "/usr/bin/dpkg") and _is_file(store, tree, "/var/lib/dpkg/status"):
        checks.append(_audit("dpkg --audit", ("/usr/bin/dpkg", "--audit"), silent=True))
        if _is_program(store, tree, "/usr/bin/apt-get"):
            checks.append(_audit("apt-get check", ("/usr/bin/apt-get", "-qq", "check")))
    return [*checks, *_pip_checks(store, tree)]


def _pip_checks(store: Store, tree: Digest) -> Iterator[Check]:
    """Yield a check for each environment: with its own pip, else with the system's (pip 22.3: `--python`), else with
    the one that came with Python to be installed (ensurepip)."""
    environments, with_pip, wheels = [], set(), []
    for path, entry in walk(store.trees, tree):
        folder, _, name = os.fsdecode(path).rpartition("/")
        if name == "pyvenv.cfg" and entry.kind == FILE:
            environments.append(f"/{folder}")
        elif name == "pip" and entry.kind == DIRECTORY and folder.endswith(("/site-packages", "/dist-packages")):
            with_pip.add(f"/{folder}")
        elif entry.kind == FILE and name.startswith("pip-") and name.endswith(".whl") and folder.endswith(_WHEELS):
            wheels.append(f"/{folder}/{name}")
    own = next((name for name in ("/usr/local/bin/python3", "/usr/bin/python3") if _is_program(store, tree, name)), "")
    outside = [path for path in with_pip if not any(path.startswith(f"{folder}/") for folder in environments)]
    if own and outside:
        yield _audit("pip check", (own, "-m", "pip", *_CHECK))
    for folder in environments[:MAX_ENVIRONMENTS]:
        python = f"{folder}/bin/python"
        if not _is_program(store, tree, python):
            continue
        words: tuple[str, ...]
        if any(path.startswith(f"{folder}/") for path in with_pip):
            words = (python, "-m", "pip", *_CHECK)
        elif own and outside:
            words = (own, "-m", "pip", "--python", python, *_CHECK)
        elif wheels:
            words = (python, f"{max(wheels)}/pip", *_CHECK)
        else:
            continue
        yield _audit(f"pip check in {folder}", words)


def _audit(name: str, argv: tuple[str, ...], *, silent: bool = False) -> Check:
    environment = tuple(sorted({**dict(DEFAULT_ENVIRONMENT), "PYTHONDONTWRITEBYTECODE": "1"}.items()))
    action = Execute(argv, environment, (), "", "/", False, (), (), (), "")
    return Check(name, Step(action, _NOWHERE, name, (), True, AUDIT_SECONDS), silent=silent)


def _is_program(store: Store, tree: Digest, path: str) -> bool:
    entry = _entry(store, tree, path)
    return entry is not None and entry.kind == FILE and entry.mode & 0o111 != 0


def _is_file(store: Store, tree: Digest, path: str) -> bool:
    entry = _entry(store, tree, path)
    return entry is not None and entry.kind == FILE


def _entry(store: Store, tree: Digest, path: str) -> Entry | None:
    try:
        return lookup(store.trees, tree, os.fsencode(path).strip(b"/"))
    except LinkCircle:
        return None

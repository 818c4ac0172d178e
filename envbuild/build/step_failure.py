"""What a step's failure leaves: where to look into it, an event, and the error to raise."""

from __future__ import annotations

import os
import time

from envbuild.build.events import Emit, StepFailed
from envbuild.build.execution import Execution
from envbuild.build.graph import Stage
from envbuild.build.job import BuildJob
from envbuild.build.progress import StageProgress
from envbuild.errors import EnvbuildError, WorkFailed, fields
from envbuild.images.names import place_of
from envbuild.language.network_hosts import HOST_NETWORK
from envbuild.language.statement_parts import Place
from envbuild.plan.image_config import dump
from envbuild.plan.step import Action, Execute, InstallPackages, Step
from envbuild.record import Pairs
from envbuild.store.images import Failure
from envbuild.store.network_record import NOT_LISTED
from envbuild.text import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_REFUSED = 10
"""Hosts that a failure names."""
_UNREACHED = (
    b"EAI_AGAIN",
    b"ENETUNREACH",
    b"Name or service not known",
    b"Network is unreachable",
    b"Temporary failure in name resolution",
    b"Temporary failure resolving",
    b"ould not resolve",
    b"no such host",
    b"bad address",
    b"ailed to connect",
    b"onnection refused",
    b"ECONNREFUSED",
)
"""What programs say that ask no proxy."""


@fields
class StepFailure(WorkFailed):
    """A command of the recipe did not succeed. It was reported as an event already."""

    place: Place
    reason: str

    def text(self) -> tuple[str, str]:
        return f"{self.place.file}:{self.place.line}: {self.reason}", ""


@fields
class Stopped(EnvbuildError):
    """A stage was given up because another one failed. Never leaves the build."""

    def text(self) -> tuple[str, str]:
        return "another stage failed", ""


def step_failed(job: BuildJob, at: StageProgress, step: Step, done: Execution, event: int) -> StepFailure:
    """Keep where the step failed for `shell --failed`, tell of it, and return the error to raise."""
    recipe = at.stage.recipe_name
    outcome = done.outcome
    if outcome.timed_out:
        message = f"the command took longer than timeout={step.timeout:g}s and was ended"
    elif outcome.signal:
        message = f"the command was ended by signal {outcome.signal}"
    else:
        message = f"the command failed with exit status {outcome.status}"
        from envbuild.build.missing_network import hint_of  # only where a step fails

        hint = hint_of(step, outcome.status, done.tail)
        message += f"\nhint: {hint}" if hint else ""
    action = step.action
    if isinstance(action, InstallPackages):
        from envbuild.build.unsatisfied import unsatisfied  # only where an installation failed

        explanation = unsatisfied(job.graph.recipe_of(at.stage), at, at.next_number, step, done.tail)
        message += f"\n{explanation}" if explanation else ""
        environment, user, workdir = action.environment, "", "/"
        parameters: Pairs = ()
    else:
        assert isinstance(action, Execute)
        environment, user, workdir = action.environment, action.user, action.workdir
        parameters = action.parameters
    facts = at.facts.replace(environment=environment, user=user, workdir=workdir, start=None, health=None)
    detail = {
        "text": step.statement,
        "file": step.place.file,
        "line": step.place.line,
        "output": done.output,
        "parameters": dict(parameters),
    }
    place = place_of(os.path.dirname(job.graph.recipe_of(at.stage).path))
    if place.project is not None:
        job.store.projects.add(place.project)
    job.store.images.fail(Failure(place.own(recipe), done.tree, dump(facts), json.dumps(detail), time.time()))
    job.reporter.emit(
        StepFailed(
            event,
            recipe,
            at.stage.name,
            step.statement,
            step.place.file,
            step.place.line,
            "\n".join((message, *_of_network(action, done))),
            outcome.status,
            done.seconds,
            done.tail,
            f"envbuild shell --failed {recipe}",
            marked_in(step, done.tail.decode(errors="replace")),
        )
    )
    failure = StepFailure(step.place, message)
    failure.reported = True
    return failure


def _of_network(action: Action, done: Execution) -> Iterator[str]:
    """Yield what the network of a step that failed may have to do with it."""
    if not isinstance(action, Execute) or not action.network or action.network == HOST_NETWORK:
        return
    for host, reason in done.refused[:MAX_REFUSED]:
        yield f"the step was refused {host}: {reason}"
    if len(done.refused) > MAX_REFUSED:
        yield f"and {len(done.refused) - MAX_REFUSED} more"
    missing = [host for host, reason in done.refused if reason == NOT_LISTED][:MAX_REFUSED]
    if missing:
        yield f'hint: to let it through: network="{", ".join((str(action.network), *missing))}"'
    elif done.refused:
        yield 'hint: what lies on this machine has to be named by its address: network="ADDRESS:PORT"; or network=host'
    elif any(word in done.tail for word in _UNREACHED):
        yield "hint: only HTTP and HTTPS pass, through the proxy that http_proxy and https_proxy name; for what looks"
        yield 'up names or connects by itself, as ssh does, name the server: network="HOST:PORT"; or network=host'


def marked_in(step: Step, said: str) -> str:
    """Return which file or project a statement about packages names that a failure is about: the one that the package
    manager speaks of, else the first. "" where it names none."""
    from envbuild.build.step_place import named_by  # only where a step fails

    names = named_by(step.action) if isinstance(step.action, InstallPackages) else ()
    mentioned = [name for name in names if (plain := name.partition("[")[0].strip("./")) and plain in said]
    return next(iter((*mentioned, *names)), "")


def report_failure(
    emit: Emit,
    event: int,
    stage: Stage,
    text: str,
    place: Place,
    error: EnvbuildError,
    started: float,
    step: Step | None = None,
) -> None:
    """Report that a step could not be done at all, or that the base with this `text` can't be made; `started` is when
    it was begun (time.monotonic)."""
    hint = f"\nhint: {error.hint}" if error.hint else ""
    emit(
        StepFailed(
            event,
            stage.recipe_name,
            stage.name,
            text if step is None else step.statement,
            place.file,
            place.line,
            error.message + hint,
            0,
            time.monotonic() - started,
            b"",
            "",
            "" if step is None else marked_in(step, error.message),
        )
    )
    error.reported = True
    if isinstance(error, WorkFailed):
        # 126 and 127 are for commands that somebody runs: a build has failed like any other.
        error.exit_code = WorkFailed.exit_code

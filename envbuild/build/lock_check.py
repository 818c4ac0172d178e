"""Obeying the lock: with --locked another base, step or tree is refused, without it the user is told."""

from __future__ import annotations

from envbuild.build.events import Emit, Notice
from envbuild.build.stage import StageRun, StepResult
from envbuild.lockfile import lock as locks
from envbuild.lockfile.lock import LockOutOfDate


def check_base(run: StageRun, path: str, strict: bool, emit: Emit) -> None:
    """Refuses a base that is not the one in the lock at `path` if `strict`; else tells when it differs."""
    assert run.base is not None
    if run.locked is None:
        if strict:
            raise LockOutOfDate(path, f"+ stage {run.name}: from {run.base_text}  (not in the lock)")
        return
    if run.locked.digest == run.base.tree or (not run.locked.digest and not strict):
        return
    what = f"stage {run.name}: from {run.base_text}"
    if strict:
        raise LockOutOfDate(path, f"  {what}\n- {run.locked.digest}\n+ {run.base.tree}")
    emit(
        Notice(
            "warning",
            f"{what} is not what the lock has (lock {run.locked.digest[:12]}, now {run.base.tree[:12]})",
            "the lock is renewed; look at its diff before you commit it",
        )
    )


def check_step(run: StageRun, result: StepResult, path: str, strict: bool, emit: Emit) -> None:
    """Refuses a step whose key or tree is not the lock's if `strict`; else tells of another tree."""
    if result.step.test or run.locked is None:
        return
    number = next(i for i, step in enumerate(run.plan.steps) if step is result.step)
    text = locks.first_line(result.step.text)
    if number >= len(run.locked.steps):
        if strict:
            raise LockOutOfDate(path, f"+ {text}")
        return
    locked = run.locked.steps[number]
    if strict and locked.key != result.key:
        raise LockOutOfDate(path, f"- {locked.text}\n+ {text}" if locked.text != text else _changed(text))
    if locked.key == result.key and result.tree and locked.tree != result.tree:
        if strict:
            raise LockOutOfDate(path, f"  {text}\n- gave tree {locked.tree}\n+ gave tree {result.tree}")
        emit(
            Notice(
                "warning",
                f"'{text}' gave another tree than the lock has for it",
                "the step is not reproducible: `envbuild build --check` shows which files differ",
            )
        )


def _changed(text: str) -> str:
    return f"~ {text}  (its files, base or environment changed, or the lock was made where owners are kept, or not)"

"""The check of a build against its lock: with --locked another base, step or tree is refused, else the user is told."""

from __future__ import annotations

from envbuild.build.events import Emit, Notice
from envbuild.build.graph import Stage
from envbuild.build.progress import BaseTree, StepResult
from envbuild.lockfile.lock import LockOutOfDate, first_line


def check_base(stage: Stage, base: BaseTree, path: str, strict: bool, emit: Emit) -> None:
    """Refuse a base that is not the one in the lock at `path` if `strict`; else tell when it differs."""
    locked = stage.locked
    if locked is None:
        if strict:
            raise LockOutOfDate(path, f"+ stage {stage.name}: {_from(stage)}  (not in the lock)")
        return
    if locked.digest == base.tree or (not locked.digest and not strict):
        return
    what = f"stage {stage.name}: {_from(stage)}"
    if strict:
        raise LockOutOfDate(path, f"  {what}\n- {locked.digest}\n+ {base.tree}")
    emit(
        Notice(
            "warning",
            f"{what} is not what the lock has (lock {locked.digest[:12]}, now {base.tree[:12]})",
            "the lock is renewed; look at its diff before you commit it",
        )
    )


def check_result(stage: Stage, result: StepResult, path: str, strict: bool, emit: Emit) -> None:
    """Refuse a step whose key or tree is not the lock's if `strict`; else tell of another tree."""
    if result.step.test or stage.locked is None:
        return
    text = first_line(result.step.text)
    if result.number >= len(stage.locked.steps):
        if strict:
            raise LockOutOfDate(path, f"+ {text}")
        return
    locked = stage.locked.steps[result.number]
    if strict and locked.key != result.key:
        raise LockOutOfDate(path, f"- {locked.text}\n+ {text}" if locked.text != text else _changed(text))
    if locked.key == result.key and result.tree and locked.tree != result.tree and (strict or locked.tree):
        if strict:
            raise LockOutOfDate(path, f"  {text}\n- gave tree {locked.tree}\n+ gave tree {result.tree}")
        emit(
            Notice(
                "warning",
                f"'{text}' gave another tree than the lock has for it",
                "the step is not reproducible: `envbuild build --check` shows which files differ",
            )
        )


def _from(stage: Stage) -> str:
    return f"from {stage.base_text}"


def _changed(text: str) -> str:
    return f"~ {text}  (its files, base or environment changed, or the lock was made where owners are kept, or not)"

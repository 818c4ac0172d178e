"""A step's key: the name under which its result is kept.

Two steps with one key have the same action, start from the same tree, take the same inputs and obey the same
epoch and discards. The form is pinned by tests/plan/keys: a change of it throws away everybody's cache.
"""

from __future__ import annotations

from envbuild.digest import sha256_of
from envbuild.plan.step import Action, CopyIn, Execute, FetchFile, InstallPackages, Render, Step, WriteFile
from envbuild.record import Record, values
from envbuild.text import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


FORMAT = "envbuild step 1"
FORMAT_WITH_TIMES = "envbuild step 2"
"""Of steps that give files times of their own (tree/times.py): in format 1 all of these were the epoch."""
_WITH_TIMES = (Execute, CopyIn, Render, WriteFile, FetchFile)


def key_of(step: Step, parent: str, inputs: Sequence[str], epoch: int, *, owners_kept: bool = True) -> str:
    """Return the key of `step` on the tree `parent` (64 hexadecimal digits).

    `inputs` are the digests of what the action takes from elsewhere, in the action's order: trees that it
    copies, a template's bytes, a fetched file, a mounted folder. `owners_kept` is False where a command runs with a
    single id: changes of owner are then answered and not done, so it is another step.
    """
    return sha256_of(_form(step, parent, inputs, epoch, owners_kept))


def statement_of(step: Step, inputs: Sequence[str], epoch: int, *, owners_kept: bool = True) -> str:
    """Return the name of all that a step's key is made of but the tree that it starts from."""
    return sha256_of(b"statement " + _form(step, "", inputs, epoch, owners_kept))


def _form(step: Step, parent: str, inputs: Sequence[str], epoch: int, owners_kept: bool) -> bytes:
    format = FORMAT_WITH_TIMES if isinstance(step.action, _WITH_TIMES) else FORMAT
    form: list[object] = [format, _action(step.action), step.test, list(step.discard), parent, list(inputs), epoch]
    if not owners_kept and isinstance(step.action, (Execute, InstallPackages)):
        form.append("owners not kept")
    return json.dumps(form, separators=(",", ":")).encode("utf-8", "surrogateescape")


def _action(action: Action) -> object:
    """Return an action as its key has it: fields with a default came later, and count where they say something."""
    later = action.__field_defaults__
    fields = zip(action.__match_args__, values(action), strict=True)
    form: list[object] = [type(action).__name__]
    for name, value in fields:
        if name not in later and name != "folder":
            form.append(_plain(value))
        elif name in later and value != later[name]:
            form.append([name, _plain(value)])
    return form


def _plain(value: object) -> object:
    if isinstance(value, Record):
        # The folder only says where paths are looked up; what is found there is among the inputs.
        fields = zip(value.__match_args__, values(value), strict=True)
        return [type(value).__name__, *(_plain(field) for name, field in fields if name != "folder")]
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value

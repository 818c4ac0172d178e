"""Under which keys results lie in a shared cache, and which of them may lie there."""

from __future__ import annotations

from envbuild.build.bases import Bases
from envbuild.build.graph import Graph, Stage
from envbuild.digest import sha256_of
from envbuild.language.base_kinds import Debian, Scratch, Tarball
from envbuild.plan.step import Execute, Step
from envbuild.text import json
from envbuild.tree.entry import Digest

_FORMAT = 1


def is_shared_base(stage: Stage) -> bool:
    """Return whether a stage's base may lie there: Debians and archives. This machine's own files (`host`) stay here,
    and images are had from where they are."""
    return isinstance(stage.base, (Debian, Tarball, Scratch))


def is_pinned(stage: Stage) -> bool:
    """Return whether it is the lock that says which tree a shared base has to be."""
    return isinstance(stage.base, Debian)


def base_key(stage: Stage, bases: Bases, pinned: Digest) -> str:
    """Return the key of a stage's base. One that a lock pins has a key of its own with its tree: who has the lock asks
    for that tree alone, and is told that it was made for this base."""
    return sha256_of(json.dumps(["envbuild base", _FORMAT, bases.key(stage), pinned]).encode())


def chain_key(graph: Graph, stage: Stage) -> str:
    """Return the key of the chain with the results of a stage that reads like this one: a hint, whatever files it
    copies and whatever packages it means."""
    recipe = graph.recipe_of(stage).recipe
    texts = [statement.text for statement in stage.written.statements]
    form = ["envbuild chain", _FORMAT, stage.base_text, texts, recipe.parameters]
    return sha256_of(json.dumps(form).encode("utf-8", "surrogateescape"))


def is_shared(step: Step) -> bool:
    """Return whether the result of a step may come from somebody else: not where it may depend on what only the user
    gives it and no key knows: secrets, an SSH agent, devices."""
    action = step.action
    return not (isinstance(action, Execute) and (action.secrets or action.ssh or action.devices))

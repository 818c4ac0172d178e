"""The inputs of a step by the names that a user knows them by: what is on record beside its result."""

from __future__ import annotations

import os

from envbuild.build.inputs import Inputs
from envbuild.build.walk import PendingStep
from envbuild.plan.key_parts import Input, Parts, dump, parts_of
from envbuild.plan.step import CopyIn, Execute, FetchFile, InstallPackages, Render, Step
from envbuild.store.step_cache import Source
from envbuild.tree.entry import DIRECTORY


def parts_and_source(pending: PendingStep, recipe_path: str, *, owners_kept: bool) -> tuple[Parts, Source]:
    """Return what the key of a step is made of, and where the step stands, for the record of its result."""
    named = named_inputs(pending.step, pending.inputs)
    parts = parts_of(pending.step, pending.parent, named, pending.epoch, owners_kept=owners_kept)
    return parts, Source(os.path.abspath(recipe_path), pending.stage.name, pending.number, dump(parts))


def named_inputs(step: Step, inputs: Inputs) -> tuple[Input, ...]:
    """Return the inputs of a step with the names that a user knows them by."""
    match step.action:
        case CopyIn(origin=None, sources=sources) as action:
            whole = len(sources) == len(inputs.files)
            names = sources if whole else [os.fsdecode(item.entry.name) for item in inputs.files]
            if action.optional or action.parents:
                names = [item.called for item in inputs.files]
            entries = [item.entry for item in inputs.files]
        case CopyIn(origin=origin):
            assert origin is not None
            names = [f"/{os.fsdecode(path)} of {origin.argument}" for path, _ in inputs.entries]
            entries = [entry for _, entry in inputs.entries]
        case Render(template=template):
            return (Input(template, "", " ".join(inputs.digests)),)
        case FetchFile(url=url):
            return (Input(url, "", inputs.digests[0]),)
        case Execute(mounts=mounts):
            names = [f"{mount.source} of {mount.origin.argument}" for mount in step.action.shown]
            names += [source for source, _ in mounts]
            return tuple(Input(name, "", digest) for name, digest in zip(names, inputs.digests, strict=True))
        case InstallPackages():
            from envbuild.packages.manager import shown_path
            from envbuild.packages.registry import manager_of

            installed = manager_of(step.action.manager).installed_files(inputs.contents)
            packages = [f"{package.name} {package.version}" for package in inputs.packages]
            named_too = [*packages, *(shown_path(path) for path, _ in installed)]
            return tuple(Input(name, "", digest) for name, digest in zip(named_too, inputs.digests, strict=False))
        case _:
            return ()
    return tuple(
        Input(name, entry.kind, entry.digest if entry.kind == DIRECTORY else digest)
        for name, entry, digest in zip(names, entries, inputs.digests, strict=True)
    )

"""How an image was made, as a predicate that others read (SLSA 1.0, "Provenance").

All of it is from the record of the build: the recipe and the lock as they were, the commit, the bases, packages and
files that the lock pins, and what steps could ask of the network. What is not on record, as of an image that came from
elsewhere, is not there.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from envbuild import __version__
from envbuild.digest import sha256_of
from envbuild.images.find import facts_of
from envbuild.lockfile.lock import BadLock, Lock, Package
from envbuild.lockfile.lock_file import parse
from envbuild.store.images import Image
from envbuild.store.network_record import NetworkRecord, records_of
from envbuild.store.store import Store
from envbuild.store.tags import BUILD

BUILD_TYPE = "urn:envbuild:recipe:1"
BUILDER = "urn:envbuild:builder"
_MAX_TEXT = 2000
Plain = dict[str, Any]


def provenance(store: Store, image: Image) -> Plain:
    """Return the predicate for an image. Raises StoreDamaged."""
    detail = image.known
    sources = detail.get("sources") or {}
    facts = facts_of(image)
    lock_path = f"{sources.get('recipe', '')}.lock"
    lock_text = sources.get("locks", {}).get(lock_path, "")
    known = next((move.known for move in store.tags.moves_to(image.digest) if move.action == BUILD), {})
    asked = {
        "recipe": detail.get("recipe", ""),
        "path": sources.get("recipe", ""),
        "parameters": detail.get("parameters", {}),
        **{name: sources[name] for name in ("settings", "stage", "epoch", "secrets") if name in sources},
    }
    steps = [_step(step, records_of(store.database, detail).get(step["key"])) for step in _steps(detail)]
    return {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": asked,
            "internalParameters": {"architecture": facts.arch, "epoch": facts.epoch, "steps": steps},
            "resolvedDependencies": [
                *_source_files(store, sources, known),
                *_lock(lock_path, lock_text),
                *_bases(detail),
            ],
        },
        "runDetails": {
            "builder": {"id": BUILDER, "version": {"envbuild": __version__}},
            "metadata": {
                "finishedOn": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(image.made)),
            },
        },
    }


def _steps(detail: Plain) -> Iterator[Plain]:
    for stage in detail.get("stages", []):
        yield from stage["steps"]


def _step(step: Plain, network: NetworkRecord | None) -> Plain:
    """Return a step, and what it could ask of the network: without `network`, nothing."""
    plain: Plain = {"line": f"{step['file']}:{step['line']}", "text": step["text"][:_MAX_TEXT], "key": step["key"]}
    if network is not None:
        plain["network"] = {
            "allowed": network.mode,
            "asked": list(network.asked),
            "refused": list(network.refused),
            "answers": [
                {"uri": answer.address, "digest": {"sha256": answer.sha256}, "size": answer.size}
                for answer in network.answers
            ],
            "more": network.more,
        }
    return plain


def _source_files(store: Store, sources: Plain, known: Plain) -> Iterator[Plain]:
    """Yield the files of the recipe, and the commit that they are of, as far as they are as committed."""
    for path in sources.get("files", ()):
        text = store.read_text(sources["tree"], path, errors="surrogateescape")
        if text is not None:
            digest = sha256_of(text.encode("utf-8", "surrogateescape"))
            yield {"name": f"recipe:{path}", "digest": {"sha256": digest}}
    if sources.get("tree"):
        yield {"name": "sources", "digest": {"envbuildTree": sources["tree"]}}
    if known.get("commit"):
        yield {
            "name": "commit",
            "digest": {"gitCommit": known["commit"]},
            "annotations": {"clean": not known.get("dirty"), "branch": known.get("branch") or ""},
        }


def _bases(detail: Plain) -> Iterator[Plain]:
    for stage in detail.get("stages", []):
        yield {
            "name": f"base:{stage['base']}",
            "digest": {"envbuildTree": stage["tree"]},
            "annotations": {"stage": stage["stage"], "origin": stage["origin"]},
        }


def _lock(path: str, text: str) -> Iterator[Plain]:
    """Yield the lock, and the packages and files that it pins for machines like this one."""
    if not text:
        return
    yield {"name": f"lock:{path}", "digest": {"sha256": sha256_of(text.encode("utf-8", "surrogateescape"))}}
    try:
        lock: Lock = parse(text, path)
    except BadLock:
        return
    for stage in lock.stages:
        for package in stage.packages.all:
            yield _package("apt", package, stage.name)
        for install in stage.installs:
            for package in install.packages:
                yield _package(install.manager, package, stage.name)
    for address, digest in lock.own.fetched:
        yield {"name": "fetched", "uri": address, "digest": {"sha256": digest}}
    for address, commit in lock.own.commits:
        yield {"name": "repository", "uri": address, "digest": {"gitCommit": commit.rpartition(" ")[2]}}
    for reference, digest in lock.own.images:
        yield {"name": f"image:{reference}", "digest": {"envbuildImage": digest}}


def _package(manager: str, package: Package, stage: str) -> Plain:
    algorithm, _, digits = package.hash.partition(":")
    return {
        "name": f"{manager}:{package.name}",
        "digest": {algorithm: digits},
        "annotations": {"version": package.version, "origin": package.origin, "stage": stage},
    }

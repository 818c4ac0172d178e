"""`envbuild verify --key`: what keys say of an image."""

from __future__ import annotations

from envbuild.cli.environment import Environment
from envbuild.cli.json_output import print_json
from envbuild.cli.key_options import public_key
from envbuild.cli.registry_options import access
from envbuild.errors import WorkFailed, fields
from envbuild.registry.reference import PULL, is_host, parse_reference
from envbuild.sharing.image_trust import covers_image, covers_manifest
from envbuild.sharing.signing import fetch_signatures
from envbuild.store.store import Store
from envbuild.trust.evidence import Attested, Covers, attested
from envbuild.trust.statement import APPROVAL, BILL_OF_MATERIALS, PROVENANCE
from envbuild.ui.sanitize import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from typing import Any

_WORDS = {APPROVAL: "signed", PROVENANCE: "provenance", BILL_OF_MATERIALS: "bill of materials"}


@fields
class NotSignedBy(WorkFailed):
    """No signature of an image is by any of the keys that were asked."""

    reference: str
    keys: tuple[str, ...]
    count: int

    def text(self) -> tuple[str, str]:
        others = f"; it has {self.count} by other keys, or of other images" if self.count else "; it has none"
        remote = "; what was signed by `build` alone shows where the image is: pull it" if "/" in self.reference else ""
        return (
            f"{self.reference} has no signature by {', '.join(self.keys)}{others}",
            f"sign it: envbuild push --sign, or build --sign{remote}",
        )


def check_signatures(arguments: argparse.Namespace, environment: Environment) -> int:
    """Print what the keys of `--key` say of an image. Raises NotSignedBy, BadKey and what finding the image raises."""
    keys = [public_key(word, environment) for word in arguments.key]
    digest, bundles, covers = _signatures(arguments, environment)
    order = list(_WORDS)
    statements = sorted(
        attested(bundles, keys, covers),
        key=lambda item: order.index(item.statement.kind) if item.statement.kind in _WORDS else len(order),
    )
    if not any(item.statement.kind == APPROVAL for item in statements):
        raise NotSignedBy(arguments.image, tuple(key.where for key in keys), len(bundles))
    if arguments.format == "json":
        plain = {"reference": arguments.image, "digest": digest, "statements": [_plain(item) for item in statements]}
        print_json(plain, environment.stdout)
        return 0
    environment.stdout.write(f"{arguments.image} = {digest}\n")
    for item in statements:
        environment.stdout.writelines(f"{visible(line)}\n" for line in lines_of(item))
    return 0


def _signatures(arguments: argparse.Namespace, environment: Environment) -> tuple[str, list[bytes], Covers]:
    """Return the digest of what is meant, its signatures, and what tells whether a digest is its own."""
    host, slash, _ = arguments.image.partition("/")
    if slash and is_host(host):
        reference = parse_reference(arguments.image)
        remote = access(arguments, environment).repository(reference, PULL, insecure=arguments.insecure)
        manifest = remote.manifest(reference)[0].digest
        return manifest, fetch_signatures(remote, [manifest]), covers_manifest([manifest], "")
    from envbuild.build.named_image import find_image

    with Store.open(environment.store_path(), create=False) as store:
        image = find_image(store, arguments.image)
        bundles = store.signatures.of(image.digest)
        known = covers_image(store, image.digest)
        # Asked while the store is open.
        answers = {digest: known(*digest) for digest in _digests(bundles)}
        return f"sha256:{image.digest}", bundles, lambda algorithm, digits: answers[algorithm, digits]


def _digests(bundles: list[bytes]) -> Iterator[tuple[str, str]]:
    from envbuild.trust.bundle import read_bundle
    from envbuild.trust.envelope import BadEnvelope
    from envbuild.trust.statement import read_statement

    for bundle in bundles:
        try:
            statement = read_statement(read_bundle(bundle, "a signature"), "a signature")
        except BadEnvelope:
            continue
        for subject in statement.subjects:
            yield from subject.digests


def _plain(item: Attested) -> dict[str, Any]:
    return {
        "kind": item.statement.kind,
        "names": list(item.names),
        "keys": [{"file": key.where, "identity": key.identity} for key in item.keys],
        "predicate": item.statement.predicate,
    }


def lines_of(item: Attested) -> Iterator[str]:
    """Yield what a statement says in a few lines, whatever tool made it."""
    word = _WORDS.get(item.statement.kind, item.statement.kind)
    names = ", ".join(name or "no name" for name in dict.fromkeys(item.names))
    yield f"{word} as {names} by {', '.join(key.where for key in item.keys)}"
    if item.statement.kind == PROVENANCE:
        yield from (f"  {line}" for line in _provenance(item.statement.predicate))
    if item.statement.kind == BILL_OF_MATERIALS and isinstance(
        parts := item.statement.predicate.get("components"), list
    ):
        yield f"  {len(parts)} packages"


def _provenance(predicate: dict[str, Any]) -> Iterator[str]:
    """Yield the few things of a provenance that people ask for first; other tools' have other fields."""
    definition = predicate.get("buildDefinition")
    details = predicate.get("runDetails")
    dependencies = definition.get("resolvedDependencies") if isinstance(definition, dict) else None
    entries = [entry for entry in dependencies if isinstance(entry, dict)] if isinstance(dependencies, list) else []
    builder = details.get("builder") if isinstance(details, dict) else None
    if isinstance(builder, dict):
        versions = builder.get("version")
        shown = [f"{name} {text}" for name, text in versions.items()] if isinstance(versions, dict) else []
        yield f"builder   {', '.join([str(builder.get('id')), *shown])}"
    for entry in entries:
        digest, notes = entry.get("digest"), entry.get("annotations")
        if entry.get("name") == "commit" and isinstance(digest, dict) and isinstance(notes, dict):
            state = "clean" if notes.get("clean") is True else "with changes"
            yield f"commit    {digest.get('gitCommit')} ({state})"
    for entry in entries:
        name = str(entry.get("name") or "")
        if name.startswith(("base:", "recipe:", "lock:")) and isinstance(digest := entry.get("digest"), dict):
            yield f"{name.replace(':', ' ', 1):<9} {next(iter(digest.values()), '')}"
    yield f"{len(entries)} dependencies"

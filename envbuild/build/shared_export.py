"""Gives a shared cache the results of a build that it lacks: each under the tag of its key, so that two builds that
do this at once take nothing from each other, and for each stage a chain, which the last one writes."""

from __future__ import annotations

import os

from envbuild.build.events import Notice
from envbuild.build.graph import Stage
from envbuild.build.job import BuildJob
from envbuild.build.progress import StageProgress, StepResult
from envbuild.build.shared_keys import base_key, chain_key, is_pinned, is_shared, is_shared_base
from envbuild.digest import sha256_of
from envbuild.oci.descriptor import Descriptor
from envbuild.oci.manifest import BadImage
from envbuild.sandbox.user_namespace import enter_user_namespace
from envbuild.sharing.cache_process import CacheGone, CacheProcess, Upload
from envbuild.sharing.shared_step import (
    MAX_OUTPUT,
    PART,
    Part,
    SharedStep,
    manifest_of_chain,
    manifest_of_step,
    part_of,
    read_records,
    tag_of,
)
from envbuild.sharing.tree_pack import new_parts, pack_contents, pack_index, small_contents
from envbuild.store.database import StoreDamaged
from envbuild.store.network_record import NetworkRecords
from envbuild.store.network_record import dump as dump_network
from envbuild.store.step_logs import open_output
from envbuild.text import json
from envbuild.tree.entry import Digest

_SMALL = 64 << 10
"""Bytes of contents that are packed in memory."""


class _Result:
    """A result that is to be there: under a tag, the trees that it leads from and to, and the step that made it, or for
    a base what is to be known of it. `anew` says that it takes the place of one that is there."""

    def __init__(self, tag: str, parent: Digest, tree: Digest, made: StepResult | str, *, anew: bool = False) -> None:
        self.tag = tag
        self.parent = parent
        self.tree = tree
        self.made = made
        self.anew = anew

    @property
    def key(self) -> str:
        """The key that it lies under."""
        return self.tag.partition("-")[2]


def export(job: BuildJob, process: CacheProcess, name: str, warned: set[str]) -> None:
    """Give a registry what it lacks, signed under the name of the cache (HOST/PATH) where there is a key; then what is
    there without that signature, too. What goes wrong there is a warning; `warned` are those that the user had."""
    try:
        sent = _Export(job, process, name).run()
    except (CacheGone, StoreDamaged) as error:
        text = f"the results are not put into the shared cache {process.name}: {error}"
        if text not in warned:
            warned.add(text)
            job.reporter.emit(Notice("warning", text, "the image is built; a later build puts them there"))
        return
    if sent:
        text = f"{sent} result{'s' * (sent != 1)} put into the shared cache {process.name}"
        job.reporter.emit(Notice("note", text))


class _Export:
    def __init__(self, job: BuildJob, process: CacheProcess, name: str) -> None:
        self._job = job
        self._name = name
        self._key = job.request.key
        self._store = job.store
        self._process = process
        self._made: dict[str, SharedStep] = {}
        """By their tags."""

    def run(self) -> int:
        """Send what is missing, and return how many results that was."""
        graph = self._job.graph
        stages = [(stage, self._results_of(stage)) for stage in graph.stages]
        chains = [(self._chain_tags(stage, results), results) for stage, results in stages if results]
        results = {result.tag: result for _, listed in stages for result in listed}
        tags = [*results, *(tag for names, _ in chains for tag in names)]
        missing = self._process.missing(tags) if tags else set()
        missing |= self._unsigned([tag for tag in tags if tag not in missing])
        wanted = [result for tag, result in results.items() if tag in missing or result.anew]
        new = {result.tag for result in wanted}
        if wanted:
            self._store.owners_observable = enter_user_namespace().kind != "single"
            self._process.put([self._upload(result) for result in wanted])
        stale = [
            (names, listed)
            for names, listed in chains
            if not missing.isdisjoint(names) or any(result.tag in new for result in listed)
        ]
        if stale:
            self._recall([result.tag for _, listed in stale for result in listed])
            self._process.put([upload for names, listed in stale for upload in self._chain(names, listed)])
        return len(wanted)

    def _unsigned(self, tags: list[str]) -> set[str]:
        """Return those of these tags whose records lack our signature, where we sign."""
        if self._key is None or not tags:
            return set()
        manifests, _ = self._process.get(tags)
        return {tag for tag in tags if not self._is_ours(manifests.get(tag, b""))}

    def _is_ours(self, manifest: bytes) -> bool:
        if self._key is None:
            return True
        from envbuild.sharing.record_signature import is_signed_by

        return is_signed_by(manifest, self._name, self._key)

    def _signed(self, manifest: bytes) -> bytes:
        if self._key is None:
            return manifest
        from envbuild.sharing.record_signature import signed_record

        return signed_record(manifest, self._name, self._key)

    def _results_of(self, stage: Stage) -> list[_Result]:
        """Return what may be shared of a stage, as far as it is here."""
        at = self._job.progress[stage]
        results = self._bases_of(stage, at)
        parent = at.base.tree
        for result in at.all_results:
            if is_shared(result.step) and self._store.trees.has(parent) and self._store.trees.has(result.tree):
                anew = not result.cached and not self._job.request.use_cache
                results.append(_Result(tag_of("step", result.key), parent, result.tree, result, anew=anew))
            parent = result.tree
        return results

    def _bases_of(self, stage: Stage, at: StageProgress) -> list[_Result]:
        """Return the base of a stage under the key that its lock leads to, and as the one that was made last."""
        base, bases = at.base, self._job.bases
        if not is_shared_base(stage) or not self._store.trees.has(base.tree):
            return []
        results = []
        if is_pinned(stage):
            results.append(_Result(tag_of("base", base_key(stage, bases, base.tree)), "", base.tree, ""))
        plain = bases.on_record(stage)
        if plain is not None and plain.get("tree") == base.tree:
            known = {name: plain[name] for name in ("tree", "epoch", "origin", "packages", "released") if name in plain}
            text = json.dumps(known, separators=(",", ":"))
            results.append(_Result(tag_of("base", base_key(stage, bases, "")), "", base.tree, text))
        return results

    def _chain_tags(self, stage: Stage, results: list[_Result]) -> list[str]:
        first = next((result.key for result in results if isinstance(result.made, StepResult)), "")
        return [tag_of("chain", key) for key in (chain_key(self._job.graph, stage), first) if key]

    def _chain(self, tags: list[str], results: list[_Result]) -> list[Upload]:
        chain = manifest_of_chain([self._made[result.tag] for result in results if result.tag in self._made])
        manifest = self._signed(chain)
        return [Upload(tag, manifest) for tag in tags]

    def _recall(self, tags: list[str]) -> None:
        """Get the records that are there already, as they are there."""
        asked = [tag for tag in dict.fromkeys(tags) if tag not in self._made]
        if not asked:
            return
        manifests, _ = self._process.get(asked)
        # What we don't vouch for by itself we don't vouch for in a chain.
        for tag, manifest in manifests.items():
            if not self._is_ours(manifest):
                continue
            try:
                (self._made[tag],) = read_records(manifest, tag)
            except (BadImage, ValueError):
                continue

    def _upload(self, result: _Result) -> Upload:
        store = self._store
        parts = new_parts(store.trees, result.parent, result.tree)
        blobs: list[tuple[str, int, str | bytes]] = []

        def part(data: bytes) -> Part:
            made = part_of(data)
            if made.blob is not None:
                blobs.append((made.blob.digest, made.blob.size, data))
            return made

        index = part(pack_index(parts)) if parts.directories else Part()
        if parts.size > _SMALL:
            key = sha256_of(f"pack {result.parent} {result.tree}".encode())
            blob = pack_contents(store, key, parts, self._job.request.jobs)
            blobs.append((blob.digest, blob.size, blob.path))
            contents = Part(b"", Descriptor(PART, blob.digest, blob.size))
        else:
            contents = part(small_contents(store, parts)) if parts.files else Part()
        made = result.made
        if isinstance(made, str):
            record = SharedStep(result.key, result.tree, "", True, 0.0, index, contents, base=made)
        else:
            network = NetworkRecords(store.database).get(made.key, made.tree)
            record = SharedStep(
                result.key,
                result.tree,
                result.parent,
                made.owners_kept,
                made.seconds,
                index,
                contents,
                self._output(made.output),
                dump_network(network) if network is not None else "",
            )
        self._made[result.tag] = record
        return Upload(result.tag, self._signed(manifest_of_step(record)), tuple(blobs))

    def _output(self, digest: Digest) -> bytes:
        """Return what a step printed, b"" if that is much, or not here any more."""
        try:
            descriptor = open_output(self._store.objects, digest)
        except StoreDamaged:
            return b""
        if descriptor is None:
            return b""
        with os.fdopen(descriptor, "rb") as file:
            output = file.read(MAX_OUTPUT + 1)
        return output if len(output) <= MAX_OUTPUT else b""

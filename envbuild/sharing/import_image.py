"""Takes an image of others into the store. One that envbuild exported comes back as what it was: its digest is that of
its tree and facts, so that nothing has to be believed for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import IO, cast

from envbuild.archive.compression import uncompressed
from envbuild.archive.limits import MAX_TIME, ArchiveError, Tally
from envbuild.archive.read_ahead import ReadAhead
from envbuild.bases.tarball import write_members
from envbuild.images.reference import BadName, TagReference, parse_name
from envbuild.oci.facts import facts_of_config
from envbuild.oci.manifest import BadImage, Config
from envbuild.plan import image_config
from envbuild.plan.image_config import Facts, image_digest
from envbuild.record import Record
from envbuild.sharing.base_record import note_layers
from envbuild.sharing.layered_tree import LayeredTree
from envbuild.sharing.platform_choice import ImageInFile, LayerFile, LayerSource
from envbuild.sharing.staged_objects import StagedObjects
from envbuild.store.database import StoreDamaged
from envbuild.store.images import Image
from envbuild.store.record_text import DETAIL, read_text
from envbuild.store.store import Store
from envbuild.text import json
from envbuild.tree.entry import Digest

Report = Callable[[str, int, int], None]


class Imported(Record):
    """An image that was taken in. `same` tells whether it is one that envbuild had exported, as it was. `notes` say
    what of it could not be taken."""

    image: Image
    same: bool
    notes: tuple[str, ...] = ()


def choose(images: list[ImageInFile], wanted: str, source: str, form: str = "--image NAME") -> ImageInFile:
    """Return the one image of a file, or the one of these that is called `wanted`, which the user says in this `form`.
    Raises BadImage."""
    fitting = [image for image in images if not wanted or wanted in (image.name, image.name.rpartition(":")[2])]
    if len(fitting) == 1:
        return fitting[0]
    names = ", ".join(image.name or "one without a name" for image in images[:8])
    if not fitting:
        raise BadImage(source, f"it has no image {wanted!a}, but {names}", f"name one of these: {form}")
    raise BadImage(source, f"it has {len(images)} images: {names}", f"choose one: {form}")


def name_of(image: ImageInFile) -> TagReference | None:
    """Return the name and tag that an image has where it comes from, None if it has none that could be one here."""
    name, _, tag = image.name.rpartition("/")[2].partition("@")[0].partition(":")
    try:
        return parse_name(f"{name}:{tag or 'latest'}") if name else None
    except BadName:
        return None


def import_image(store: Store, file: LayerSource, image: ImageInFile, report: Report) -> Imported:
    """Put an image's tree, facts and record into the store. Raises BadImage and ArchiveError; then there is no image.

    The caller tags it, and only then is it kept from garbage collection."""
    with store.work.workspace() as workspace:
        objects = StagedObjects(store.objects, workspace.upper)
        layers = LayeredTree(store.trees, objects, file.shown)
        read_layers(file, image, layers, report)
        with store.database.transaction():
            tree = layers.finish()
            own = own_image(image.config, tree)
            record = own
            if record is None:
                facts = facts_of_config(image.config, layers.newest, file.shown)
                record = _image(tree, facts, _detail(file.shown, tree))
            objects.keep()
            if store.images.get(record.digest) is None:
                store.images.put(record)
            note_layers(store, record.digest, image.config.diff_ids)
    return Imported(record, own is not None, layers.notes)


def read_layers(file: LayerSource, image: ImageInFile, layers: LayeredTree, report: Report) -> None:
    """Put the layers of an image on top of each other. Raises BadImage and ArchiveError."""
    tally = Tally()
    sizes = [file.size_of(layer) for layer in image.layers]
    total, done = sum(sizes), 0
    for number, (layer, diff_id) in enumerate(zip(image.layers, image.config.diff_ids, strict=True), 1):
        name = f"layer {number} of {file.shown}"
        _add_layer(file, layer, diff_id, layers, tally, name, partial(_report, report, done, total))
        done += sizes[number - 1]


def _report(report: Report, before: int, total: int, done: int) -> None:
    report("layers", before + done, total)


def _add_layer(
    file: LayerSource,
    layer: LayerFile,
    diff_id: str,
    layers: LayeredTree,
    tally: Tally,
    name: str,
    report: Callable[[int], None],
) -> None:
    with file.open(layer) as part:
        layers.begin_layer()
        if layer.digest == diff_id:
            part.defer()  # it is not compressed: what is in it is held against the same digest below
        try:
            content = uncompressed(cast(IO[bytes], part), name)
            with ReadAhead(content, lambda: report(part.tell())) as inside:
                write_members(inside, name, layers, MAX_TIME, tally=tally)
                digest = inside.digest()
        except ArchiveError as error:
            if layer.digest and part.digest() != layer.digest:
                raise BadImage(name, f"it is not what its digest says: {layer.digest[:19]}") from error
            raise
        if layer.digest not in ("", diff_id) and part.digest() != layer.digest:
            raise BadImage(name, f"it is not what its digest says: {layer.digest[:19]}")
        if digest != diff_id:
            raise BadImage(name, f"what is in it is not what the configuration says: {diff_id[:19]}")
        layers.end_layer()


def own_image(config: Config, tree: Digest) -> Image | None:
    """Return the image whose facts and detail envbuild put into a configuration, None if they are not of this tree or
    not as it writes them."""
    plain = config.own
    if plain.get("version") != 1 or plain.get("tree") != tree:
        return None
    try:
        facts = image_config.from_plain(plain["facts"])
        if image_digest(tree, facts) != plain.get("image"):
            return None
        detail = plain["detail"]
        read_text(detail, DETAIL, "the detail of an image")
    except (KeyError, TypeError, ValueError, AttributeError, AssertionError, RecursionError, StoreDamaged):
        return None
    return _image(tree, facts, detail)


def _image(tree: Digest, facts: Facts, detail: str) -> Image:
    return Image(image_digest(tree, facts), tree, image_config.dump(facts), detail, time.time())


def _detail(shown: str, tree: Digest) -> str:
    """Return the detail of an image that was made elsewhere: one stage without steps."""
    stage = {"stage": "1", "base": f"import {shown}", "origin": shown, "tree": tree, "steps": []}
    detail = {"path": "", "parameters": {}, "stages": [stage]}
    return json.dumps(detail, sort_keys=True, separators=(",", ":"))

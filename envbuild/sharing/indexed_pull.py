"""Takes an image whose layers have indexes: the tree is put together of these, held against what the image's
configuration says, and only contents that are not here are fetched, out of the frames that hold them.

What an index says need not be trusted. Each content is held against its digest, the tree is made of these digests, and
it is the one that the image is named after, or nothing of it is kept. Whatever does not fit is a reason to take the
layers whole.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from hashlib import sha256

from envbuild.oci.descriptor import Descriptor
from envbuild.oci.layer_index import (
    ANNOTATION,
    MAX_ALL_PACKED,
    MAX_ALL_PLAIN,
    BadIndex,
    IndexPlace,
    LayerIndex,
    check_entries,
    parse_place,
    read_index,
    unpacked_size,
)
from envbuild.oci.manifest import Config
from envbuild.record import Record
from envbuild.registry.client import Repository
from envbuild.registry.download import Stopped
from envbuild.registry.ranges import NoRanges, part
from envbuild.sharing.frame_contents import Content, LayerContents, Run, Unpacking
from envbuild.sharing.import_image import own_image
from envbuild.sharing.layer_directories import LayerDirectories
from envbuild.sharing.transfers import Report, Transfers
from envbuild.store.content_writer import ContentWriter
from envbuild.store.images import Image
from envbuild.store.store import Store
from envbuild.tree.entry import FILE, Digest, Entry, object_id

_MAX_TABLE = 1 << 20
"""Bytes behind an index that come along with it: the table of frames."""


class Unfit(Exception):
    """An image that has to be taken whole, and why; `foreseen` where it is one of those that have no indexes. Never
    leaves a command."""

    def __init__(self, reason: str, *, foreseen: bool = False) -> None:
        super().__init__(reason)
        self.foreseen = foreseen


class _Layer(Record):
    """A layer with where its index is, the index, and the bytes from there on as far as they came."""

    blob: Descriptor
    place: IndexPlace
    index: LayerIndex
    end: bytes


class IndexedPull:
    """One image of a registry on its way into the store. `fetched` are the bytes of its blobs that came."""

    def __init__(
        self, store: Store, repository: Repository, layers: Sequence[Descriptor], config: Config, report: Report
    ) -> None:
        self._store = store
        self._repository = repository
        self._blobs = layers
        self._config = config
        self._report = report
        self._lock = threading.Lock()
        self.fetched = 0

    def take(self) -> Image:
        """Return the image, whose files are in the store then. Raises Unfit and what asking raises."""
        try:
            layers, claim = self._layers()
            return self._taken(layers, claim)
        except NoRanges:
            raise Unfit("the registry gives no parts of layers") from None
        except BadIndex as error:
            raise Unfit(f"an index of its layers is not right: {error}") from error

    def directories(self) -> tuple[LayerDirectories, Digest]:
        """Return the directories of the image, without any content, and which of them is its tree. Raises Unfit and
        what asking raises."""
        try:
            layers, claim = self._layers()
            return self._put_together(layers, claim)
        except NoRanges:
            raise Unfit("the registry gives no parts of layers") from None
        except BadIndex as error:
            raise Unfit(f"an index of its layers is not right: {error}") from error

    def _layers(self) -> tuple[list[_Layer], Digest]:
        """Return the layers with their indexes, and the tree that the configuration says. Raises Unfit, BadIndex and
        NoRanges."""
        places = [parse_place(dict(blob.annotations).get(ANNOTATION, ""), blob.size) for blob in self._blobs]
        claim = self._config.own.get("tree")
        pairs = [(blob, place) for blob, place in zip(self._blobs, places, strict=True) if place is not None]
        if not isinstance(claim, str) or not pairs:
            raise Unfit("its layers have no indexes of their files", foreseen=True)
        if len(pairs) < len(places):
            raise Unfit("one of them has no index of its files")
        return self._indexed(pairs), claim

    def _put_together(self, layers: Sequence[_Layer], claim: Digest) -> tuple[LayerDirectories, Digest]:
        store = self._store
        directories = LayerDirectories(
            store.trees, [layer.index for layer in layers], complete=not store.lost.identities()
        )
        tree = directories.image()
        if tree != claim:
            raise Unfit("its files are not those that its configuration says")
        return directories, tree

    def _taken(self, layers: Sequence[_Layer], claim: Digest) -> Image:
        store = self._store
        directories, tree = self._put_together(layers, claim)
        image = own_image(self._config, tree)
        if image is None:
            raise Unfit("its configuration is not as envbuild writes it")
        new = directories.new(tree)
        missing = self._missing(entry for _, listed in new.values() for entry in listed if entry.kind == FILE)
        self._fetch(layers, directories, missing)
        with store.database.transaction():
            store.trees.save_all(
                {digest: listed for digest, (_, listed) in new.items()},
                {digest: body for digest, (body, _) in new.items()},
            )
            known = store.images.get(image.digest)
            if known is None:
                store.images.put(image)
        return known or image

    def _missing(self, files: Iterator[Entry]) -> dict[Digest, dict[Digest, Entry]]:
        """Return by content the files that are not in the pool, by their ids. Raises BadIndex."""
        missing: dict[Digest, dict[Digest, Entry]] = {}
        for entry in files:
            identity = object_id(entry)
            try:
                size = os.lstat(self._store.objects.where(identity)).st_size
            except FileNotFoundError:
                missing.setdefault(entry.digest, {})[identity] = entry
            else:
                if size != entry.size:
                    raise BadIndex("it has a size that its content has not")
        return missing

    def _indexed(self, pairs: Sequence[tuple[Descriptor, IndexPlace]]) -> list[_Layer]:
        """Return the layers with their indexes, of which those are fetched that are not here."""
        if sum(place.length for place in {place.digest: place for _, place in pairs}.values()) > MAX_ALL_PACKED:
            raise BadIndex("they are too large together")
        frames: dict[str, bytes] = {}
        behind: dict[str, bytes] = {}
        lacking = []
        for blob, place in pairs:
            frame = self._kept(place)
            if frame is None:
                lacking.append((blob, place))
            else:
                frames[place.digest] = frame

        def fetch(pair: tuple[Descriptor, IndexPlace]) -> None:
            blob, place = pair
            end = place.offset + place.length
            more = blob.size if blob.size - end <= _MAX_TABLE else end
            came = b"".join(self._part(blob, place.offset, more))
            frame, behind[blob.digest] = came[: place.length], came[place.length :]
            if f"sha256:{sha256(frame).hexdigest()}" != place.digest:
                raise BadIndex("it is not what its digest says")
            self._keep(place, frame)
            frames[place.digest] = frame

        if lacking:
            Transfers("pull", 0, lambda *_: None).run(fetch, lacking)
        if sum(map(unpacked_size, frames.values())) > MAX_ALL_PLAIN:
            raise BadIndex("they are too large together")
        indexes: dict[IndexPlace, LayerIndex] = {}
        for _, place in pairs:
            if place not in indexes:
                indexes[place] = read_index(frames[place.digest], place)
        check_entries(indexes[place] for _, place in pairs)
        return [
            _Layer(blob, place, indexes[place], frames[place.digest] + behind.get(blob.digest, b""))
            for blob, place in pairs
        ]

    def _kept(self, place: IndexPlace) -> bytes | None:
        """Return an index that a pull before left here."""
        blobs = self._store.blobs
        try:
            with open(blobs.place(place.digest), "rb") as file:
                frame = file.read(place.length + 1)
        except FileNotFoundError:
            return None
        if f"sha256:{sha256(frame).hexdigest()}" != place.digest:
            return None
        blobs.use(place.digest)
        return frame

    def _keep(self, place: IndexPlace, frame: bytes) -> None:
        with self._store.work.file() as temporary:
            with open(temporary, "xb") as file:
                file.write(frame)
            os.chmod(temporary, 0o444)
            os.replace(temporary, self._store.blobs.place(place.digest))

    def _fetch(
        self, layers: Sequence[_Layer], directories: LayerDirectories, missing: dict[Digest, dict[Digest, Entry]]
    ) -> None:
        """Put the files that are missing into the pool."""
        writer = ContentWriter(self._store.objects, self._store.work)
        contents: dict[int, list[Content]] = {}
        for digest, files in missing.items():
            entries = tuple(files.values())
            if not entries[0].size:
                writer.put(entries, b"")
                continue
            place = directories.place_of(digest)
            contents.setdefault(place.layer, []).append(Content(place.start, entries))
        parts = {number: LayerContents(layers[number].index, wanted) for number, wanted in contents.items()}
        runs = [(number, run) for number, layer in parts.items() for run in layer.runs()]
        bounds = {(number, run): parts[number].bounds(run) for number, run in runs}
        transfers = Transfers("pull", sum(end - start for start, end in bounds.values()), self._report)
        try:
            with Unpacking(writer) as unpacking:

                def fetch(item: tuple[int, Run]) -> None:
                    number, run = item
                    start, end = bounds[item]
                    name = f"{number}:{run.first}"
                    layer = layers[number]
                    pieces = self._part(layer.blob, start, end, transfers, name)
                    if (start, end) == (0, layer.place.offset):
                        pieces = self._held(pieces, layer)
                    unpacking.run(parts[number], layers[number].index, run, pieces)

                transfers.run(fetch, sorted(runs, key=lambda item: bounds[item][0] - bounds[item][1]))
                unpacking.finish()
        finally:
            for layer in parts.values():
                layer.close()

    def _held(self, pieces: Iterator[bytes], layer: _Layer) -> Iterator[bytes]:
        """Yield the frames of a layer, all of which come; in the end the whole blob is held against its digest. Raises
        BadIndex."""
        state = sha256()
        for piece in pieces:
            state.update(piece)
            yield piece
        state.update(layer.end)
        known = layer.place.offset + len(layer.end)
        if known < layer.blob.size:
            for piece in self._part(layer.blob, known, layer.blob.size):
                state.update(piece)
        if f"sha256:{state.hexdigest()}" != layer.blob.digest:
            raise BadIndex("the layer is not what its digest says")

    def _part(
        self, blob: Descriptor, start: int, end: int, transfers: Transfers | None = None, name: str = ""
    ) -> Iterator[bytes]:
        came = 0
        for piece in part(self._repository, blob, start, end):
            came += len(piece)
            with self._lock:
                self.fetched += len(piece)
            if transfers is not None and not transfers.tell(name, came):
                raise Stopped
            yield piece

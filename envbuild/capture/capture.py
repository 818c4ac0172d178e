"""One capture: the machine's files, what else is its state, and the image that both become."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack

from envbuild.capture.known_directories import KnownDirectories, KnownDirectory
from envbuild.capture.left_out import left_out
from envbuild.capture.light_files import Left, light_files
from envbuild.capture.machine_root import MachineRoot
from envbuild.capture.reader_process import Reading
from envbuild.capture.readers import Readers
from envbuild.capture.redaction import NoRedaction, Redaction
from envbuild.capture.secret_files import SecretFiles
from envbuild.capture.secret_key import secret_key
from envbuild.capture.spool import Spool
from envbuild.capture.state.collector import Collected, Machine, collect
from envbuild.capture.unchanged import is_unchanged
from envbuild.capture.walk import ABOVE_RECORD, Walk, Walked
from envbuild.errors import UsageError, fields
from envbuild.images.capture_record import FOLDER, About, CaptureRecord, Missing, Secret, capture_facts
from envbuild.images.reference import LATEST, parse_new_name
from envbuild.linux.machine import architecture
from envbuild.plan import image_config
from envbuild.plan.image_config import image_digest
from envbuild.record import Record
from envbuild.store.database import StoreDamaged
from envbuild.store.images import Image
from envbuild.store.store import Store
from envbuild.store.tags import CAPTURE
from envbuild.text import json
from envbuild.tree.apply import Edit, edit
from envbuild.tree.entry import DIRECTORY, FILE, Digest, Entry, digest_of, encode

BY_HAND = "hand"
"""What started a capture, where nobody says."""
MAX_REASON = 4096
"""Characters of a reason."""
MIN_ROOM = 4 << 20
"""Bytes that the disk has to have left, beside those of the directories, when all contents are read."""
Report = Callable[[str, int, int], None]
_ALLOWED = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"


class CaptureOptions(Record):
    """What is captured, and how: the root's path, homes too, other file systems and left-out paths that are `included`,
    secrets as they are, no contents that packages have (`light`), and the path of the user's own patterns."""

    root: str = "/"
    home: bool = False
    included: tuple[str, ...] = ()
    secrets: bool = False
    light: bool = False
    user_file: str = ""

    @property
    def words(self) -> frozenset[str]:
        """Those that the capture's own record names: a light capture is the same image as one with all contents."""
        chosen = {"home": self.home, "secrets": self.secrets}
        return frozenset(word for word, on in chosen.items() if on)


class Taker(Record):
    """Who takes a capture, of which host, why, and what started it: `hand`, `timer`, `apt` ..."""

    host: str
    uid: int
    user: str
    reason: str = ""
    trigger: str = BY_HAND


class Captured(Record):
    """A capture that was taken: its image, the numbers of files and bytes, what was left out, what could not be
    read, and which files are there without their secrets. `same`: it is the image that the name had before;
    `recorded`: it became an entry of the history; `left` is what a light capture left to packages that the store does
    not have already."""

    name: str
    image: Image
    files: int
    size: int
    left_out: tuple[Missing, ...]
    unread: tuple[Missing, ...]
    secrets: tuple[Secret, ...]
    same: bool
    recorded: bool = True
    left: Left | None = None


@fields
class NotAPlainName(UsageError):
    """Captures have a name of their own, without a tag and outside of all projects."""

    name: str

    def text(self) -> tuple[str, str]:
        return f"'{self.name}' can't name a capture", "captures have a plain name: envbuild capture laptop"


def capture_name(given: str | None, host: str) -> str:
    """Return the name of a capture: the one given, else the host's. Raises BadName and NotAPlainName."""
    if given is None:
        name = "".join(letter if letter in _ALLOWED else "-" for letter in host.partition(".")[0]).strip("._-")
        return name or "machine"
    reference = parse_new_name(given)
    if reference.project or reference.tag not in ("", LATEST):
        raise NotAPlainName(given)
    return reference.name


def capture(
    store: Store, name: str, options: CaptureOptions, taker: Taker, report: Report, *, only_changes: bool = False
) -> Captured:
    """Take a capture and tag it as NAME:latest; with `only_changes` not if nothing changed but what does so by itself.

    Nothing of it is on record, nor in the pool of contents, before everything is read. The process has one thread.
    Raises NoSuchRoot, BadIgnoreFile, BadPattern, ChildKilled and OSError.
    """
    with MachineRoot(options.root) as root:
        try:
            walked, image, left = _take(store, root, options, taker, report)
        except StoreDamaged:
            # What is known of the last capture leads to something that is lost: all is read again.
            store.trees.forget()
            walked, image, left = _take(store, root, options, taker, report, anew=True)
    last = store.images.get(store.tags.image_of(name, LATEST) or "")
    same = last is not None and last.digest == image.digest
    missing = walked.left_out, walked.unread, walked.secrets
    if only_changes and last is not None and is_unchanged(store.trees, last.tree, image.tree):
        return Captured(name, last, walked.files, walked.size, *missing, same=True, recorded=False, left=left)
    by = {"user": taker.user, "host": taker.host, "reason": taker.reason[:MAX_REASON], "trigger": taker.trigger}
    known = {**by, **_place(options)}
    store.tags.move([(name, LATEST)], image.digest, CAPTURE, known)
    return Captured(name, image, walked.files, walked.size, *missing, same=same, left=left)


class _OnlyLookedAt(Exception):
    """What was read is not to be kept."""


def look_at_machine(
    store: Store, options: CaptureOptions, taker: Taker, report: Report, look: Callable[[Image], None]
) -> None:
    """Call `look` with the image that a capture would have now. What it is made of can be read meanwhile, and nothing
    of it is kept, nor what `look` writes to the store. Raises what `capture` does."""
    with MachineRoot(options.root) as root:
        try:
            _take(store, root, options, taker, report, look=look)
        except _OnlyLookedAt:
            store.trees.forget()


def _place(options: CaptureOptions) -> dict[str, object]:
    """Return what was captured, where that is not what is captured without options."""
    root = os.path.realpath(options.root)
    return ({"root": root} if root != "/" else {}) | ({"included": options.included} if options.included else {})


def _take(
    store: Store,
    root: MachineRoot,
    options: CaptureOptions,
    taker: Taker,
    report: Report,
    *,
    anew: bool = False,
    look: Callable[[Image], None] | None = None,
) -> tuple[Walked, Image, Left | None]:
    """Read the machine, and put its image on record."""
    leaves_out = left_out(root, store.path, options.user_file, home=options.home, included=options.included)
    redaction = _redaction(store, root, options)
    light = light_files(root) if options.light else None
    words = (*sorted(options.words), str(options.light))
    profile = "\n".join((root.path, str(taker.uid), *words, leaves_out.profile, redaction.profile))
    known = KnownDirectories(store, profile, usable=not anew)
    with ExitStack() as stack:
        space = stack.enter_context(store.work.workspace())
        reading = Reading(space.upper, f"{store.path}/objects", store.sparse_limit, redaction, light)
        readers = stack.enter_context(Readers(reading))
        trees = stack.enter_context(Spool(f"{space.path}/trees"))
        rows = stack.enter_context(Spool(f"{space.path}/rows"))
        above: dict[bytes, KnownDirectory] = {}

        def save(entries: Iterable[Entry]) -> Digest:
            body = encode(entries)
            digest = digest_of(body)
            trees.put((digest, body))
            return digest

        def remember(path: bytes, row: KnownDirectory) -> None:
            if path in ABOVE_RECORD:
                above[path] = row
            else:
                rows.put((path, *row))

        def count(files: int) -> None:
            report(f"{files:,} files", files, max(files, known.total or total))

        def promise(path: bytes, entry: Entry) -> None:
            assert light is not None
            light.promise(path, entry, store.objects)

        total = root.files_at_most()
        readers.begin()
        walk = Walk(
            root.descriptor,
            leaves_out,
            root.mount_points(),
            known,
            readers,
            store.trees.load,
            save,
            remember,
            promise,
            count,
        )
        walked = walk.run()
        collected = collect(Machine(root, walked.package_folders))
        hidden = redaction.hidden_state
        collected = collected.replace(state=hidden(collected.state), passing=hidden(collected.passing))
        record = _record(options, taker, walked, collected)
        _make_room(f"{space.path}/room", trees.size + rows.size)
        with store.database.transaction(), store.objects.beside(space.upper if look is not None else ""):
            store.trees.save_bodies(trees.rows())
            image = _image(store, taker, walked, _with_record(store, walked.tree, record))
            if look is not None:
                look(image)
                raise _OnlyLookedAt
            if light is not None:
                store.promised.add(light.promises)
            if store.images.get(image.digest) is None:
                store.images.put(image)
            for path, row in above.items():
                rows.put((path, *row._replace(digest=_directory_at(store, image.tree, path))))
            seen = ((path, KnownDirectory(*fields)) for path, *fields in rows.rows())
            known.write(seen, walk.gone, image.tree, walked.files)
            # Last: what can fail for want of room has not then, and leaves nothing in the pool.
            readers.keep()
    return walked, image, None if light is None else light.left()


def _redaction(store: Store, root: MachineRoot, options: CaptureOptions) -> Redaction:
    if options.secrets:
        return NoRedaction()
    return SecretFiles(root, secret_key(store.path, writable=not store.database.read_only))


def _make_room(path: str, size: int) -> None:
    """Make sure that what is recorded in the end has room on the disk. Raises OSError."""
    with open(path, "xb") as file:
        os.posix_fallocate(file.fileno(), 0, MIN_ROOM + 3 * size)
    os.unlink(path)


def _directory_at(store: Store, tree: Digest, path: bytes) -> Digest:
    """Return the digest of a directory of a tree, "" where there is none."""
    for name in path.split(b"/") if path else ():
        tree = next((entry.digest for entry in store.trees.load(tree) if entry.name == name), "") if tree else ""
    return tree


def _record(options: CaptureOptions, taker: Taker, walked: Walked, collected: Collected) -> CaptureRecord:
    about = About(taker.host, taker.uid, taker.user, options.words)
    unread = (*walked.unread, *collected.failed)
    return CaptureRecord(about, walked.left_out, unread, walked.secrets, collected.state, collected.passing)


def _with_record(store: Store, tree: Digest, record: CaptureRecord) -> Digest:
    """Return the tree with what a capture says of itself. Its files have no time, so that equal machines are equal."""
    edits = [Edit(FOLDER, None)]
    folders: set[bytes] = set()
    for path, content in sorted(record.files().items()):
        folder = path.rpartition(b"/")[0]
        if folder not in folders:
            folders.add(folder)
            edits.append(Edit(folder, Entry(b"", DIRECTORY, 0o700, 0, 0, 0)))
        edits.append(Edit(path, store.objects.add(Entry(b"", FILE, 0o600, 0, 0, 0), content)))
    return edit(store.trees, tree, edits, 0)


def _image(store: Store, taker: Taker, walked: Walked, tree: Digest) -> Image:
    facts = capture_facts(architecture(), walked.newest)
    stage = {"stage": "1", "base": f"capture of {taker.host}", "origin": "capture", "tree": tree, "steps": []}
    detail = json.dumps({"path": "", "parameters": {}, "stages": [stage]}, sort_keys=True, separators=(",", ":"))
    return Image(image_digest(tree, facts), tree, image_config.dump(facts), detail, time.time())

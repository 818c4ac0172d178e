"""One capture: the machine's files, what else is its state, and the image that both become."""

from __future__ import annotations

import time
from collections.abc import Callable

from envbuild.capture.left_out import left_out
from envbuild.capture.machine_root import MachineRoot
from envbuild.capture.state.collector import Collected, Machine, collect
from envbuild.capture.walk import Walk, Walked
from envbuild.errors import UsageError, fields
from envbuild.images.capture_record import FOLDER, About, CaptureRecord, Missing
from envbuild.images.reference import LATEST, parse_new_name
from envbuild.linux.machine import architecture
from envbuild.plan import image_config
from envbuild.plan.image_config import Facts, Program, image_digest
from envbuild.record import Record
from envbuild.store.images import Image
from envbuild.store.store import Store
from envbuild.store.tags import CAPTURE
from envbuild.text import json
from envbuild.tree.apply import Edit, edit
from envbuild.tree.entry import DIRECTORY, FILE, Digest, Entry

BY_HAND = "hand"
"""What started a capture, where nobody says."""
MAX_REASON = 4096
"""Characters of a reason."""
Report = Callable[[str, int, int], None]
_ALLOWED = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"


class CaptureOptions(Record):
    """What is captured, and how: the root's path, homes too, other file systems and left-out paths that are `included`,
    secrets as they are, only digests of what packages have (`light`), and the path of the user's own patterns."""

    root: str = "/"
    home: bool = False
    included: tuple[str, ...] = ()
    secrets: bool = False
    light: bool = False
    user_file: str = ""

    @property
    def words(self) -> frozenset[str]:
        """Those that the capture's own record names."""
        chosen = {"home": self.home, "light": self.light, "secrets": self.secrets}
        return frozenset(word for word, on in chosen.items() if on)


class Taker(Record):
    """Who takes a capture, of which host, why, and what started it: `hand`, `timer`, `apt` ..."""

    host: str
    uid: int
    user: str
    reason: str = ""
    trigger: str = BY_HAND


class Captured(Record):
    """A capture that was taken: its image, the numbers of files and bytes, what was left out and what could not be
    read. `same` tells whether it is the image that the name had before."""

    name: str
    image: Image
    files: int
    size: int
    left_out: tuple[Missing, ...]
    unread: tuple[Missing, ...]
    same: bool


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


def capture(store: Store, name: str, options: CaptureOptions, taker: Taker, report: Report) -> Captured:
    """Take a capture and tag it as NAME:latest. Raises NoSuchRoot, BadIgnoreFile, BadPattern and OSError."""
    with MachineRoot(options.root) as root:
        leaves_out = left_out(root, store.path, options.user_file, home=options.home, included=options.included)
        with store.database.transaction():
            walk = Walk(
                leaves_out,
                root.mount_points(),
                store.objects,
                store.trees.save,
                lambda done: report("files", done, done),
            )
            walked = walk.run(root.descriptor)
            record = _record(options, taker, walked, collect(Machine(root, walked.package_folders)))
            image = _image(store, taker, walked, _with_record(store, walked.tree, record))
    same = store.tags.image_of(name, LATEST) == image.digest
    if store.images.get(image.digest) is None:
        store.images.put(image)
    known = {"user": taker.user, "host": taker.host, "reason": taker.reason[:MAX_REASON], "trigger": taker.trigger}
    store.tags.move([(name, LATEST)], image.digest, CAPTURE, known)
    return Captured(name, image, walked.files, walked.size, walked.left_out, walked.unread, same)


def _record(options: CaptureOptions, taker: Taker, walked: Walked, collected: Collected) -> CaptureRecord:
    about = About(taker.host, taker.uid, taker.user, options.words)
    unread = (*walked.unread, *collected.failed)
    return CaptureRecord(about, walked.left_out, unread, state=collected.state, passing=collected.passing)


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
    facts = Facts(architecture(), walked.newest, start=Program(("/bin/sh",)))
    stage = {"stage": "1", "base": f"capture of {taker.host}", "origin": "capture", "tree": tree, "steps": []}
    detail = json.dumps({"path": "", "parameters": {}, "stages": [stage]}, sort_keys=True, separators=(",", ":"))
    return Image(image_digest(tree, facts), tree, image_config.dump(facts), detail, time.time())

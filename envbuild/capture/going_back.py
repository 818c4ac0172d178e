"""Going back: named paths of the machine become what they were in a capture. What they are now is captured first."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence

from envbuild.capture.capture import Captured, CaptureOptions, Report, Taker, capture
from envbuild.capture.machine_root import MachineRoot
from envbuild.capture.put_back import Failed, PutBack
from envbuild.capture.restore_plan import RestorePlan, Step, plan_restore
from envbuild.capture.rights import Rights
from envbuild.capture.secret_files import SecretFiles
from envbuild.capture.secret_key import secret_key
from envbuild.capture.stored_contents import Contents, read_content
from envbuild.digest import sha256_of
from envbuild.errors import UsageError, WorkFailed, fields
from envbuild.images.capture_record import About, Missing, read_about, read_left_out, read_secrets, read_unread
from envbuild.images.secret_placeholder import has_placeholder
from envbuild.record import Record
from envbuild.store.images import Image
from envbuild.store.store import Store
from envbuild.tree.entry import DIRECTORY, FILE, Digest, Entry
from envbuild.tree.lookup import entry_at, walk

TRIGGER = "restore"
"""What started the capture of what is replaced."""
MAX_LOOKED_AT = 1 << 20
"""Bytes of a file that is searched for values that stand for secrets: those of the documented list are short."""
_ALL = b"/*"


@fields
class NotACapture(UsageError):
    """An image that is no capture of a machine."""

    image: str

    def text(self) -> tuple[str, str]:
        return (
            f"{self.image} is not a capture of a machine",
            "`envbuild cp` puts files of other images where you want them",
        )


@fields
class NotSaved(WorkFailed):
    """What would be replaced is not in the capture that was taken first."""

    path: str
    reason: str

    def text(self) -> tuple[str, str]:
        return (
            f"{self.path} was not replaced: what it is now could not be saved: {self.reason}",
            "--secrets saves secrets, too; or copy it away yourself, and remove it",
        )


class KnownCapture:
    """A capture, and what it says of itself. Raises NotACapture and BadCaptureRecord."""

    def __init__(self, store: Store, image: Image, name: str, root: MachineRoot, contents: Contents) -> None:
        about = read_about(store, image.tree)
        if about is None:
            raise NotACapture(name)
        self.about: About = about
        self.image, self.name = image, name
        self._contents = contents
        self._redaction = SecretFiles(root, secret_key(store.path, writable=not store.database.read_only))
        self._secrets = {secret.path for secret in read_secrets(store, image.tree)}
        self._missing = _reasons((*read_left_out(store, image.tree), *read_unread(store, image.tree)))

    def is_secret(self, path: bytes, entry: Entry) -> bool:
        """Return whether what the capture has of a file is not all of its content."""
        if path in self._secrets:
            return True
        # An image can come from anywhere, without the list.
        return entry.size <= MAX_LOOKED_AT and has_placeholder(read_content(self._contents, entry))

    def stands_for(self, path: bytes, entry: Entry, opened: int) -> bool:
        """Return whether what the capture has of a secret stands for the content of an open file of the machine: only a
        capture of this store can tell."""
        status = os.fstat(opened)
        if not stat.S_ISREG(status.st_mode):
            return False
        redacted = self._redaction.redacted(path, status, opened)
        return redacted is not None and sha256_of(redacted.content) == entry.digest

    def reason(self, path: bytes) -> str:
        """Return why a capture does not have a path, "" where there was nothing."""
        while path:
            above = path.rpartition(b"/")[0]
            everything = above + _ALL if above else _ALL[1:]
            if reason := self._missing.get(path) or self._missing.get(everything, ""):
                return reason
            path = above
        return ""


class Restored(Record):
    """What going back came to: the steps that were done, those that failed, and the capture of what was there."""

    done: tuple[Step, ...]
    failed: tuple[Failed, ...]
    saved: Captured | None


def plan_going_back(
    store: Store, known: KnownCapture, root: int, paths: Sequence[bytes], *, delete: bool
) -> RestorePlan:
    """Return what putting paths back comes to. Raises NotInCapture, LinkInPath and StoreDamaged."""
    return plan_restore(store.trees, known.image.tree, known.name, root, paths, known, Rights.own(), delete=delete)


def go_back(
    store: Store,
    contents: Contents,
    plan: RestorePlan,
    root: int,
    name: str,
    options: CaptureOptions,
    taker: Taker,
    report: Report,
) -> Restored:
    """Capture the machine as `name`, then do what the plan says below the open directory `root`.

    All contents are looked at before anything is changed. Raises NotSaved, StoreDamaged, and what a capture raises.
    """
    if not plan.steps:
        PutBack(store.trees, contents, root, plan).run(report)
        return Restored((), (), None)
    for step in plan.steps:
        for entry in _files(store, step):
            os.close(contents.open(entry))
    replaced = tuple(f"/{os.fsdecode(step.path)}" for step in plan.steps if step.now is not None)
    options = options.replace(included=(*options.included, *replaced))
    saved = capture(store, name, options, taker, report)
    for step in plan.steps:
        _check_saved(store, saved.image.tree, step)
    # What is saved must outlast a loss of power that what replaces it does not.
    store.sync()
    done, failed = PutBack(store.trees, contents, root, plan).run(report)
    return Restored(tuple(done), tuple(failed), saved)


def _files(store: Store, step: Step) -> Iterable[Entry]:
    if step.entry is None:
        return
    if step.entry.kind == FILE:
        yield step.entry
    elif step.is_new_directory:
        yield from (entry for _, entry in walk(store.trees, step.entry.digest) if entry.kind == FILE)


def _check_saved(store: Store, tree: Digest, step: Step) -> None:
    """Raise NotSaved unless the capture has what the step replaces."""
    if step.now is None or step.now.entry is None:
        return
    now = step.now.entry
    kept = entry_at(store.trees, tree, step.path) if step.path else None
    if now.kind == DIRECTORY and (kept is not None or not step.path):
        return
    if kept is None or kept.kind != now.kind or (kept.digest, kept.target) != (now.digest, now.target):
        reason = "the capture has no such file" if kept is None else "a secret, or it was changed meanwhile"
        raise NotSaved(f"/{os.fsdecode(step.path)}", reason)


def _reasons(missing: Iterable[Missing]) -> dict[bytes, str]:
    return {row.path: row.reason for row in missing}

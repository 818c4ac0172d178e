"""The machine as it is now, for a command that compares it with one of its captures."""

from __future__ import annotations

from collections.abc import Callable

from envbuild.cli.environment import Environment
from envbuild.errors import UsageError, fields
from envbuild.history.blame import moves_from
from envbuild.history.operand import Operand, operand_of_image
from envbuild.images.capture_record import read_about
from envbuild.store.images import Image
from envbuild.store.store import Store
from envbuild.store.tags import CAPTURE

LABEL = "the machine now"


@fields
class NotACapture(UsageError):
    """An image that is to be compared with the machine, and was not made of one."""

    reference: str

    def text(self) -> tuple[str, str]:
        return f"{self.reference} is not a capture of a machine", "take one first: envbuild capture"


@fields
class OfAnotherUser(UsageError):
    """A capture that has more than this user can read of the machine, or less."""

    reference: str
    user: str

    def text(self) -> tuple[str, str]:
        return f"{self.reference} is what {self.user} could read of the machine", f"compare it as {self.user}"


def with_live_machine(
    store: Store, environment: Environment, reference: str, image: Image, compare: Callable[[Operand], None]
) -> None:
    """Call `compare` with the machine as it is now, captured with the options of the capture `image`. Nothing of it is
    kept. Raises NotACapture and OfAnotherUser."""
    from envbuild.capture.capture import CaptureOptions, Taker, look_at_machine
    from envbuild.capture.left_out import USER_FILE
    from envbuild.linux.own_id import own_uid

    about = read_about(store, image.tree)
    if about is None:
        raise NotACapture(reference)
    if about.uid != own_uid():
        raise OfAnotherUser(reference, about.user)
    root, included = _place(store, image, reference)
    host = environment.machine()
    if root == "/" and about.host != host:
        environment.warn([f"{reference} is a capture of {about.host}, and this is {host}"])
    options = CaptureOptions(
        root,
        home="home" in about.options,
        included=included,
        secrets="secrets" in about.options,
        user_file=f"{environment.config_folder()}/{USER_FILE}",
    )
    store.share()
    store.tidy()
    store.sparse_limit = environment.sparse_limit()
    with environment.progress_line() as line:
        look_at_machine(
            store,
            options,
            Taker(host, own_uid(), environment.user()),
            line,
            lambda live: compare(operand_of_image(store, LABEL, live).replace(image="")),
        )


def _place(store: Store, image: Image, reference: str) -> tuple[str, tuple[str, ...]]:
    """Return the root of a capture, and what was included, by the history of its name."""
    for _, move in moves_from(store, image, reference):
        if move.action == CAPTURE:
            known = move.known
            return str(known.get("root", "/")), tuple(map(str, known.get("included", ())))
    return "/", ()

"""What is said when the capture of a machine leaves it: what stays behind, and what does not."""

from __future__ import annotations

from envbuild.cli.environment import Environment
from envbuild.images.capture_record import FOLDER, is_capture, read_about, read_secrets
from envbuild.store.images import Image
from envbuild.store.store import Store
from envbuild.ui.humanize import count

_SECRETS, _HOME = "secrets", "home"
"""Options of a capture."""


def say_what_goes(store: Store, image: Image, reference: str, environment: Environment) -> None:
    """Say of a capture that is pushed or exported which of the machine's secrets are in it; nothing of other images.

    Raises BadCaptureRecord.
    """
    about = read_about(store, image.tree) if is_capture(store, image.tree) else None
    if about is None:
        return
    if _SECRETS in about.options:
        environment.warn([f"{reference} has the secrets of {about.host} as they are: private keys, passwords, tokens"])
    elif secrets := read_secrets(store, image.tree):
        them = "it" if len(secrets) == 1 else "them"
        where = f"envbuild cat {reference} /{FOLDER.decode()}/secrets"
        environment.warn(
            [f"{count(len(secrets), 'secret')} of {about.host} stayed behind; {where} lists {them}"], "note"
        )
    if _HOME in about.options:
        environment.warn([f"{reference} has the homes of {about.host}"], "note")

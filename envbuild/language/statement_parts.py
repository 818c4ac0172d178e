"""What statements are made of, as frozen data: places, environment values, commands, mounts and options.

Every word here is final text, except in `env` values, which may still mention the environment of their stage (that
depends on the base, which the language does not know).
"""

from __future__ import annotations

from envbuild.record import Pairs, Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    Text = TypeVar("Text", str, "EnvironmentValue")


class Place(Record):
    """The place of a statement: its file as the user named it, and its first line, from 1."""

    file: str
    line: int


class EnvironmentReference(Record):
    """A `${NAME}` in an `env` value: the value in the stage's environment at that point; an error if there is none.
    With `operator` it is `${NAME:-text}` or `${NAME:+text}`."""

    name: str
    line: int
    column: int
    operator: str = ""
    text: EnvironmentValue = ()


EnvironmentValue = tuple["str | EnvironmentReference", ...]


def choose(operator: str, value: Text, text: Text) -> Text:
    """Return what `${NAME:-text}` or `${NAME:+text}` means where NAME has a value, or an empty one."""
    if operator == "-":
        return value or text
    return text if value else value


class Command(Record):
    """The text of run, test, start or health, and the parameters that it mentions (sorted by name).

    The text goes to the shell unchanged; the parameters are passed as environment variables.
    """

    text: str
    parameters: Pairs = ()


class BindMount(Record):
    """A `mount=SRC:DST`: a path in the context, and where it is mounted read-only. With `origin`, a stage's name or an
    image reference, it is a path in that (`mount=STAGE:/SRC:/DST`)."""

    source: str
    target: str
    origin: str | None = None


class TmpfsMount(Record):
    """A `tmpfs=DIR[:SIZE]`: an empty directory in memory that ends with the command; `size` in bytes, 0 for no limit of
    its own."""

    target: str
    size: int = 0


class CacheMount(Record):
    """A `cache=DIRECTORY` with what qualifies it. `id` names one that other recipes may name, too; "" is the recipe's
    own. `uid` is its owner's, None for the user of the command; `mode` that of the directory, None for the usual one.
    """

    target: str
    id: str = ""
    uid: int | None = None
    mode: int | None = None


def shell_words(text: str) -> tuple[str, ...]:
    """Return the words of a shell, as in `/bin/bash -o pipefail`. A `-c` at their end, as docker wants it, goes without
    saying."""
    words = tuple(text.split())
    return words[:-1] if words[-1:] == ("-c",) else words


DEFAULT_AGENT = "default"
"""What `ssh` without a name means, as in `docker build --ssh`."""


class RunOptions(Record):
    """The options of `run` and `test`. `timeout` is in seconds; None if the option was not given.

    `network` is False without one, True for any host, and else a text: `host` for the machine's own network, or the
    hosts that may be asked (network_hosts.py). `ssh` is the name of the user's SSH agent that the command may use, ""
    for none; `devices` are paths of this machine's devices, sorted."""

    network: bool | str = False
    caches: tuple[CacheMount, ...] = ()
    secrets: tuple[str, ...] = ()
    mounts: tuple[BindMount, ...] = ()
    user: str | None = None
    workdir: str | None = None
    timeout: float | None = None
    shell: str | None = None
    tmpfs: tuple[TmpfsMount, ...] = ()
    ssh: str = ""
    devices: tuple[str, ...] = ()

"""The model of a recipe, as frozen data: the result of parsing, inserting includes and replacing parameters.

Every word here is final text, except in `env` values, which may still mention the environment of their stage (that
depends on the base, which the language does not know).
"""

from __future__ import annotations

from envbuild.record import Record, assert_never
from envbuild.tree.file_mode import Mode

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
    parameters: tuple[tuple[str, str], ...] = ()


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


class RunOptions(Record):
    """The options of `run` and `test`. `timeout` is in seconds; None if the option was not given.

    `network` is False without one, True for any host, and else a text: `host` for the machine's own network, or the
    hosts that may be asked (network_hosts.py)."""

    network: bool | str = False
    caches: tuple[CacheMount, ...] = ()
    secrets: tuple[str, ...] = ()
    mounts: tuple[BindMount, ...] = ()
    user: str | None = None
    workdir: str | None = None
    timeout: float | None = None
    shell: str | None = None
    tmpfs: tuple[TmpfsMount, ...] = ()


class Statement(Record):
    """The base of all statements of a stage.

    `folder` is the directory of the statement's file: its paths are relative to it. `text` is the statement as written,
    with its comments: displays show it.
    """

    place: Place
    folder: str
    text: str


class Apt(Statement):
    packages: tuple[str, ...]
    recommends: bool = False
    source: str | None = None
    key: str | None = None


class Pip(Statement):
    into: str
    requirements: tuple[str, ...] = ()
    requirement_files: tuple[str, ...] = ()
    constraint_files: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()


class Npm(Statement):
    """`manager` is whose lock says which packages a project has; "" for npm's, if there is one."""

    into: str
    packages: tuple[str, ...] = ()
    project: str | None = None
    scripts: bool = False
    manager: str = ""


class Copy(Statement):
    """`origin` is a stage's name or an image reference (`from=`); None for the context."""

    sources: tuple[str, ...]
    destination: str
    origin: str | None = None
    owner: str | None = None
    mode: Mode | None = None
    exclude: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    contents: bool = False
    parents: bool = False
    optional: bool = False


class Render(Statement):
    """`parameters` are all that are defined at this point, for the template to use."""

    template: str
    destination: str
    parameters: tuple[tuple[str, str], ...]
    owner: str | None = None
    mode: Mode | None = None


class File(Statement):
    path: str
    content: str
    owner: str | None = None
    mode: Mode | None = None


class Fetch(Statement):
    url: str
    destination: str
    sha256: str | None = None
    owner: str | None = None
    mode: Mode | None = None
    unpack: bool = False


class AddUser(Statement):
    name: str
    uid: int | None = None
    gid: int | None = None
    home: str | None = None
    shell: str | None = None
    groups: tuple[str, ...] = ()


class Run(Statement):
    command: Command
    options: RunOptions


class Test(Statement):
    command: Command
    options: RunOptions


def origins_of(statement: Statement) -> tuple[str, ...]:
    """Return the stages and images that a statement takes files from."""
    match statement:
        case Copy(origin=str(origin)):
            return (origin,)
        case Run(options=options) | Test(options=options):
            return tuple(mount.origin for mount in options.mounts if mount.origin is not None)
        case _:
            return ()


class Env(Statement):
    values: tuple[tuple[str, EnvironmentValue], ...]


class WorkDir(Statement):
    directory: str


class User(Statement):
    """`name` is NAME or NAME:GROUP; numbers are allowed for both."""

    name: str


class Discard(Statement):
    patterns: tuple[str, ...]


class Expose(Statement):
    """Ports as `8080/tcp`: always with their protocol."""

    ports: tuple[str, ...]


class Volume(Statement):
    directories: tuple[str, ...]


class Label(Statement):
    values: tuple[tuple[str, str], ...]


class Unset(Statement):
    """Facts to drop: `env:NAME`, `label:NAME`, or the name of a fact (`expose`, `volume`, `start`, ...)."""

    names: tuple[str, ...]


class Shell(Statement):
    """The words that the text of later commands is given to, behind `-c`."""

    argv: tuple[str, ...]


class Entry(Statement):
    """What every command of an instance begins with: words that are run without a shell."""

    argv: tuple[str, ...]


class Start(Statement):
    """A start command: either a list of words that is run without a shell, or a command for the shell. Without `init`
    it is process 1 itself."""

    argv: tuple[str, ...] | None = None
    command: Command | None = None
    init: bool = True


class Stop(Statement):
    """A signal's name without SIG: `TERM`."""

    signal: str


class NoHealth(Statement):
    """`health none`: the base's check, if it has one, is dropped."""


class Health(Statement):
    """Times are in seconds; 0 for those of the start where they are not given."""

    command: Command
    every: float = 30.0
    timeout: float = 30.0
    retries: int = 3
    start_period: float = 0.0
    start_interval: float = 0.0


class Scratch(Record):
    """`from scratch`: an empty tree."""

    place: Place


class Host(Record):
    """`from host(PROGRAM, ...)`: this machine's Debian packages; `programs` is empty where none are listed."""

    place: Place
    programs: tuple[str, ...] = ()


class Debian(Record):
    """`from debian:SUITE`: a minimal Debian."""

    place: Place
    suite: str


class Tarball(Record):
    """`from tar:PATH`: an archive; its path is relative to `folder`."""

    place: Place
    path: str
    folder: str


class ImageBase(Record):
    """`from image:REFERENCE`: an image of the store, or one that a lock in git names."""

    place: Place
    reference: str
    folder: str


class StageBase(Record):
    """`from NAME`: an earlier stage of the same recipe."""

    place: Place
    name: str


class RecipeBase(Record):
    """`from recipe:PATH`: the image of another recipe; its path is relative to `folder`."""

    place: Place
    path: str
    folder: str


class ReservedBase(Record):
    """A base that the language has and no build can make yet: `kind` is oci or registry."""

    place: Place
    kind: str
    argument: str


Base = Scratch | Host | Debian | Tarball | ImageBase | StageBase | RecipeBase | ReservedBase


def base_text(base: Base) -> str:
    """Return the base as a recipe has it after `from`."""
    match base:
        case Scratch():
            return "scratch"
        case Host(programs=programs):
            return f"host({', '.join(programs)})" if programs else "host"
        case Debian(suite=suite):
            return f"debian:{suite}"
        case Tarball(path=path):
            return f"tar:{path}"
        case ImageBase(reference=reference):
            return f"image:{reference}"
        case StageBase(name=name):
            return name
        case RecipeBase(path=path):
            return f"recipe:{path}"
        case ReservedBase(kind=kind, argument=argument):
            return f"{kind}:{argument}"
        case _:
            return assert_never(base)


class Stage(Record):
    """`name` is None for a stage without `as`."""

    name: str | None
    base: Base
    statements: tuple[Statement, ...]


class Recipe(Record):
    """A recipe with the values of its parameters put in.

    `images` are the names that `image` statements give to stages, each with the stage's number. `files` are all files
    that were read for it, the recipe first, as (path, sha256 of its bytes): the model is valid
    as long as they are unchanged. `parameters` are the recipe's own with their values, in order.
    """

    name: str
    path: str
    stages: tuple[Stage, ...]
    parameters: tuple[tuple[str, str], ...]
    files: tuple[tuple[str, str], ...]
    images: tuple[tuple[str, int], ...] = ()

    @property
    def main(self) -> int:
        """The number of the stage that is the recipe's own image: the one that has its name, else the last."""
        return dict(self.images).get(self.name, len(self.stages) - 1)

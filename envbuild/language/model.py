"""The model of a recipe, as frozen data: the result of parsing, inserting includes and replacing parameters.

The statements, the stages and the recipe are here; what statements are made of is in statement_parts.py, and what
stages start from in base_kinds.py.
"""

from __future__ import annotations

from envbuild.record import Pairs, Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from envbuild.language.base_kinds import Base
    from envbuild.language.statement_parts import Command, EnvironmentValue, Place, RunOptions
    from envbuild.tree.file_mode import Mode


class Statement(Record):
    """The base of all statements of a stage.

    `folder` is the directory of the statement's file: its paths are relative to it. `text` is the statement as written,
    with its comments: displays show it.
    """

    place: Place
    folder: str
    text: str


class Apt(Statement):
    """With a `destination`, the packages are source packages that are unpacked there."""

    packages: tuple[str, ...]
    recommends: bool = False
    source: str | None = None
    key: str | None = None
    destination: str | None = None


_LOCK_FILES = ("uv.lock", "poetry.lock", "Pipfile.lock", "pylock.toml")


def is_lock_file(path: str) -> bool:
    """Return whether a file's name is that of a lock file of uv, Poetry, Pipenv or pip."""
    name = path.rpartition("/")[2]
    is_named = name.startswith("pylock.") and name.endswith(".toml") and name.count(".") == 2
    return name in _LOCK_FILES or is_named


class Pip(Statement):
    """`projects` are directories of the context, each with the extras in brackets that are wanted of it."""

    into: str
    requirements: tuple[str, ...] = ()
    requirement_files: tuple[str, ...] = ()
    constraint_files: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()


class Npm(Statement):
    """`manager` is whose lock says which packages a project has; "" for npm's, if there is one."""

    into: str
    packages: tuple[str, ...] = ()
    project: str | None = None
    scripts: bool = False
    manager: str = ""


class OfLock(Statement):
    """The base of statements whose packages all stand in the lock of a folder, `project`."""

    into: str
    project: str


class Cargo(OfLock):
    """The crates of a Cargo.lock."""


class Go(OfLock):
    """The modules of a go.sum."""


class Maven(OfLock):
    """The artifacts of a lockfile.json of maven-lockfile."""


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
    unpack: bool = False


class Render(Statement):
    """`parameters` are all that are defined at this point, for the template to use."""

    template: str
    destination: str
    parameters: Pairs
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
    values: Pairs


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
    parameters: Pairs
    files: Pairs
    images: tuple[tuple[str, int], ...] = ()

    @property
    def main(self) -> int:
        """The number of the stage that is the recipe's own image: the one that has its name, else the last."""
        return dict(self.images).get(self.name, len(self.stages) - 1)

"""Steps: what is done to a tree, as frozen data with every name and path final.

An action holds exactly what decides its result; options that do not (a time limit, where the statement
stands) lie beside it in the step, so that they can't find their way into a key.
"""

from __future__ import annotations

from envbuild.language.statement_parts import CacheMount, Place, TmpfsMount
from envbuild.record import Pairs, Record
from envbuild.tree.file_mode import Mode


class Origin(Record):
    """Where `copy(from=...)` takes its files: `kind` is stage, image or recipe."""

    kind: str
    argument: str
    folder: str


class TreeMount(Record):
    """A path of another stage or of an image, shown read-only at `target`."""

    origin: Origin
    source: str
    target: str


class Execute(Record):
    """A command in a sandbox. `argv` is the shell's words and the text; `environment` is sorted.

    `mounts` are (path relative to the recipe's folder, target); `parameters` are given as variables too. `network` is
    as in language/statement_parts.py. `shown` are what it mounts of other trees; `ssh` names the user's agent that it
    may use, and `devices` are the paths of this machine's. Fields with a default came later, as in CopyIn.
    """

    argv: tuple[str, ...]
    environment: Pairs
    parameters: Pairs
    user: str
    workdir: str
    network: bool | str
    caches: tuple[CacheMount, ...]
    secrets: tuple[str, ...]
    mounts: Pairs
    folder: str
    shown: tuple[TreeMount, ...] = ()
    tmpfs: tuple[TmpfsMount, ...] = ()
    ssh: str = ""
    devices: tuple[str, ...] = ()


class CopyIn(Record):
    """Files into the tree. `destination` is absolute; a slash at its end means a directory. `contents` takes what lies
    in directories and not them; with `parents` each source lies at its own path below the destination; sources may be
    missing with `optional`; with `unpack` they are archives, and what is in them is copied.

    A field with a default is in a key only if it has another value: it came after the others.
    """

    sources: tuple[str, ...]
    destination: str
    origin: Origin | None
    owner: str | None
    mode: Mode | None
    exclude: tuple[str, ...]
    folder: str
    include: tuple[str, ...] = ()
    contents: bool = False
    parents: bool = False
    optional: bool = False
    unpack: bool = False


class Render(Record):
    """A template of the recipe's folder, filled with `variables` (parameters) and `environment`."""

    template: str
    destination: str
    variables: Pairs
    environment: Pairs
    owner: str | None
    mode: Mode | None
    folder: str


class WriteFile(Record):
    """A file with this text."""

    path: str
    content: str
    owner: str | None
    mode: Mode | None


class FetchFile(Record):
    """A file from the network; `sha256` is what the recipe says, None where the lock has to."""

    url: str
    destination: str
    sha256: str | None
    owner: str | None
    mode: Mode | None
    unpack: bool


class AddUser(Record):
    """A user and its group in /etc/passwd, group and shadow, and its home."""

    name: str
    uid: int | None
    gid: int | None
    home: str | None
    shell: str | None
    groups: tuple[str, ...]


class MakeDirectory(Record):
    """The working directory, where the tree lacks it."""

    path: str


class DiscardPaths(Record):
    """Takes paths out of the tree; later snapshots of the stage leave them out too."""

    patterns: tuple[str, ...]


PROJECT = "project"
"""The option of a step's file that is a project's directory, with the extras that are wanted of it."""
BUILD_PROJECT = "build-project"
"""The option of a step that builds and installs projects themselves, and nothing that they need."""


class InstallPackages(Record):
    """Declared packages: `manager` is apt, pip or npm, `wanted` what the statement names, in its order.

    `files` are (option, path) of files of the recipe's folder that say more (`-r`, `-c`, `key`); `options` are
    those that decide what is installed and where (`into`, `recommends`, `source`, `find-links`, `scripts`, `manager`),
    in a fixed order. `environment` is what the manager runs with, sorted.
    """

    manager: str
    wanted: tuple[str, ...]
    files: Pairs
    options: Pairs
    environment: Pairs
    folder: str

    def option(self, name: str) -> str | None:
        """Return an option's value, "" for one that only stands there, None without it."""
        return dict(self.options).get(name)


Action = Execute | CopyIn | Render | WriteFile | FetchFile | AddUser | MakeDirectory | DiscardPaths | InstallPackages


class Step(Record):
    """One action of a stage. `discard` are the patterns in force for what it leaves behind.

    A step with `test` runs on the finished stage and leaves nothing behind. `timeout` is in seconds. `written` is the
    statement as the recipe has it where `text` is another: a statement that becomes two steps.
    """

    action: Action
    place: Place
    text: str
    discard: tuple[str, ...] = ()
    test: bool = False
    timeout: float | None = None
    written: str = ""

    @property
    def statement(self) -> str:
        """The statement as the recipe has it."""
        return self.written or self.text

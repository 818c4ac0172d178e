"""What envbuild asks of a package manager: the same few functions for each, in three phases.

A `PackageManager` knows the statements and packages of its ecosystem and needs neither network nor settings, so that a
cached build imports little. `Servers`, one object for each build, knows where this machine gets packages from. To add
a manager, write a module with both and name it in registry.py.
"""

from __future__ import annotations

from posixpath import normpath

from envbuild.language.model import is_lock_file
from envbuild.linux.nofollow import Component
from envbuild.lockfile.lock import Package
from envbuild.plan.step import InstallPackages
from envbuild.record import Pairs, Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Protocol

    from envbuild.http.transport import Transport
    from envbuild.packages.cache import Address, LookUp, Wanted
    from envbuild.store.store import Store
    from envbuild.tree.entry import Digest
else:
    Protocol = object  # importing typing takes 2 ms of every start

Contents = tuple[tuple[str, bytes], ...]
"""The files that a statement names: (path relative to the recipe's folder, content)."""

CHECK = "ENVBUILD_CHECK"
"""The variable of an installation that ends with an error if what is installed then does not go together: CHECK_ALL for
packages that no package manager has chosen together, as after a merge, and CHECK_OTHERS for those that one has chosen,
perhaps for other packages than the tree has now."""
CHECK_ALL, CHECK_OTHERS = "all", "others"
BUILD = "build/"
"""How the origin of a package begins that only an installation needs, such as what builds another one."""
INSTALLED = "installed/"
"""How the origin of a package begins that a statement asks for and the tree has already: it is not fetched."""
IN_PROJECT = "\0project\0"
"""How the names of a project's sources begin among the files of a statement: no path of the context has a zero byte.
They are installed, and say nothing of what else is."""
FOLDER = "/run/envbuild"
"""Where a task's files are mounted, in the sandbox alone."""
OUT = f"{FOLDER}/out"
"""Where a task that resolves leaves its answer: a folder that outlives the sandbox."""
PACKAGES = f"{FOLDER}/packages"
"""Where an installation finds the files of its packages."""
MAX_ATTEMPTS = 30
"""How often a resolution is tried with fewer and fewer packages held at their locked versions: each time what the
manager names as being in the way is let go, and it names what is in the way at one depth of dependencies."""

_SOURCE_PREFIXES = ("PIP_", "UV_", "NPM_CONFIG_", "npm_config_", "APT_")
_SOURCE_NAMES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")


class Task(Record):
    """A command that one phase runs in a sandbox, as root of the tree. All that it is given is mounted read-only:
    `files` are (target, content), of which `executable` may be run, and `packages` are (name in the folder PACKAGES,
    host path). One that resolves and is `offline` asks nobody."""

    argv: tuple[str, ...]
    environment: Pairs = ()
    files: Contents = ()
    packages: tuple[tuple[Component, str], ...] = ()
    executable: tuple[str, ...] = ()
    offline: bool = False

    def with_own_sources(self, variables: Pairs, files: Contents = ()) -> Task:
        """Return the same task, to which `variables` and `files` alone say where packages come from: for trees that
        somebody else may have prepared."""
        silent = tuple(
            (name, value)
            for name, value in self.environment
            if not name.startswith(_SOURCE_PREFIXES)
            and name not in _SOURCE_NAMES
            and not name.lower().endswith("_proxy")
        )
        return self.replace(environment=(*silent, *variables), files=(*self.files, *files))


class Seen(Record):
    """What of a tree an answer depends on: the content of files, and of the files right inside of directories, at
    `paths`; the first program that is found of each of `programs`; and of `names`, (directory, ending), the names in a
    directory that end so, where a `*` in its path stands for any one name. `changing` are those of `paths` that say
    what is installed: like `names`, they follow from earlier statements, and are no settings."""

    paths: tuple[str, ...]
    programs: tuple[tuple[str, ...], ...] = ()
    names: Pairs = ()
    changing: tuple[str, ...] = ()


class ManagerSettings(Record):
    """What the user has set for package managers: `variables` about proxies, indexes and certificates, the `home`
    folder, `max_file`, the bytes of one file that is fetched at most, and `snapshot`, the address of an archive of all
    that Debian ever had, "" for none."""

    variables: Pairs
    home: str
    max_file: int
    snapshot: str = ""


class Asked(Record):
    """The servers that a resolution has to ask, as addresses: those that the user's settings and the recipe name, and
    those that only others name, such as files of the tree or pages of an index."""

    named: tuple[str, ...]
    others: tuple[str, ...] = ()


class TaskResult(Record):
    """How a task that resolves ended, and the last that it printed."""

    status: int
    output: str


class Resolution(Protocol):
    """One statement that is being resolved on the tree of a stage.

    `pinned` are packages that keep their versions if they can, `renewed` the names of those that should be as new as
    can be, and `earlier` what earlier statements of the stage put into the same place. `base` are the packages that
    the stage's base is known to be made of. `extended` are the packages that the lock has for fewer words of the same
    question, on the same tree, and `before` those that it has for the statement that stood in the place of this one,
    which had the words `wanted_before`. If `holds`, what the tree has already stays as it is, too. With
    `own_sources` nothing in the tree says where packages come from. `store` and `epoch` are those of the build.
    """

    action: InstallPackages
    contents: Contents
    pinned: tuple[Package, ...]
    renewed: frozenset[str]
    earlier: tuple[Package, ...]
    base: tuple[Package, ...]
    extended: tuple[Package, ...]
    before: tuple[Package, ...]
    wanted_before: tuple[str, ...]
    holds: bool
    own_sources: bool
    store: Store
    epoch: int

    def run(self, task: Task) -> TaskResult:
        """Run a task on the tree, with the network. Raises Unresolved if it does not end in time."""

    def answer(self, name: str) -> bytes:
        """Return what the last task left under a name in OUT. Raises BadDocument."""

    def download(self, wanted: Wanted) -> str:
        """Bring a file into the cache, and return its path there. Raises what downloads raise."""

    def explain(self, reasons: dict[str, str]) -> None:
        """Take note of why packages are what they are, by their names: what needs them."""


class PackageManager(Protocol):
    """A package manager. `name` is the word of its statement."""

    name: str

    def check(self, package: Package) -> Package:
        """Return the same package, all of whose fields are what this manager's packages have. Raises BadName."""

    def files_of(self, action: InstallPackages, read: Callable[[str, str], bytes]) -> Contents:
        """Return the files that a statement names, with those that these name in turn; `read` gives the content of a
        file for the option that names it, and raises UsageError for one that isn't there or may not be read."""

    def clean(self, action: InstallPackages, path: str, content: bytes) -> bytes:
        """Return what of a statement's file may be kept, in records and as part of the question: all of it, unless it
        is where passwords are. The same of what this returned."""

    def installed_files(self, contents: Contents) -> Contents:
        """Return those of a statement's files that are part of what is installed, and so of the step's key."""

    def variables_of(self, action: InstallPackages) -> Pairs | None:
        """Return the variables of the stage's environment that the package manager obeys; None if it is run without
        them."""

    def looks_at(self, action: InstallPackages) -> Seen:
        """Return what of a tree an answer depends on."""

    def trusts(self, action: InstallPackages, contents: Contents, packages: Sequence[Package]) -> bool:
        """Return whether what a lock has for a statement may say where files come from."""

    def is_in_tree(self, package: Package) -> bool:
        """Return whether the package's file lies in the tree itself, and needs no fetching."""

    def install_task(
        self, action: InstallPackages, contents: Contents, packages: Sequence[tuple[Package, str]]
    ) -> Task:
        """Return what installs the locked packages, which are given with the paths of their files."""

    def parts_of(
        self, action: InstallPackages, contents: Contents, packages: Sequence[tuple[Package, str]]
    ) -> InParts | InStages | None:
        """Return the same installation in parts or in stages, None where it has none."""

    def joined_of(
        self, action: InstallPackages, contents: Contents, packages: Sequence[tuple[Package, str]]
    ) -> Joined | None:
        """Return the same installation without a sandbox, None where it needs one."""

    def servers(self, machine: ManagerSettings) -> Servers:
        """Return where this machine gets the packages from."""


class Joined(Protocol):
    """An installation of one statement whose result follows from the packages' files alone: nothing has to run for it,
    but perhaps for its end."""

    def join(self, store: Store, tree: Digest, epoch: int) -> tuple[Digest, int, int] | None:
        """Return the tree that it makes of `tree`, how many of its packages the store had unpacked, and how many there
        are; None where only a sandbox tells."""

    def finish(self) -> Task | None:
        """Return what is left to do on that tree, None for nothing."""


class InStages:
    """An installation whose stages are kept instead, since what a package brings depends on what is there already: that
    of Debian packages alone (apt_stages.py)."""


class InParts(Protocol):
    """An installation of one statement, taken apart: what one package brings depends on no other one. So a tree can be
    put together from what there is before any package, and the part of each. What a manager says here is run, kept and
    joined by build/part_installer.py."""

    packages: tuple[Package, ...]
    """Those that are installed."""

    def prepare(self) -> Task:
        """Return what makes all that is there before the first package."""

    def unpack(self, packages: Sequence[Package]) -> Task:
        """Return what brings some of the packages into a tree that was prepared."""

    def finish(self) -> Task | None:
        """Return what is left to do when all parts are in place, None for nothing."""

    def mark(self, package: Package) -> Sequence[str]:
        """Return all that decides about a package's part beside the tree that was prepared and the program that
        unpacks."""

    def is_apart(self, store: Store, prepared: Digest) -> bool:
        """Return whether a tree that was prepared has nothing that the packages would take the place of."""

    def paths(self, store: Store, prepared: Digest, tree: Digest, packages: Sequence[Package]) -> list[list[bytes]]:
        """Return the paths of the files that each package has in `tree`, into which these ones were brought; an empty
        list for one of which that can't be said."""


class Servers(Protocol):
    """Where one package manager gets packages from: the machine's settings, read when they are first needed."""

    def resolve(self, resolution: Resolution) -> Sequence[tuple[Package, str]]:
        """Return the packages that a statement means, each with its address, "" if that is not known yet. Raises
        Unresolved, NoManager, BadName and BadDocument."""

    def asked(self, action: InstallPackages, contents: Contents, texts: Sequence[str]) -> Asked | None:
        """Return the servers that a resolution has to ask; None where no code of packages runs in it, and it may ask
        all that the machine may. `texts` are the settings that the tree has."""

    def find(self, action: InstallPackages, contents: Contents, package: Package) -> tuple[list[Address], list[str]]:
        """Return the addresses in the user's own sources that may have a package's file, and why there are no
        others."""

    def look_up(self, package: Package) -> LookUp | None:
        """Return what finds a package that none of the sources has any more, None where nothing does."""

    def named(self) -> Sequence[str]:
        """Return the addresses that the user's settings name."""

    def transport(self) -> Transport:
        """Return how servers are reached."""


def texts_of(action: InstallPackages, contents: Contents) -> list[str]:
    """Return the texts in which a statement says what it wants: its words, and its files. Lock files of other tools are
    full of addresses that nobody is asked for."""
    said = (content for path, content in contents if not is_lock_file(path) and not path.startswith(IN_PROJECT))
    return [*action.wanted, *(content.decode("utf-8", "replace") for content in said)]


def shown_path(path: str) -> str:
    """Return the path of a statement's file as messages show it."""
    return normpath(path[len(IN_PROJECT) + 1 :]) if path.startswith(IN_PROJECT) else path


def fewer_pins(pinned: tuple[Package, ...], freed: set[str], attempt: int) -> tuple[Package, ...]:
    """Return what is still held at its version after a resolution failed: not what was in the way (`freed`); in the end
    nothing."""
    kept = tuple(package for package in pinned if package.name.partition(":")[0] not in freed)
    return kept if len(kept) < len(pinned) and attempt < MAX_ATTEMPTS - 2 else ()

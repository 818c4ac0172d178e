"""The lock: `web.env.lock` beside `web.env`, for git to keep.

It has two parts. *Pins* say what a build takes: bases, packages, fetched files, images, and what they were asked for.
People review and merge them, and a build changes them only if it must. *Results* say what came of it, each for itself:
for this key, this tree. A result that nobody asks for is stale and does no harm. How both are written is in
lock_file.py.
"""

from __future__ import annotations

from envbuild.errors import UsageError, WorkFailed, fields
from envbuild.lockfile.results import NO_RESULTS, Results
from envbuild.record import Pairs, Record, values

VERSION = 3
"""Of the locks that are written."""
COMPATIBILITY = 1
"""The way in which keys and trees are made; an envbuild that makes other ones of the same recipe has another number. In
0, copied files and what commands wrote all had the time of the epoch."""
EARLIER = "an earlier envbuild made it, which gave all files one time"
"""Why a lock of compatibility 0 is out of date."""
_HASH_DIGITS = {"sha1": 40, "sha256": 64, "sha384": 96, "sha512": 128}
_HASHES = {
    **dict.fromkeys(("apt", "aptsource", "pip", "cargo", "go"), ("sha256",)),
    "maven": ("sha256", "sha384", "sha512"),
}
"""The hashes that the packages of a manager have, if these are not all of them."""
_MAX_FIELD = 2048
_MAX_SHOWN = 80
_SHOWN = 20
"""Digits of a digest in a readable lock: 80 bits."""


TAGGED = "tag "
"""What stands before the commit of a tag, which is not there to move as a branch is."""


class UnsupportedHash(ValueError):
    """A package's hash is of an algorithm that is not among `known`, or has not the digits of its own."""

    def __init__(self, package: str, hash: str, known: tuple[str, ...]) -> None:
        forms = " or ".join(f"{name}: and {_HASH_DIGITS[name]} hexadecimal digits" for name in known)
        super().__init__(f"{package[:100]!r} has the hash {hash[:100]!r}; a package of its kind has {forms}")
        self.hash = hash


class Package(Record):
    """One package that a statement came to.

    `name` is the manager's: apt's has `:ARCH` where that is foreign, npm's is the path below node_modules. `hash` is
    `sha256:` or `sha512:` and hexadecimal digits, of its file. `origin` is where that comes from, in terms that
    hold behind any mirror; docs/packages.md has its forms. What each package manager's names may be is for
    packages/names.py to say. Raises ValueError for what no package has.
    """

    name: str
    version: str
    hash: str
    origin: str

    def __init__(self, name: str, version: str, hash: str, origin: str) -> None:
        algorithm, _, digits = hash.partition(":")
        # The hash is what the package's file is called in the store.
        if len(digits) != _HASH_DIGITS.get(algorithm) or digits.strip("0123456789abcdef"):
            raise UnsupportedHash(name, hash, tuple(_HASH_DIGITS))
        for text in (name, version, origin):
            if not text or not text.isprintable() or len(text) > _MAX_FIELD:
                raise ValueError(f"{text[:100]!r} is nothing that a package's name, version or origin can be")
        super().__init__(name, version, hash, origin)


class BasePackages(Record):
    """The packages that a base was made of: those that were `asked` for, and those that they `pulled` in."""

    asked: tuple[Package, ...] = ()
    pulled: tuple[Package, ...] = ()

    @property
    def all(self) -> tuple[Package, ...]:
        """All of them."""
        return (*self.asked, *self.pulled)


class Earlier(Record):
    """What locks of version 1 and 2 have of a statement about packages, and how a build knows it again: the digest of
    all that it `asks`, the digest of all that it `sees`, and the step's key, the tree before it and its epoch."""

    asks: str
    sees: str
    key: str
    parent: str
    epoch: int


class LockedInstall(Record):
    """One statement that installs packages: what it `wants`, each for itself, the digest of all else that it `asks`,
    and the packages that this came to. `asks` is "" where a merge left it unknown. `sources` are the addresses, without
    passwords, that the statement itself names as places of packages, for who reads the lock."""

    manager: str
    wants: tuple[str, ...]
    asks: str
    packages: tuple[Package, ...] = ()
    earlier: Earlier | None = None
    sources: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The statement as messages show it."""
        wants = " ".join(self.wants)
        return f"{self.manager} {wants}" if 0 < len(wants) <= _MAX_SHOWN else f"{self.manager} ..."


def check_hashes(manager: str, packages: tuple[Package, ...]) -> None:
    """Raise UnsupportedHash for a hash that no package of this manager has."""
    known = _HASHES.get(manager, tuple(_HASH_DIGITS))
    for package in packages:
        if package.hash.partition(":")[0] not in known:
            raise UnsupportedHash(package.name, package.hash, known)


class LockedStage(Record):
    """The pins of one stage: its base as the recipe has it, the digest of the base's tree, what that was made from, and
    the SOURCE_DATE_EPOCH (seconds) of its steps. `name` is the stage's, or its number where it has none. With
    `packages`, from which the base can be made again, its tree's own date is `released` (seconds).

    `digest` is "" where it follows from another stage or recipe, and where a merge left it unknown.
    """

    name: str
    base: str
    digest: str
    origin: str
    epoch: int
    installs: tuple[LockedInstall, ...] = ()
    packages: BasePackages = BasePackages()
    released: int = 0

    @property
    def follows(self) -> bool:
        """Whether the base is another stage or recipe, which has pins of its own."""
        return self.base.startswith("recipe:") or self.origin == f"stage {self.base}"


class Section(Record):
    """What a lock has for machines of one architecture: the pins, of which `fetched` are (URL, sha256), `images`
    (reference, image digest) and `commits` (URL of a branch or tag, the commit that it meant, with
    TAGGED before that of a tag), and the results."""

    architecture: str
    stages: tuple[LockedStage, ...] = ()
    fetched: Pairs = ()
    images: Pairs = ()
    results: Results = NO_RESULTS
    commits: Pairs = ()

    def stage(self, name: str, base: str) -> LockedStage | None:
        """Return the stage of this name, if it still starts from `base`."""
        return next((stage for stage in self.stages if stage.name == name and stage.base == base), None)


class Lock(Record):
    """A whole lock. `own` is for machines like this one, and empty if nobody built there; `others` are for the
    architectures that a build here leaves as they are. `cool_down` is how old packages had to be to be chosen, as an
    ISO 8601 duration; it is read and kept, and nothing obeys it yet. `version` is that of the text that it was read
    from."""

    recipe: str
    own: Section
    parameters: Pairs = ()
    others: tuple[Section, ...] = ()
    cool_down: str = ""
    compatibility: int = COMPATIBILITY
    version: int = VERSION

    @property
    def stages(self) -> tuple[LockedStage, ...]:
        """The stages, for machines like this one."""
        return self.own.stages

    @property
    def results(self) -> Results:
        """The results, for machines like this one."""
        return self.own.results

    @property
    def image(self) -> str:
        """The digest of the image; "" if the lock has none or, after a merge, several."""
        images = self.own.results.images
        return images[0].digest if len(images) == 1 else ""

    @property
    def size(self) -> int:
        """The size of the image in bytes, 0 if it is not known."""
        images = self.own.results.images
        return images[0].size if len(images) == 1 else 0

    @property
    def is_earlier(self) -> bool:
        """Whether an earlier envbuild made it, which would give other digests, so that a build renews it."""
        return self.compatibility < COMPATIBILITY

    def stage(self, name: str, base: str) -> LockedStage | None:
        """Return the stage of this name, if it still starts from `base`."""
        return self.own.stage(name, base)


@fields
class BadLock(UsageError):
    """The lock can't be read."""

    path: str
    reason: str
    hint: str = ""

    def text(self) -> tuple[str, str]:
        return (
            f"{self.path}: not a lock that envbuild can read: {self.reason}",
            # Without the file, a build would take other versions of all that it pins.
            self.hint
            or f"take back a version of it that git has: git log -- {self.path}; git checkout COMMIT -- {self.path}",
        )


@fields
class LockOutOfDate(WorkFailed):
    """`--locked` was asked for, and the recipe or the machine gives something else than the lock says."""

    exit_code = 1

    path: str
    difference: str

    def text(self) -> tuple[str, str]:
        return (
            f"{self.path} does not match what the recipe gives:\n{self.difference}",
            "build without --locked to renew the lock, and commit it with the recipe",
        )


def path_of(recipe_path: str) -> str:
    """Return where the lock of a recipe lies."""
    return recipe_path + ".lock"


def commit_id(pin: str) -> str:
    """Return the commit of a branch or tag, as a lock pins it, without what says that it is a tag."""
    return pin.removeprefix(TAGGED)


def first_line(text: str) -> str:
    """Return what a lock shows of a statement: its first line, with dots when there is more."""
    head, newline, rest = text.strip().partition("\n")
    return f"{head.rstrip()} ..." if newline and rest.strip() else head


def difference(path: str, before: str, after: str) -> str:
    """Return a unified diff of two lock texts, for people."""
    import difflib  # only when there is something to show

    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), f"{path} (as it is)", f"{path} (as built)", lineterm="", n=1
    )
    return "\n".join(lines)


def readable(lock: Lock) -> str:
    """Return the lock as text whose diff a person reads, with a line for each base, statement and package, and for what
    came through the network.

    Digests that follow from others are left out. Of what is pinned it has so many digits that nobody makes other
    content with the same ones, and where it comes from: a line changes whenever content does.
    """
    lines = []
    for image in lock.results.images or ():
        lines.append(f"image {image.digest[:12]} of {lock.recipe}, {image.size} bytes")
    if not lock.results.images:
        lines.append(f"image not known until a build of {lock.recipe}")
    lines += [f"parameter {name} = {value}" for name, value in lock.parameters]
    for section in (lock.own, *lock.others):
        # Of other architectures only where there are any: most locks are for one.
        for_whom = f" on {section.architecture}" if section is not lock.own else ""
        commits = {
            url: f" {'tag' if pin.startswith(TAGGED) else 'commit'} {commit_id(pin)[:_SHOWN]},"
            for url, pin in section.commits
        }
        lines += [f"fetched {url}{commits.get(url, '')} {digest[:_SHOWN]}{for_whom}" for url, digest in section.fetched]
        lines += [f"image {reference} = {digest[:_SHOWN]}{for_whom}" for reference, digest in section.images]
        for stage in section.stages:
            digest = "" if stage.follows else f"; {stage.digest[:_SHOWN] or 'unknown'}"
            lines += ["", f"stage {stage.name} from {stage.base} ({stage.origin}{digest}){for_whom}"]
            lines += [f"      base {_readable(package)}" for package in sorted(stage.packages.all, key=values)]
            for install in stage.installs:
                lines.append(f"  {install.text}")
                lines += [f"      source {source}" for source in install.sources]
                packages = sorted(install.packages, key=values)
                lines += [f"      {install.manager} {_readable(package)}" for package in packages]
        if section.results.network:
            from envbuild.lockfile.network_lines import readable_network  # most locks have none

            lines += ["", f"network of the steps{for_whom}"]
            lines += [f"  {line}" for line in readable_network(section.results.network.values(), _SHOWN)]
    return "\n".join(lines) + "\n"


def _readable(package: Package) -> str:
    """Return a package in a line: its version, the beginning of its hash, and the place that its file comes from."""
    place = package.origin if "://" in package.origin else package.origin.rpartition("/")[0]
    return f"{package.name} {package.version} ({package.hash.partition(':')[2][:_SHOWN]}, {place})"

"""The lock: `web.env.lock` beside `web.env`, what a build of the recipe came to, for git to keep.

How it is written is in lock_file.py.
"""

from __future__ import annotations

from envbuild.errors import UsageError, WorkFailed, fields
from envbuild.record import Pairs, Record, values

VERSION = 2
"""Of the locks that are written. In version 1, copied files and what commands wrote all had the time of the epoch."""
EARLIER = "an earlier envbuild made it, which gave all files one time"
"""Why a lock of version 1 is out of date."""
_HASH_DIGITS = {"sha1": 40, "sha256": 64, "sha384": 96, "sha512": 128}
_HASHES = {"apt": ("sha256",), "pip": ("sha256",)}
"""The hashes that the packages of a manager have, if these are not all of them."""
_MAX_FIELD = 2048
_SHOWN = 20
"""Digits of a digest in a readable lock: 80 bits."""


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


class LockedStep(Record):
    """One step: the first line of its statement, its key, and the tree it gave.

    Of a step that installs packages, `asks` is the digest of what the statement asks for, `packages` the answer, and
    `sees` the digest of what the tree said beside it; "" in locks of before, and where it is unknown.
    """

    text: str
    key: str
    tree: str
    asks: str = ""
    packages: tuple[Package, ...] = ()
    sees: str = ""

    @property
    def installs(self) -> bool:
        """Whether the step installs packages; of a merged one it may be unknown what it asks for."""
        return bool(self.asks or self.packages)

    @property
    def manager(self) -> str:
        """The word that the statement begins with: of a step that installs packages, its package manager's name."""
        return self.text.split(maxsplit=1)[0].partition("(")[0] if self.text.strip() else ""


def check_hashes(manager: str, packages: tuple[Package, ...]) -> None:
    """Raise UnsupportedHash for a hash that no package of this manager has."""
    known = _HASHES.get(manager, tuple(_HASH_DIGITS))
    for package in packages:
        if package.hash.partition(":")[0] not in known:
            raise UnsupportedHash(package.name, package.hash, known)


class LockedStage(Record):
    """One stage: its base as the recipe has it, the digest of the base's tree, what that was made from, and the
    SOURCE_DATE_EPOCH (seconds) of its steps. `name` is the stage's, or its number where it has none. With `packages`,
    from which the base can be made again, its tree's own date is `released` (seconds)."""

    name: str
    base: str
    digest: str
    origin: str
    epoch: int
    steps: tuple[LockedStep, ...] = ()
    packages: BasePackages = BasePackages()
    released: int = 0


class Lock(Record):
    """A whole lock. `fetched` are (URL, sha256), `images` (reference, image digest); size in bytes.

    `merged` locks are what git made of two: they say which packages there are, and a build what
    comes of that. What a lock of an earlier `version` pins holds; the keys and trees in it are no longer those of its
    steps.
    """

    recipe: str
    image: str
    tree: str
    size: int
    epoch: int
    stages: tuple[LockedStage, ...]
    parameters: Pairs = ()
    fetched: Pairs = ()
    images: Pairs = ()
    merged: bool = False
    version: int = VERSION

    @property
    def is_earlier(self) -> bool:
        """Whether an earlier envbuild made it, so that a build renews it."""
        return self.version < VERSION and any(stage.steps for stage in self.stages)

    def stage(self, name: str, base: str) -> LockedStage | None:
        """Return the stage of this name, if it still starts from `base`."""
        for stage in self.stages:
            if stage.name == name and stage.base == base:
                return stage
        return None


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
    """Return the lock as text whose diff a person reads, with a line for each base, statement and package.

    Digests that follow from others are left out. Of what is pinned it has so many digits that nobody makes other
    content with the same ones, and where it comes from: a line changes whenever content does.
    """
    lines = [f"image {lock.image[:12] or 'not known until a build'} of {lock.recipe}, {lock.size} bytes"]
    lines += [f"parameter {name} = {value}" for name, value in lock.parameters]
    lines += [f"fetched {url} {digest[:_SHOWN]}" for url, digest in lock.fetched]
    lines += [f"image {reference} = {digest[:_SHOWN]}" for reference, digest in lock.images]
    for stage in lock.stages:
        lines += ["", f"stage {stage.name} from {stage.base} ({stage.origin}; {stage.digest[:_SHOWN] or 'unknown'})"]
        lines += [f"      base {_readable(package)}" for package in sorted(stage.packages.all, key=values)]
        for step in stage.steps:
            lines.append(f"  {step.text}")
            manager = step.text.split()[0].partition("(")[0]
            packages = sorted(step.packages, key=values)
            lines += [f"      {manager} {_readable(package)}" for package in packages]
    return "\n".join(lines) + "\n"


def _readable(package: Package) -> str:
    """Return a package in a line: its version, the beginning of its hash, and the place that its file comes from."""
    place = package.origin if "://" in package.origin else package.origin.rpartition("/")[0]
    return f"{package.name} {package.version} ({package.hash.partition(':')[2][:_SHOWN]}, {place})"

"""References: the forms in which an image is named.

The store knows `NAME`, `NAME:TAG`, either with `@{N}` or `@{DATE}`, a digest or its first digits, and a name with the
digest that it must have, `NAME@sha256:...`. Locks in git know `NAME@REV` and `git:REV:FILE`. NAME may have a project
before it, `PROJECT/NAME`; without one it means what it does in the directory where it is used (names.py).
"""

from __future__ import annotations

from envbuild.errors import UsageError, fields
from envbuild.record import Record
from envbuild.store.branch_tags import ALLOWED, ALPHANUMERIC, PREFIX, is_branch_tag

LATEST = "latest"
GIT = "git:"
MIN_DIGITS = 4
"""Digits of the shortest beginning of a digest."""
_HEXADECIMAL = "0123456789abcdef"


class TagReference(Record):
    """A name and a tag, "" where none is written; `which` is what stands in `@{...}` behind them, None without, and
    `project` what stands before the name, "" without."""

    name: str
    tag: str
    which: str | None = None
    project: str = ""


class StoreReference(Record):
    """A tag, the digits of a digest, or a text that may be either: then it is the tag if there is one."""

    text: str
    tag: TagReference | None
    digits: str | None


class PinnedReference(Record):
    """`NAME@sha256:...`; the tag is None where only the digest is given."""

    tag: TagReference | None
    digits: str


class RevisionReference(Record):
    """`NAME@REV`: what the recipe of this name is in a revision of git, by its lock there; `project` is what stands
    before the name, "" without."""

    name: str
    revision: str
    project: str = ""


class FileReference(Record):
    """`git:REV:FILE`: the same of the recipe at a path."""

    revision: str
    path: str


Reference = StoreReference | PinnedReference | RevisionReference | FileReference


@fields
class BadName(UsageError):
    """A text that can't name an image, or what else is said."""

    name: str
    what: str = "an image"

    def text(self) -> tuple[str, str]:
        return (
            f"'{self.name}' can't name {self.what}",
            "names and tags begin with a letter or digit and hold letters, digits, `.`, `_` and `-`, as in web:v1.2; "
            "of the form web:branch/main are tags of branches, of the form shop/web names of a project",
        )


@fields
class BranchTag(UsageError):
    """A tag to be set that only builds in a branch of git may move."""

    name: str

    def text(self) -> tuple[str, str]:
        return (
            f"{self.name} is the tag of a branch, which builds in that branch move",
            f"choose a tag that does not begin with '{PREFIX}', as in web:v1.2",
        )


@fields
class BadFileReference(UsageError):
    """A text that begins as `git:` and names no file of a revision."""

    reference: str

    def text(self) -> tuple[str, str]:
        return f"'{self.reference}' is not git:REV:FILE", "as in: git:main:web.env, git:HEAD~2:services/web.env"


def parse(text: str) -> Reference:
    """Return the reference that `text` is by its form. Raises BadName and BadFileReference."""
    if text.startswith(GIT):
        revision, _, path = text.removeprefix(GIT).partition(":")
        if not revision or not path:
            raise BadFileReference(text)
        return FileReference(revision, path)
    name, mark, which = text.partition("@")
    if not mark or which.startswith("{"):
        return StoreReference(text, parse_tag(text), digits_of(text))
    digits = digits_of(which) if which.startswith("sha256:") else None
    if digits is not None:
        return PinnedReference(parse_name(name) if name else None, digits)
    if ":" in name:
        raise BadName(text)
    recipe = parse_name(name)
    return RevisionReference(recipe.name, which, recipe.project)


def parse_name(reference: str) -> TagReference:
    """Return what `NAME` or `NAME:TAG` says, with or without a project. Raises BadName."""
    whole, colon, tag = reference.partition(":")
    project, slash, name = whole.rpartition("/")
    parts = tag.removeprefix(PREFIX).split("/") if is_branch_tag(tag) else [tag]
    for part in (*((project,) if slash else ()), name, *(parts if colon else ())):
        if not part or part[0] not in ALPHANUMERIC or part.strip(ALLOWED):
            raise BadName(reference)
    return TagReference(name, tag, project=project)


def parse_new_name(reference: str) -> TagReference:
    """Return what `parse_name` does, for a tag that is to be set. Raises BadName and BranchTag."""
    parsed = parse_name(reference)
    if is_branch_tag(parsed.tag):
        raise BranchTag(reference)
    return parsed


def parse_tag(text: str) -> TagReference | None:
    """Return the tag that `text` names by its form, None if it can only be a digest, or nothing."""
    head, mark, rest = text.partition("@{")
    if mark and not rest.endswith("}"):
        return None
    try:
        parsed = parse_name(head)
    except BadName:
        return None
    return parsed.replace(which=rest[:-1]) if mark else parsed


def digits_of(text: str) -> str | None:
    """Return the hexadecimal digits of a digest or of the beginning of one, None if `text` is neither."""
    digits = text.removeprefix("sha256:")
    return digits if len(digits) >= MIN_DIGITS and not digits.strip(_HEXADECIMAL) else None

"""The statement that brought a path, a package or a fact to an image, the line of the lock that pins it, and the commit
of either."""

from __future__ import annotations

import re

from envbuild.history.authorship import Credit, Made, credit, lock_credit, newest
from envbuild.history.blame import blame, blame_missing
from envbuild.images.ancestry import with_those_below
from envbuild.images.lock_attestation import kept_recipe
from envbuild.language.parse import parse_all
from envbuild.language.syntax import StatementSyntax, WordLine
from envbuild.record import Record
from envbuild.store.images import Image
from envbuild.store.store import Store
from envbuild.tree.lookup import lookup

_KEYWORDS = {"volumes": "volume", "labels": "label"}
"""The statements that make facts, where these are called otherwise."""
_MEMBERS = ("env", "label", "expose", "volume")
_PIN = re.compile(r'\s*- \{name: "([^"]+)", version: "([^"]+)", ')


class Origin(Record):
    """What brought something to an image: a statement by its first line and its place `FILE:LINE` ("" if it has none
    on record), and the place of the line that pins the package in the lock. `credit` is the last change of either, None
    if git knows nothing of the build. Of what is gone, the statement is the one that removed it."""

    text: str
    place: str = ""
    lock: str = ""
    credit: Credit | None = None


def origin_of_path(store: Store, image: Image, path: bytes) -> Origin | None:
    """Return what made a path of an image what it is, or removed it; None if the store does not know that any more."""
    entry = lookup(store.trees, image.tree, path, follow=False)
    name = f"sha256:{image.digest}"
    if entry is not None:
        reasons = blame(store, image, name, path, entry)
    else:
        missing = blame_missing(store, image, name, path)
        if missing is None or not missing[1].touches:
            return None
        reasons = missing[1]
    if not reasons.touches:
        return None
    maker = reasons.touches[-1].maker
    if maker.file:
        return Origin(_first_line(maker.text), f"{maker.file}:{maker.line}", credit=reasons.credit)
    made_in = store.images.get(maker.image)
    base = _base_statement(store, made_in, maker.text.removeprefix("from ")) if made_in is not None else None
    if base is None or made_in is None:
        return Origin(_first_line(maker.text))
    file, statement = base
    made = Made(maker.image, statement.source, file, statement.span.line, "", (), path, entry)
    return Origin(_first_line(statement.source), f"{file}:{statement.span.line}", credit=credit(store, made))


def origin_of_package(store: Store, image: Image, path: bytes, name: str, version: str) -> Origin | None:
    """Return what brought a package in this version to an image, by a `path` that it owns there. Of one that is gone
    `version` is ""."""
    origin = origin_of_path(store, image, path)
    if origin is None or not version:
        return origin
    for below in with_those_below(store, image):
        for file, text in below.known.get("sources", {}).get("locks", {}).items():
            number = pinned_at(text, name, version)
            if number:
                pinned = lock_credit(store, below.digest, file, text.split("\n")[number - 1])
                credits = [known for known in (origin.credit, pinned) if known is not None]
                return origin.replace(lock=f"{file}:{number}", credit=newest(credits))
    return origin


def origin_of_fact(store: Store, image: Image, name: str) -> Origin | None:
    """Return the statement that gave an image a fact (`env.PATH`, `user`), or took it away; None if no recipe that was
    kept has it."""
    fact, _, member = name.partition(".")
    keyword = _KEYWORDS.get(fact, fact)
    for below in with_those_below(store, image):
        for file, text in kept_recipe(store, below):
            tree, _ = parse_all(text, file)
            statements = [item for item in tree.items if isinstance(item, StatementSyntax)]
            for statement in reversed(statements):
                if _sets(statement, keyword, member):
                    line = _line_of(statement, keyword, member)
                    shown = statement.source.splitlines()[line - statement.span.line]
                    made = Made(below.digest, shown, file, line, "", (), b"", None)
                    return Origin(shown.strip(), f"{file}:{line}", credit=credit(store, made))
    return None


def _base_statement(store: Store, image: Image, base: str) -> tuple[str, StatementSyntax] | None:
    """Return the file and the statement `from` of this base, if it says so without parameters."""
    for file, text in kept_recipe(store, image):
        tree, _ = parse_all(text, file)
        statements = [item for item in tree.items if isinstance(item, StatementSyntax) and item.keyword == "from"]
        for statement in statements:
            if statement.words and statement.words[0].literal() == base:
                return file, statement
    return None


def _sets(statement: StatementSyntax, keyword: str, member: str) -> bool:
    """Return whether a statement gives or takes away a fact."""
    if statement.keyword == "unset":
        return bool(_words(statement) & {keyword, f"{keyword}:{member}"})
    if statement.keyword != keyword:
        return False
    if keyword not in _MEMBERS or not member:
        return True
    return any(word.startswith(f"{member}=") for word in _words(statement))


def _words(statement: StatementSyntax) -> set[str]:
    block = [word for line in statement.block if isinstance(line, WordLine) for word in line.words]
    parts = [word.parts[0] for word in (*statement.words, *block) if word.parts]
    return {part for part in parts if isinstance(part, str)}


def _line_of(statement: StatementSyntax, keyword: str, member: str) -> int:
    """Return the line of a statement that has a member of the fact."""
    for line in statement.block:
        if isinstance(line, WordLine):
            for word in line.words:
                first = word.parts[0] if word.parts else ""
                if isinstance(first, str) and first.startswith((f"{member}=", f"{keyword}:{member}")):
                    return word.span.line
    return statement.span.line


def pinned_at(lock: str, name: str, version: str) -> int:
    """Return the number of the line, from 1, that pins a package in a lock; 0 if none does."""
    plain = _normalized(name.partition(":")[0])
    for number, line in enumerate(lock.split("\n"), 1):
        pin = _PIN.match(line)
        if pin is not None and pin[2] == version and _normalized(pin[1].partition(":")[0]) == plain:
            return number
    return 0


def _normalized(name: str) -> str:
    """Return a package's name as pip compares them; those of apt and npm that differ in this only are few."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _first_line(text: str) -> str:
    head, _, more = text.strip().partition("\n")
    return f"{head} ..." if more else head

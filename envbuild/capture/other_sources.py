"""The package sources of a captured machine that its base does not have: other vendors', backports. A recipe names
each with the packages that come from it, and lays the key that signs it beside itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from envbuild.debian.apt_sources import AptSource, machine_sources, parse_deb822, parse_lines
from envbuild.debian.host_policy import Source, sources_of_versions
from envbuild.drift.file_lines import RecipeFile
from envbuild.drift.statement_text import is_plain, word
from envbuild.packages.inventory.bad_record import MAX_RECORD
from envbuild.record import Record
from envbuild.store.objects import TooLargeToRead
from envbuild.store.store import Store
from envbuild.tree.entry import DIRECTORY, FILE, Digest, Entry
from envbuild.tree.lookup import LinkCircle, lookup

FOLDER = "etc/apt/sources.list.d"
LIST = "etc/apt/sources.list"
MAX_SOURCES = 50
"""Sources that are looked at: each takes a trial."""
MAX_KEY = 1 << 20


class OtherSource(Record):
    """A source, and the file that signs it, which will lie beside the recipe."""

    source: AptSource
    key: RecipeFile

    @property
    def place(self) -> Source:
        """Its address and suite."""
        return self.source.uri.rstrip("/"), self.source.suite

    @property
    def options(self) -> str:
        """The options of an `apt` statement."""
        source = self.source
        line = " ".join(("deb", source.uri, source.suite, *source.components))
        return f"source={word(line)}, key={word(self.key.place.decode())}"


def other_sources(store: Store, base: str, target: Digest, stem: str) -> tuple[list[OtherSource], list[str]]:
    """Return the sources of `target` that a base (`debian:SUITE`) does not stand for, with keys that will lie in
    `STEM.keys/`; and remarks on those that can't be said."""
    suite = base.removeprefix("debian:")
    own = {suite, f"{suite}-updates", f"{suite}-security", f"{suite}/updates"}
    # Whoever made the capture says what its sources are: only those that this machine's owner set up, too, are asked.
    trusted = {(source.uri.rstrip("/"), source.suite) for source in machine_sources()}
    others: list[OtherSource] = []
    remarks: list[str] = []
    for source in sources_of(store, target):
        if (source.is_debian and source.suite in own) or source.is_local or len(others) == MAX_SOURCES:
            continue
        text = " ".join((source.uri, source.suite, *source.components))
        if not is_plain(text.encode("utf-8", "surrogateescape")):
            continue
        if "@" in source.uri.partition("://")[2].partition("/")[0]:
            remarks.append(f"a source of {source.suite}, whose address has a password in it")
            continue
        if (source.uri.rstrip("/"), source.suite) not in trusted:
            remarks.append(f"the source {text}: this machine does not have it, so it was not asked")
            continue
        key = _key(store, target, source)
        if key is None:
            remarks.append(f"the source {text}: which key signs it is not known")
            continue
        name = f"{stem}.keys/{len(others) + 1}-{key[0].rpartition('/')[2]}"
        others.append(OtherSource(source, RecipeFile(name.encode(), key[1])))
    return others, remarks


def by_source(others: Sequence[OtherSource], words: Iterable[str]) -> dict[OtherSource, list[str]]:
    """Return which of the packages NAME=VERSION only other sources have, as this machine's apt knows them."""
    if not others:
        return {}
    pairs = [(name, version) for name, _, version in (word.partition("=") for word in words)]
    known = sources_of_versions([name for name, _ in pairs])
    chosen: dict[OtherSource, list[str]] = {}
    places = {other.place for other in others}
    for name, version in pairs:
        having = known.get((name, version), frozenset())
        if having and having <= places:
            other = next(other for other in others if other.place in having)
            chosen.setdefault(other, []).append(f"{name}={version}")
    return chosen


def sources_of(store: Store, tree: Digest) -> list[AptSource]:
    """Return the enabled sources of binary packages of a tree; what can't be read is left out."""
    sources: list[AptSource] = []
    for path in (LIST, *_paths(store, tree)):
        try:
            text = store.read_text(tree, path, MAX_RECORD, errors="replace") or ""
        except (TooLargeToRead, LinkCircle):
            continue
        sources += parse_deb822(text) if path.endswith(".sources") else parse_lines(text)
    return list(dict.fromkeys(sources))


def _paths(store: Store, tree: Digest) -> Iterator[str]:
    folder = _entry(store, tree, FOLDER)
    for entry in store.trees.load(folder.digest) if folder is not None and folder.kind == DIRECTORY else ():
        if entry.name.endswith((b".list", b".sources")) and is_plain(entry.name):
            yield f"{FOLDER}/{entry.name.decode()}"


def _key(store: Store, tree: Digest, source: AptSource) -> tuple[str, Entry] | None:
    """Return the path and entry of the file that signs a source; None for a key in the text, for several, and for none:
    any of apt's own keys may sign it then."""
    paths = [path for name, value in source.options if name.lower() == "signed-by" for path in value.split()]
    if len(paths) != 1 or not paths[0].startswith("/") or not is_plain(paths[0].encode("utf-8", "surrogateescape")):
        return None
    entry = _entry(store, tree, paths[0].strip("/"))
    return (paths[0], entry) if entry is not None and entry.kind == FILE and entry.size <= MAX_KEY else None


def _entry(store: Store, tree: Digest, path: str) -> Entry | None:
    try:
        return lookup(store.trees, tree, path.encode("utf-8", "surrogateescape"))
    except LinkCircle:
        return None

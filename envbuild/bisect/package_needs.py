"""What packages say that they need: Debian's stanzas, the metadata of Python distributions, package.json.

Nothing depends on it but which candidates are tried first; so what can't be read says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from envbuild.bisect.requirements import ABSENT, State, Wanted
from envbuild.debian.deb822 import stanzas
from envbuild.history.package_changes import is_older
from envbuild.packages.inventory.bad_record import Unreadable, parsed_json
from envbuild.packages.inventory.component import DPKG
from envbuild.packages.inventory.dpkg import is_installed
from envbuild.packages.inventory.python import headers
from envbuild.packages.python_versions import BadSpecifier, meets

MAX_NEEDS = 2000
"""Of one package that are read; Debian's longest list has some hundred."""
_RELATION = re.compile(r"([a-z0-9][a-z0-9+.-]*)(?::[a-z0-9-]+)?\s*(?:\((<<|<=|=|>=|>>|<|>)\s*([^\s)]+)\s*\))?")
_DISTRIBUTION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
MAX_TEXT = 4000
"""Characters of one need that are read."""


def debian_state(stanza: str) -> State:
    """Return what a stanza of dpkg's status says; that of a package which is not installed says nothing."""
    fields = next(stanzas(stanza), {})
    name, version = fields.get("package", ""), fields.get("version", "")
    try:
        if not name or not is_installed(fields.get("status", "install ok installed")):
            return ABSENT
    except Unreadable:
        return ABSENT
    names = [(name, version)]
    for provided in _relations(fields.get("provides", "")):
        # Without a version it satisfies only who wants none (Debian policy 7.5).
        names += [(match[1], match[3] or "") for match in provided]
    needs = [
        tuple(_wanted(match) for match in alternatives)
        for field in ("pre-depends", "depends")
        for alternatives in _relations(fields.get(field, ""))
    ]
    refuses = [
        _wanted(match)
        for field in ("breaks", "conflicts")
        for alternatives in _relations(fields.get(field, ""))
        for match in alternatives
    ]
    return State(tuple(names), tuple(needs), tuple(refuses))


def _relations(text: str) -> list[list[re.Match[str]]]:
    """Return the relations of a field, each with its alternatives (deb-control(5))."""
    listed = []
    for part in text.replace("\n", " ").split(",", MAX_NEEDS)[:MAX_NEEDS]:
        matches = [_RELATION.match(word.strip()) for word in part[:MAX_TEXT].split("|")]
        known = [match for match in matches if match is not None]
        if known:
            listed.append(known)
    return listed


def _wanted(match: re.Match[str]) -> Wanted:
    name, operator, than = match[1], match[2] or "", match[3] or ""

    def fits(version: str) -> bool:
        if not operator:
            return True
        if not version:
            return False
        older, newer = is_older(DPKG, version, than), is_older(DPKG, than, version)
        match operator:
            case "<<":
                return older
            case "<=" | "<":
                return not newer
            case ">=" | ">":
                return not older
            case ">>":
                return newer
            case _:
                return not older and not newer

    return Wanted(name, fits)


def python_state(metadata: bytes, where: str) -> State:
    """Return what the metadata of a Python distribution in the directory `where` say (Python packaging's "Core
    metadata"). What it needs only for an extra is left out; whether other markers hold is not known here, and does not
    matter much."""
    try:
        fields = headers(metadata.decode("utf-8", "replace"))
    except Unreadable:
        return ABSENT
    name, version = (fields.get(field, [""])[0] for field in ("name", "version"))
    needs = []
    for text in fields.get("requires-dist", [])[:MAX_NEEDS]:
        wanted, _, marker = text[:MAX_TEXT].strip().partition(";")
        match = _DISTRIBUTION.match(wanted)
        if match is not None and "extra" not in marker:
            specifiers = wanted[match.end() :].rpartition("]")[2].strip().strip("()")
            needs.append((_distribution(f"{where}/{_normal(match[0])}", specifiers),))
    return State(((f"{where}/{_normal(name)}", version),), tuple(needs))


def _distribution(name: str, specifiers: str) -> Wanted:
    def fits(version: str) -> bool:
        try:
            return meets(version, specifiers)
        except BadSpecifier:
            return True

    return Wanted(name, fits)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def node_states(manifests: Mapping[str, tuple[bytes | None, bytes | None]]) -> dict[str, tuple[State, State]]:
    """Return what Node packages say, by their directories; of each the package.json before and after.

    A range of versions that did not change is satisfied by what either environment has. So a package needs the others
    as they are in its own environment, if the range that it has for them changed.
    """
    sides = [{folder: _Manifest(pair[side]) for folder, pair in manifests.items()} for side in (0, 1)]
    return {
        folder: (_node_state(folder, sides[0], sides[1]), _node_state(folder, sides[1], sides[0]))
        for folder in manifests
    }


class _Manifest:
    """The version and the dependencies in a package.json; "" and none where there is none."""

    def __init__(self, content: bytes | None) -> None:
        try:
            plain = parsed_json(content) if content is not None else None
        except Unreadable:
            plain = None
        fields = plain if isinstance(plain, dict) else {}
        self.version = str(fields.get("version", ""))
        ranges = fields.get("dependencies")
        self.ranges = ranges if isinstance(ranges, dict) and len(ranges) <= MAX_NEEDS else {}


def _node_state(folder: str, own: Mapping[str, _Manifest], other: Mapping[str, _Manifest]) -> State:
    manifest = own[folder]
    if not manifest.version:
        return ABSENT
    needs = []
    for name, wanted in manifest.ranges.items():
        where = _resolved(folder, name, own) if other[folder].ranges.get(name) != wanted else None
        if where is not None:
            needs.append((Wanted(where, own[where].version.__eq__),))
    return State(((folder, manifest.version),), tuple(needs))


def _resolved(folder: str, name: str, packages: Mapping[str, _Manifest]) -> str | None:
    """Return the directory in which Node finds a package that is used in `folder`, if that package differs, too."""
    above = folder
    while True:
        where = f"{above}/node_modules/{name}"
        if where in packages and packages[where].version:
            return where
        above, separator, _ = above.rpartition("/node_modules/")
        if not separator:
            return None

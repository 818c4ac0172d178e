"""What dpkg's own records of a machine say of the relations of its packages: whether a list of those chosen by hand
gives the others with `apt(recommends)` or without, and which need others in exactly one version."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Set

_INSTALLED = "installed"
_EXACT = re.compile(r"([a-z0-9][a-z0-9+.-]*)(?::[a-z0-9]+)? \(= ")
_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]*")


def recommends_explain(status: Iterable[Mapping[str, str]], automatic: frozenset[str]) -> bool:
    """Return whether more of the installed packages are there only because others recommend them than recommended ones
    are missing. `status` are the stanzas of dpkg, `automatic` the packages that nobody asked for by name."""
    installed, provided = _installed(status)
    needed = _reached(installed, provided, installed.keys() - automatic, ("depends", "pre-depends"))
    wanted = _reached(installed, provided, installed.keys() - automatic, ("depends", "pre-depends", "recommends"))
    missing = sum(
        not any(name in provided for name in alternatives)
        for package in needed
        for alternatives in _alternatives(installed[package], ("recommends",))
    )
    return len(wanted - needed) > missing


def needing_exactly(status: Iterable[Mapping[str, str]], names: Set[str]) -> frozenset[str]:
    """Return the packages that depend on exactly one version of one of these."""
    return frozenset(
        stanza["package"]
        for stanza in status
        if "package" in stanza
        for field in ("depends", "pre-depends")
        for relation in re.split(r"[,|]", stanza.get(field, ""))
        if (match := _EXACT.match(relation.strip())) is not None and match[1] in names
    )


def needed_exactly(status: Iterable[Mapping[str, str]], names: Set[str]) -> frozenset[str]:
    """Return what these packages depend on in exactly one version."""
    return frozenset(
        match[1]
        for stanza in status
        if stanza.get("package") in names
        for field in ("depends", "pre-depends")
        for relation in re.split(r"[,|]", stanza.get(field, ""))
        if (match := _EXACT.match(relation.strip())) is not None
    )


def not_needed(status: Iterable[Mapping[str, str]], names: Set[str]) -> frozenset[str]:
    """Return those of these packages that can be removed while all others stay: nothing that stays depends on them."""
    installed, provided = _installed(status)
    return frozenset(names - _reached(installed, provided, installed.keys() - names, ("depends", "pre-depends")))


def _installed(status: Iterable[Mapping[str, str]]) -> tuple[dict[str, Mapping[str, str]], dict[str, set[str]]]:
    """Return the stanzas of the installed packages by their names, and who stands for each name."""
    installed = {s["package"]: s for s in status if s.get("status", "").endswith(f" {_INSTALLED}") and "package" in s}
    provided: dict[str, set[str]] = {}
    for name, stanza in installed.items():
        for other in (name, *_NAME.findall(re.sub(r"\([^)]*\)", "", stanza.get("provides", "")))):
            provided.setdefault(other, set()).add(name)
    return installed, provided


def _reached(
    installed: Mapping[str, Mapping[str, str]],
    provided: Mapping[str, set[str]],
    start: Iterable[str],
    fields: tuple[str, ...],
) -> set[str]:
    """Return the installed packages that these and their relations need."""
    reached: set[str] = set()
    pending = list(start)
    while pending:
        name = pending.pop()
        if name in reached:
            continue
        reached.add(name)
        for alternatives in _alternatives(installed[name], fields):
            pending += [package for other in alternatives for package in provided.get(other, ())]
    return reached


def _alternatives(stanza: Mapping[str, str], fields: tuple[str, ...]) -> list[list[str]]:
    """Return the names that fulfil each relation of a package."""
    return [
        [match[0] for choice in relation.split("|") if (match := _NAME.match(choice.strip())) is not None]
        for field in fields
        for relation in stanza.get(field, "").split(",")
        if relation.strip()
    ]

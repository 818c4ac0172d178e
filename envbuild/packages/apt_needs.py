"""Why apt installs a package: what of the same answer depends on it (deb-control(5), Depends)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from envbuild.debian.deb822 import stanzas
from envbuild.lockfile.lock import Package

_RELATION = re.compile(r"\s*([a-z0-9][a-z0-9+.-]+)(?::[a-z0-9-]+)?\s*(?:\(\s*([^)]{1,200}?)\s*\))?")
_FIELDS = ("pre-depends", "depends")
MAX_STANZAS = 5000


def reasons(text: str, packages: Sequence[Package], pinned: Iterable[Package]) -> dict[str, str]:
    """Return for each of these packages what needs it, "" for what nothing of the same answer needs. `text` has the
    control data of some of them. What is not `pinned` any more is named before others, and then what needs a certain
    version."""
    stayed = {(package.name.partition(":")[0], package.version) for package in pinned}
    names = {package.name.partition(":")[0]: package.name for package in packages}
    needs: dict[str, list[tuple[bool, int, str]]] = {}
    for number, fields in enumerate(stanzas(text)):
        by, version = fields.get("package", ""), fields.get("version", "")
        if by not in names or number >= MAX_STANZAS:
            continue
        for field in _FIELDS:
            for alternative in re.split("[,|]", fields.get(field, "")):
                match = _RELATION.match(alternative)
                if match is not None and match[1] in names and match[1] != by:
                    which = f" ({match[2]})" if match[2] else ""
                    needs.setdefault(match[1], []).append(
                        ((by, version) in stayed, _looseness(which), f"{by} {version} needs it{which}")
                    )
    return {name: min(needs[plain])[2] if plain in needs else "" for plain, name in names.items()}


def _looseness(which: str) -> int:
    """Return the rank of a relation: an exact version says more than a lowest one, and that more than none."""
    return 0 if which.startswith(" (=") else 1 if which else 2

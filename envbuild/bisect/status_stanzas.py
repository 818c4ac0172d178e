"""dpkg's status as a list of stanzas, so that a candidate tree has for each package the stanza of its files."""

from __future__ import annotations

from envbuild.debian.deb822 import checked_stanzas
from envbuild.merge.records import in_order
from envbuild.record import Record

MAX_STANZAS = 100_000


class StatusChanges(Record):
    """The stanzas of two versions of a status: `order` has all packages, in an order that is that of each text, and
    `old` and `new` the stanzas as they stand."""

    order: tuple[str, ...]
    old: dict[str, str]
    new: dict[str, str]

    @property
    def changed(self) -> tuple[str, ...]:
        """The packages whose stanzas differ."""
        return tuple(name for name in self.order if self.old.get(name) != self.new.get(name))

    @property
    def unchanged(self) -> list[str]:
        """The stanzas that are the same."""
        return [stanza for name, stanza in self.old.items() if self.new.get(name) == stanza]

    def text(self, chosen: set[str]) -> str:
        """Return the status in which the packages that are `chosen` have their new stanzas, or none if that is so, and
        all others their old ones."""
        stanzas = ((self.new if name in chosen else self.old).get(name) for name in self.order)
        return "".join(f"{stanza}\n\n" for stanza in stanzas if stanza is not None)


def status_changes(old: str, new: str) -> StatusChanges | None:
    """Return two status texts as stanzas by `NAME:ARCH`; None if one can't be taken apart without loss: then the file
    is taken as a whole."""
    before, after = _by_package(old), _by_package(new)
    if before is None or after is None:
        return None
    return StatusChanges(tuple(in_order(after, after, before)), before, after)


def _by_package(text: str) -> dict[str, str] | None:
    stanzas: dict[str, str] = {}
    for stanza in checked_stanzas(text):
        name = f"{stanza.fields.get('package', '')}:{stanza.fields.get('architecture', '')}"
        if stanza.fault or name in stanzas or len(stanzas) == MAX_STANZAS:
            return None
        stanzas[name] = stanza.text
    return stanzas

"""Debian packages: from dpkg's status (dpkg(1), /var/lib/dpkg/status) and the copyright files of the packages."""

from __future__ import annotations

from collections.abc import Iterator

from envbuild.debian.deb822 import Stanza, checked_stanzas, stanzas
from envbuild.packages.inventory.bad_record import MAX_RECORD, MAX_STATUS, BadRecord, Unreadable
from envbuild.packages.inventory.component import DPKG, Component, Read, Walked, check_identity
from envbuild.packages.inventory.licences import of_copyright

STATUS = "var/lib/dpkg/status"
STATUS_FOLDER = "var/lib/dpkg/status.d/"
"""What images without dpkg have in place of it: a file for each package."""
INSTALLED = "installed"
STATES = (
    *("not-installed", "config-files", "half-installed", "unpacked", "half-configured"),
    *("triggers-awaited", "triggers-pending", INSTALLED),
)
"""The last word of a Status (dpkg(1), "Package states")."""


def debian_packages(read: Read, walked: Walked, distribution: str) -> Iterator[Component | BadRecord]:
    """Yield the packages that are installed; `distribution` is `debian bookworm`, from os-release."""
    paths = [STATUS, *(path for path, _ in walked if path.startswith(STATUS_FOLDER) and not path.endswith(".md5sums"))]
    for path in paths:
        try:
            content = read(path, MAX_STATUS if path == STATUS else MAX_RECORD)
        except Unreadable as error:
            yield BadRecord(DPKG, f"/{path}", error.reason)
            continue
        if content is None:
            continue
        for stanza in checked_stanzas(content.decode("utf-8", "replace")):
            try:
                component = _package(stanza, path, distribution)
            except Unreadable as error:
                yield BadRecord(DPKG, f"/{path}", f"{_called(stanza)}: {error.reason}")
                continue
            if component is not None:
                yield from _with_licences(component, read)


def has_debian_packages(status: str, wanted: set[tuple[str, str]]) -> bool:
    """Return whether dpkg's status has all of these (name, version) as installed; foreign ones are `name:ARCH`."""
    installed: set[tuple[str, str]] = set()
    for fields in stanzas(status):
        if fields.get("status", "").endswith(f" {INSTALLED}"):
            name, version = fields.get("package", ""), fields.get("version", "")
            installed |= {(name, version), (f"{name}:{fields.get('architecture', '')}", version)}
    return wanted <= installed


def is_installed(status: str) -> bool:
    """Return whether a Status says that the package is installed. Raises Unreadable for one that says nothing."""
    words = status.split()
    if len(words) != 3 or words[2] not in STATES:
        raise Unreadable(f"{status[:60]!a} is not a status")
    return words[2] == INSTALLED


def _package(stanza: Stanza, path: str, distribution: str) -> Component | None:
    fields = stanza.fields
    if stanza.fault:
        raise Unreadable(stanza.fault)
    # In status.d nothing else is there.
    if not is_installed(fields.get("status", "install ok installed" if path != STATUS else "")):
        return None
    name, version = check_identity(DPKG, fields.get("package"), fields.get("version"))
    source, _, _ = fields.get("source", name).partition(" ")
    architecture = fields.get("architecture", "")
    for word in (source, architecture or "none"):
        check_identity(DPKG, word, version)
    return Component(
        DPKG,
        name,
        version,
        architecture,
        f"/{path}",
        (),
        source=source,
        homepage=fields.get("homepage", ""),
        distribution=distribution,
    )


def _called(stanza: Stanza) -> str:
    name = stanza.fields.get("package", "")
    where = f"the stanza in line {stanza.line}"
    return f"{where}, of {name}" if name.isascii() and name.isprintable() and 0 < len(name) < 80 else where


def _with_licences(component: Component, read: Read) -> Iterator[Component | BadRecord]:
    path = f"usr/share/doc/{component.name}/copyright"
    try:
        content = read(path, MAX_RECORD)
    except Unreadable as error:
        yield BadRecord(DPKG, f"/{path}", error.reason)
        content = None
    licences = of_copyright(content.decode("utf-8", "replace")) if content is not None else ()
    yield component.replace(licences=licences)

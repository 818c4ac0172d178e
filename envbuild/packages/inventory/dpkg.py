"""Debian packages: from dpkg's status (dpkg(1), /var/lib/dpkg/status) and the copyright files of the packages."""

from __future__ import annotations

from collections.abc import Iterator

from envbuild.packages.inventory.component import DPKG, Component, Read, Walked
from envbuild.packages.inventory.deb822 import stanzas
from envbuild.packages.inventory.licences import of_copyright

STATUS = "var/lib/dpkg/status"
STATUS_FOLDER = "var/lib/dpkg/status.d/"
"""What images without dpkg have in place of it: a file for each package."""


def debian_packages(read: Read, walked: Walked, distribution: str) -> Iterator[Component]:
    """The packages that are installed; `distribution` is `debian bookworm`, from os-release."""
    paths = [STATUS, *(path for path, _ in walked if path.startswith(STATUS_FOLDER) and not path.endswith(".md5sums"))]
    for path in paths:
        content = read(path)
        if content is None:
            continue
        for fields in stanzas(content.decode("utf-8", "replace")):
            if "package" not in fields or "version" not in fields:
                continue
            if fields.get("status", "install ok installed").split()[-1] != "installed":
                continue
            name = fields["package"]
            copyright_file = read(f"usr/share/doc/{name}/copyright")
            yield Component(
                DPKG,
                name,
                fields["version"],
                fields.get("architecture", ""),
                f"/{path}",
                of_copyright(copyright_file.decode("utf-8", "replace")) if copyright_file is not None else (),
                source=fields.get("source", name).partition(" ")[0],
                homepage=fields.get("homepage", ""),
                distribution=distribution,
            )

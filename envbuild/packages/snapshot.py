"""An archive of all that Debian ever had, such as snapshot.debian.org: where a package is after its mirror dropped it.

Its address is the user's setting. What it gives is held against the hash of the lock like all other files.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from urllib.parse import quote

from envbuild.debian.names import DebianName, DebianOrigin
from envbuild.lockfile.lock import Package
from envbuild.packages.cache import Address
from envbuild.packages.documents import fields_of

_SHA1 = re.compile(r"[0-9a-f]{40}")
_MAX_FILES = 50
"""Files of one version, of which each architecture has one."""


def by_date(snapshot: str, package: Package, moment: int) -> Address:
    """Return where the archive has what a package's source had at a moment (seconds); it takes the state before."""
    archive, _, path = package.origin.partition("/")
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(moment))
    return Address(f"{snapshot}/archive/{quote(archive)}/{stamp}/{quote(path, safe='/~')}")


def by_version(snapshot: str, package: Package, read: Callable[[str], bytes]) -> list[Address]:
    """Return where the archive has files of a package's version, whenever that was; `read` gives what is at an address.

    It names files by their SHA-1 (salsa.debian.org/snapshot-team/snapshot, API). Raises BadDocument.
    """
    name, version = DebianName(package.name).without_architecture, package.version
    asked = f"{snapshot}/mr/binary/{quote(name)}/{quote(version)}/binfiles?fileinfo=1"
    document = fields_of(read(asked), asked)
    wanted = DebianOrigin(package.origin).file
    addresses = []
    for item in document.objects("result")[:_MAX_FILES]:
        digest = item.text("hash")
        if _SHA1.fullmatch(digest) is None:
            continue
        names = [known.text("name") for known in document.fields("fileinfo").objects(digest)]
        if wanted in names:
            addresses.append(Address(f"{snapshot}/file/{digest}"))
    return addresses

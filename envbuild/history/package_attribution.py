"""The attribution of changed paths to changed packages.

A path belongs to a package if the package's own record says so: dpkg's lists of files, the RECORD of a Python
distribution, the directory of a Node package. It is attributed only if it has the content that the package brought, by
the digests in these records, and the mode, owner and attributes that it had: a file that was also changed by hand
stands out. What maintainer scripts make of packages (links to their files, compiled Python, caches that triggers write)
belongs to them too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from posixpath import basename, dirname, normpath

from envbuild.debian.left_behind import is_record
from envbuild.history.account_names import AccountNames
from envbuild.history.notices import PATH
from envbuild.history.package_changes import Attribution, PackageChange
from envbuild.history.package_contents import NOTHING_ALTERED, Expected, check_contents, known_contents
from envbuild.history.package_owners import MD5, SHA256, Owned, Owners, package_owners, root_links
from envbuild.packages.inventory.component import DPKG, NODE
from envbuild.store.store import Store
from envbuild.tree.diff import Change
from envbuild.tree.entry import FILE, LINK, Digest, Entry

_CACHED = re.compile(r"(.*)__pycache__/([^/]+?)\.[\w-]+(?:\.opt-\d)?\.pyc$")
_TURNED = re.compile(r"etc/(?:ssl/certs|systemd|rc[0-6S]\.d)/")
"""Directories in which maintainer scripts change existing links."""
_DOCUMENTATION = ("usr/share/doc/", "usr/share/man/")
_CERTIFICATES = "etc/ssl/certs/"


def attribute(
    store: Store,
    trees: tuple[Digest, Digest],
    packages: list[PackageChange],
    changes: list[Change],
    accounts: AccountNames,
) -> Attribution:
    """Attribute `changes` (one for each path) to the changes of `packages` between two trees, whose owners have the
    names of `accounts`."""
    attribution = Attribution()
    debian = {change.package.name.partition(":")[0] for change in packages if change.package.kind == DPKG}
    contents = known_contents(store, trees) if debian else NOTHING_ALTERED
    owners, turned = package_owners(store, trees, packages, changes, attribution.bad, sums=contents is None)
    named = [(change.path.decode("utf-8", "surrogateescape"), change) for change in changes]
    if contents is None:
        contents = check_contents(store, trees, _with_md5(owners, named))
    attribution.unread = contents.unread
    links = root_links(store, trees[1])
    pending = []
    known: dict[str, int] = {}
    for path, change in named:
        owned = owners.get(path)
        if owned is None and path.endswith(".pyc"):
            owned = _compiled(owners, path)
        if owned is not None:
            edited = change.path in contents.altered or _has_other_digest(owned, change)
            if edited or _is_changed_beside(change, accounts) or _is_turned(path, change, owned, owners, turned, links):
                attribution.owners[change.path] = owned.number
                if edited:
                    attribution.edited.add(change.path)
                attribution.rest.append(change)
            else:
                attribution.of.setdefault(owned.number, []).append(change)
                known[path] = owned.number
        elif debian and is_record(path) and not _is_foreign(path, debian):
            attribution.records.append(change)
        else:
            pending.append((path, change))
    # A link belongs to the owner of its target, which may be such a link itself.
    for _ in range(3):
        kept = []
        for path, change in pending:
            number = _owner_of_link(known, owners, path, change, packages, links)
            if number is None:
                kept.append((path, change))
            else:
                attribution.of.setdefault(number, []).append(change)
                known[path] = number
        pending = kept
    attribution.rest = sorted([*attribution.rest, *(change for _, change in pending)], key=lambda change: change.path)
    return attribution


def _with_md5(owners: Owners, named: list[tuple[str, Change]]) -> list[Expected]:
    """Return the files with new content of which an md5 is known."""
    return [
        Expected(change.path, after, owned.digest)
        for path, change in named
        if (after := change.after) is not None
        and after.kind == FILE
        and (change.before is None or change.before.digest != after.digest)
        and (owned := owners.get(path)) is not None
        and owned.kind == MD5
    ]


def _has_other_digest(owned: Owned, change: Change) -> bool:
    after = change.after
    return owned.kind == SHA256 and after is not None and after.kind == FILE and after.digest != owned.digest


def _is_changed_beside(change: Change, accounts: AccountNames) -> bool:
    """Return whether more than content and time of a path changed: packages' records do not have the rest."""
    before, after = change.before, change.after
    if before is None or after is None or before.kind != after.kind:
        return False
    attributes = (before.mode, before.xattrs) == (after.mode, after.xattrs)
    return not attributes or not accounts.same_owner(before, after)


def _is_foreign(path: str, debian: set[str]) -> bool:
    """Return whether a file that a package's trigger writes changed without that package."""
    return path.startswith(_CERTIFICATES) and not debian & {"ca-certificates", "ca-certificates-java"}


def _compiled(owners: Owners, path: str) -> Owned | None:
    """Return the owner of the source that a path was compiled from, by a maintainer script or by pip."""
    compiled = _CACHED.match(path)
    owned = owners.get(f"{compiled[1]}{compiled[2]}.py") if compiled else None
    return Owned(owned.number) if owned is not None else None


def _is_turned(
    path: str,
    change: Change,
    owned: Owned,
    owners: Owners,
    turned: Mapping[str, set[str]],
    links: Mapping[str, str],
) -> bool:
    """Return whether a link of a package leads elsewhere than the package's own version would turn it."""
    before, after = change.before, change.after
    if before is None or after is None or after.kind != LINK or before.target == after.target:
        return False
    where = _target(path, after, links)
    if path in turned:
        return where not in turned[path]
    aim = owners.get(where)
    if aim is None:
        return True
    # What has a version may be in another package than the link: libx.so -> libx.so.2, python3 -> python3.13.
    stem = basename(path).partition(".")[0]
    rest = basename(where).removeprefix(stem)
    named = rest != basename(where) and not rest[:1].isalpha()
    return not (aim.number == owned.number or named or path.startswith(_DOCUMENTATION))


def _target(path: str, entry: Entry, links: Mapping[str, str]) -> str:
    """Return where a link leads, by the names that paths of a tree have; `links` are those at its root."""
    target = entry.target.decode("utf-8", "surrogateescape")
    where = normpath(target).lstrip("/") if target.startswith("/") else normpath(f"{dirname(path)}/{target}")
    head, slash, rest = where.partition("/")
    return f"{links[head]}/{rest}" if slash and head in links else where


def _owner_of_link(
    known: Mapping[str, int],
    owners: Owners,
    path: str,
    change: Change,
    packages: list[PackageChange],
    links: Mapping[str, str],
) -> int | None:
    entry = change.after or change.before
    if entry is None or entry.kind != LINK:
        return None
    if change.before is not None and change.after is not None and not _TURNED.match(path):
        return None  # somebody changed its target, as of /etc/localtime: the package did not
    where = _target(path, entry, links)
    owned = owners.get(where)
    number = known.get(where, owned.number if owned is not None else None)
    if number is None or change.before is not None or dirname(path) not in PATH:
        return number
    # Scripts make no other names for programs: whoever uses such a one may expect another program.
    return number if where.startswith("etc/alternatives/") or packages[number].package.kind == NODE else None

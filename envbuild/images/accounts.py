"""Users and groups of a tree: reading passwd(5) and group(5), and adding an account to them."""

from __future__ import annotations

from envbuild.errors import UsageError, WorkFailed, fields
from envbuild.linux.passwd import Account, Group, account_number, lines_of, read_group, read_passwd
from envbuild.record import Record
from envbuild.store.objects import TooLargeToRead
from envbuild.store.store import Store
from envbuild.tree.entry import FILE, Digest
from envbuild.tree.lookup import lookup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


FIRST_UID = 1000
"""Where ordinary users begin (Debian policy 9.2.2)."""
MAX_BYTES = 16 << 20
"""Bytes of each of the files."""


@fields
class NoSuchAccount(UsageError):
    """A user or group that the tree doesn't have."""

    kind: str
    name: str

    def text(self) -> tuple[str, str]:
        file = "/etc/passwd" if self.kind == "user" else "/etc/group"
        return (
            f"there is no {self.kind} '{self.name}' in {file} of the tree",
            "add it first with: adduser, or give a number",
        )


@fields
class AccountTaken(WorkFailed):
    """`adduser` asks for a name or number that is in use."""

    what: str

    def text(self) -> tuple[str, str]:
        return f"adduser: {self.what} exists already in the tree", "choose another, or drop the statement"


@fields
class AccountsTooLarge(WorkFailed):
    """A file of accounts that is too large to be one."""

    path: str
    size: int

    def text(self) -> tuple[str, str]:
        return (
            f"/{self.path} of the tree has {self.size:,} bytes",
            f"files of accounts are read up to {MAX_BYTES:,} bytes",
        )


class Databases(Record):
    """The texts of /etc/passwd, group, shadow and gshadow; None for a file that the tree lacks."""

    passwd: str | None = None
    group: str | None = None
    shadow: str | None = None
    gshadow: str | None = None


def read_databases(store: Store, tree: Digest) -> Databases:
    """Return the account files of a tree. Raises AccountsTooLarge."""
    return Databases(*(account_text(store, tree, name) for name in ("passwd", "group", "shadow", "gshadow")))


def account_text(store: Store, tree: Digest, name: str) -> str | None:
    """Return the text of /etc/NAME of a tree, None if the tree lacks it. Raises AccountsTooLarge."""
    try:
        return store.read_text(tree, f"etc/{name}", MAX_BYTES)
    except TooLargeToRead as error:
        raise AccountsTooLarge(f"etc/{name}", error.entry.size) from error


_MAX_KEPT = 8
_accounts: dict[str | None, tuple[Account, ...]] = {}
_groups: dict[str | None, Mapping[str, int]] = {}
"""What the last texts were read as: a build asks for the same again and again."""


def accounts(passwd: str | None) -> tuple[Account, ...]:
    """Return the accounts of a passwd text."""
    if passwd not in _accounts and len(_accounts) >= _MAX_KEPT:
        _accounts.clear()
    if (known := _accounts.get(passwd)) is None:
        known = _accounts[passwd] = tuple(read_passwd(passwd or ""))
    return known


def groups(group: str | None) -> Mapping[str, int]:
    """Return the numbers of the groups of a group text, by name."""
    if group not in _groups and len(_groups) >= _MAX_KEPT:
        _groups.clear()
    if (known := _groups.get(group)) is None:
        known = _groups[group] = {row.name: row.gid for row in read_group(group or "")}
    return known


def owner_ids(owner: str, databases: Databases) -> tuple[int, int]:
    """Return (uid, gid) of `NAME`, `NAME:GROUP` or numbers. A user alone brings its own group.

    Raises NoSuchAccount.
    """
    user, colon, group = owner.partition(":")
    account = _account(user, databases.passwd)
    uid = account.uid if account is not None else account_number(user)
    if uid is None:
        raise NoSuchAccount("user", user)
    if not colon or not group:
        return uid, account.gid if account is not None else uid
    number = account_number(group)
    if number is not None:
        return uid, number
    known = groups(databases.group)
    if group not in known:
        raise NoSuchAccount("group", group)
    return uid, known[group]


def home_of(user: str, passwd: str | None) -> str:
    """Return the home of the user that commands run as ("" is root); `/` where the passwd text doesn't say."""
    account = _account(user.partition(":")[0] or "0", passwd)
    if account is not None and account.home:
        return account.home
    return "/root" if user in ("", "0", "root") else "/"


def _account(user: str, passwd: str | None) -> Account | None:
    known = accounts(passwd)
    for account in known:
        if account.name == user:
            return account
    number = account_number(user)
    if number is not None:
        for account in known:
            if account.uid == number:
                return account
    return None


def add_account(
    databases: Databases,
    name: str,
    uid: int | None,
    gid: int | None,
    home: str | None,
    shell: str,
    member_of: tuple[str, ...],
) -> tuple[Databases, Account]:
    """Return the databases with one more account, locked for passwords, and the account.

    Its group has its name; with a `gid` that a group has already it joins that one. Raises AccountTaken and
    NoSuchAccount.
    """
    known = accounts(databases.passwd)
    known_groups = groups(databases.group)
    if any(account.name == name for account in known):
        raise AccountTaken(f"the user '{name}'")
    if uid is not None and any(account.uid == uid for account in known):
        raise AccountTaken(f"the user number {uid}")
    for wanted in member_of:
        if wanted not in known_groups:
            raise NoSuchAccount("group", wanted)
    if uid is None:
        uid = _free({account.uid for account in known} | set(known_groups.values()))
    make_group = gid is None or gid not in known_groups.values()
    if gid is None:
        if name in known_groups:
            raise AccountTaken(f"the group '{name}'")
        gid = uid if uid not in known_groups.values() else _free(set(known_groups.values()))
    account = Account(name, uid, gid, "", home if home is not None else f"/home/{name}", shell)
    group = _join_groups(databases.group, name, member_of)
    gshadow = databases.gshadow and _join_groups(databases.gshadow, name, member_of)
    if make_group:
        group = _appended(group, Group(name, gid).line)
        gshadow = gshadow and _appended(gshadow, f"{name}:!::\n")
    passwd = _appended(databases.passwd, account.line)
    # An empty third field is "no date", so that the day of the build does not show (shadow(5)).
    shadow = _appended(databases.shadow, f"{name}:!::0:99999:7:::\n")
    return Databases(passwd, group, shadow, gshadow), account


def _free(taken: set[int]) -> int:
    number = FIRST_UID
    while number in taken:
        number += 1
    return number


def _appended(text: str | None, line: str) -> str:
    start = text or ""
    return f"{start}{'' if start.endswith(chr(10)) or not start else chr(10)}{line}"


def _join_groups(text: str | None, name: str, member_of: tuple[str, ...]) -> str | None:
    if text is None or not member_of:
        return text
    lines = []
    for line in lines_of(text):
        fields = line.split(":")
        if fields[0] in member_of and len(fields) == 4:
            fields[3] = ",".join([*filter(None, fields[3].split(",")), name])
        lines.append(":".join(fields))
    return "\n".join(lines) + "\n"


class Homes:
    """The homes that commands find in $HOME, in the trees of one store. One /etc/passwd is read once, in however many
    trees it is."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[tuple[Digest, str], str] = {}

    def of(self, tree: Digest, user: str) -> str:
        """Return the home of `user` ("" for root, NAME, NAME:GROUP or a number) in a tree; `/` where /etc/passwd
        doesn't say. Raises AccountsTooLarge."""
        passwd = lookup(self._store.trees, tree, b"etc/passwd")
        if passwd is None or passwd.kind != FILE:
            return home_of(user, None)
        home = self._known.get((passwd.digest, user))
        if home is None:
            home = self._known[passwd.digest, user] = home_of(user, account_text(self._store, tree, "passwd"))
        return home

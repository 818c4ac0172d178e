"""What package managers write, in trees and on this machine, and what indexes and resolvers answer."""

from __future__ import annotations

import os
from contextlib import suppress
from itertools import islice

from urllib3.exceptions import HTTPError

from envbuild.bases.debian import release_of
from envbuild.debian.apt_sources import parse_deb822, parse_lines, to_deb822
from envbuild.debian.deb822 import stanzas
from envbuild.debian.host_dpkg import DpkgDatabase
from envbuild.errors import EnvbuildError
from envbuild.http.connections import Page
from envbuild.http.reach import Level
from envbuild.images.host_network import npm_registry, pip_settings
from envbuild.packages import apt_tasks, npm_tasks, pip_tasks
from envbuild.packages.credentials import headers_of
from envbuild.packages.inventory.bad_record import BadRecord
from envbuild.packages.inventory.dpkg import debian_packages
from envbuild.packages.inventory.licences import of_copyright
from envbuild.packages.inventory.node import node_packages
from envbuild.packages.inventory.owner import owner_of
from envbuild.packages.inventory.python import python_packages
from envbuild.packages.manager import ManagerSettings
from envbuild.packages.npm_servers import NpmServers
from envbuild.packages.pip_servers import PipServers
from envbuild.packages.simple_index import files_on
from envbuild.plan.step import InstallPackages
from envbuild.store.store import Store
from envbuild.tree.entry import DIRECTORY, FILE, ROOT_NAME, Entry
from envbuild.tree.lookup import MemoryTrees
from tests.fuzz.target import Target, scratch, written

_FILE = Entry(b"", FILE, 0o644, 0, 0, 0)


class _Answers:
    """A server that answers everything with one body."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def read(self, address: str, headers: object, giver: Level | None = None) -> Page:
        return Page(200, self._body, address, Level.PUBLIC)


_SETTINGS = (("npm_config_registry", "https://registry.test"), ("PIP_INDEX_URL", "https://index.test/simple"))
_MACHINE = ManagerSettings(_SETTINGS, "/nonexistent", 1 << 30)


def read_simple_index(data: bytes) -> None:
    for file in files_on(_Answers(data), "https://index.test/simple/a/"):  # type: ignore[arg-type]
        assert all(isinstance(text, str) for text in (file.name, file.address.url, file.sha256, file.requires_python))
        assert "/" not in file.name


def read_newest_pip(data: bytes) -> None:
    servers = PipServers(_MACHINE)
    servers.__dict__["_connections"] = _Answers(data)
    servers.newest_pip("3.11")


def read_npm_registry(data: bytes) -> None:
    servers = NpmServers(_MACHINE)
    servers.__dict__["_connections"] = _Answers(data)
    package, address = servers.newest_npm("v18.19.0")
    assert isinstance(package.version, str)
    assert address.url.startswith("https://registry.test/npm/-/")


def _action(manager: str) -> InstallPackages:
    return InstallPackages(manager, ("a",), (), (("into", "/x"),), (), "/")


def read_npm_answer(data: bytes) -> None:
    for package in npm_tasks.read_answer(_action("npm"), data, b'["v18.19.0", "x64"]'):
        assert all(isinstance(text, str) for text in (package.name, package.version, package.hash, package.origin))


def read_npm_node(data: bytes) -> None:
    npm_tasks.read_answer(_action("npm"), b'{"packages": {}}', data)


def read_pip_answer(data: bytes) -> None:
    for package, address in pip_tasks.read_answer(data, _action("pip"), ()):
        assert all(isinstance(part, str) for part in (package.name, package.version, package.hash, address))
        assert ".." not in package.origin.split("/")
    pip_tasks.needs_pip(data)


def read_apt_answer(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    apt_tasks.read_answer(text, "amd64", ("https://deb.test/debian",))
    apt_tasks.to_unpin(text)
    apt_tasks.reason(text)


def read_stanzas(data: bytes) -> None:
    for fields in stanzas(data.decode("utf-8", "replace")):
        assert all(isinstance(value, str) for pair in fields.items() for value in pair)


def read_dpkg_status(data: bytes) -> None:
    walked = [("var/lib/dpkg/status", _FILE), ("var/lib/dpkg/status.d/a", _FILE)]
    for package in debian_packages(lambda path, most: data, walked, "debian bookworm"):
        assert isinstance(package, BadRecord) or package.url


def read_copyright(data: bytes) -> None:
    of_copyright(
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n" + data.decode("utf-8", "replace")
    )


def read_python_metadata(data: bytes) -> None:
    walked = [("usr/lib/python3/dist-packages/a-1.dist-info/METADATA", _FILE)]
    for package in python_packages(lambda path, most: data, walked):
        assert isinstance(package, BadRecord) or package.url


def read_node_package(data: bytes) -> None:
    for package in node_packages(lambda path, most: data, [("srv/node_modules/a/package.json", _FILE)]):
        assert isinstance(package, BadRecord) or package.url


class _Pool:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def read(self, entry: Entry, most: int) -> bytes:
        return self._data


class _Memo:
    """What was kept before: at first the input, as if the store were damaged."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def get(self, kind: str, key: str) -> bytes:
        return self._data

    def put(self, kind: str, key: str, value: bytes) -> None:
        self._data = value

    def all(self, kind: str) -> list[tuple[str, bytes]]:
        return []


class _Store:
    """A tree in which every record of a package manager has the same content."""

    def __init__(self, data: bytes) -> None:
        self.trees = MemoryTrees()
        self.memo = _Memo(data)
        self.objects = _Pool(data)

    read_file = Store.read_file
    read_text = Store.read_text

    def folder(self, **names: str) -> str:
        root = Entry(ROOT_NAME, DIRECTORY, 0o755, 0, 0, 0)
        entries = []
        for name, digest in names.items():
            kind = DIRECTORY if digest else FILE
            entries.append(Entry(name.encode(), kind, 0o755, 0, 0, 0, 0, digest or "0" * 64))
        return self.trees.save([root, *entries])


def read_owner(data: bytes) -> None:
    store = _Store(data)
    info = store.folder(**{"a.list": "", "b:amd64.list": ""})
    dpkg = store.folder(info=info, status="")
    dist = store.folder(**{"a-1.dist-info": store.folder(RECORD="", METADATA="")})
    node = store.folder(a=store.folder(**{"package.json": ""}))
    lib = store.folder(dpkg=dpkg, **{"python3-packages": dist, "node_modules": node})
    tree = store.folder(var=store.folder(lib=lib))
    for path in ("usr/bin/a", "var/lib/python3-packages/a.py", "var/lib/node_modules/a/index.js"):
        owner_of(store, tree, path)  # type: ignore[arg-type]


def read_apt_sources(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    to_deb822([*parse_lines(text), *parse_deb822(text)])


def read_dpkg_database(data: bytes) -> None:
    """dpkg's files on this machine, which `host` reads: all of them with the same content."""
    root = f"{scratch()}/root"
    for folder in ("info", "alternatives", "triggers"):
        os.makedirs(f"{root}/var/lib/dpkg/{folder}", exist_ok=True)
    for name in ("status", "diversions", "info/a.list", "alternatives/awk", "triggers/File"):
        with open(f"{root}/var/lib/dpkg/{name}", "wb") as file:
            file.write(data)
    database = DpkgDatabase(root)
    for package in islice(database.packages.values(), 20):
        database.files(package)
        database.info_files(package)
        with suppress(EnvbuildError):
            database.closure([package.name])
    database.diversions()
    database.triggers()
    list(database.alternatives())


def read_release(data: bytes) -> None:
    """The Release file of a suite, after apt has verified it."""
    release = release_of(data.decode("utf-8", "replace"), "bookworm")
    assert release is None or release[0] >= 0


def read_own_settings(data: bytes) -> None:
    """pip's, npm's and netrc's files of the user."""
    home = f"{scratch()}/home"
    os.makedirs(f"{home}/.config/pip", exist_ok=True)
    for name in (".config/pip/pip.conf", ".npmrc"):
        with open(f"{home}/{name}", "wb") as file:
            file.write(data)
    pip_settings({}, home)
    npm_registry({}, home)
    headers_of([data.decode("utf-8", "replace")], [written(data, "netrc")])


_JSON = (b'{"', b'": ', b"null", b"[[", b"1e999", b"NaN", b"-1", b'"a"', b"{}", b"[]", b"\\ud800", b"true")
_DEB822 = (
    b"Package: ",
    b"Status: ",
    b"Version: ",
    b"\n ",
    b"\n\n",
    b"Depends: ",
    b"Conffiles:\n ",
    b": ",
    b"Status:\n",
)

TARGETS = (
    Target(
        "simple-index",
        read_simple_index,
        (EnvbuildError, HTTPError),
        (*_JSON, b'"files"', b'"url"', b"<a href=", b"<![", b"<!", b"http://["),
    ),
    Target(
        "newest-pip",
        read_newest_pip,
        (EnvbuildError,),
        (*_JSON, b'"filename"', b"-py3-none-any.whl", b">=", b"\xc2\xb2"),
    ),
    Target(
        "npm-registry",
        read_npm_registry,
        (EnvbuildError,),
        (*_JSON, b'"engines"', b'"dist"', b'"integrity"', b"sha512-", b"||"),
    ),
    Target(
        "npm-answer",
        read_npm_answer,
        (EnvbuildError,),
        (*_JSON, b'"packages"', b"node_modules/", b'"integrity"', b"sha512-"),
    ),
    Target("npm-node", read_npm_node, (EnvbuildError,), _JSON),
    Target(
        "pip-answer",
        read_pip_answer,
        (EnvbuildError,),
        (*_JSON, b'"found"', b'"url"', b'"sha256"', b"file:///", b"#sha256="),
    ),
    Target(
        "apt-answer",
        read_apt_answer,
        (EnvbuildError,),
        (b"'http://", b"' a_1_amd64.deb 1 SHA256:", b"_", b"%5f", b" : Depends: "),
    ),
    Target(
        "release", read_release, (), (b"Date: ", b"Version: ", b"Sat, 10 Feb 2024 11:07:25 UTC", b"+9999", b"-0000")
    ),
    Target("deb822", read_stanzas, (), _DEB822),
    Target("dpkg-status", read_dpkg_status, (), _DEB822),
    Target("copyright", read_copyright, (), (*_DEB822, b"Files: *\n", b"License: ", b" and ", b"GPL-2+")),
    Target(
        "python-metadata",
        read_python_metadata,
        (),
        (b"Name: ", b"Version: ", b"\n ", b"=?utf-8?q?=ff?=", b"=?x?b?==?=", b"License: ", b"Classifier: License :: "),
    ),
    Target("node-package", read_node_package, (), (*_JSON, b'"name"', b'"version"', b'"license"', b'"licenses"')),
    Target("owner", read_owner, (), (*_DEB822, *_JSON, b'"', b",", b"/usr/bin/a\n", b"../")),
    Target(
        "apt-sources",
        read_apt_sources,
        (),
        (b"deb ", b"[", b"]", b"signed-by=", b"Types: deb\n", b"URIs: ", b"Suites: ", b"\n\n"),
    ),
    Target("dpkg-database", read_dpkg_database, (EnvbuildError,), _DEB822),
    Target(
        "own-settings",
        read_own_settings,
        (),
        (b"[global]\n", b"index-url = ", b"registry=", b"machine ", b"password ", b"%", b"@", b"://"),
    ),
)

"""A store that is damaged, or that somebody else wrote: its database, its rows, its instances."""

from __future__ import annotations

import json
import os
import shutil
import sys
from functools import cache
from io import StringIO
from unittest.mock import patch

from envbuild.cli.main import run
from envbuild.errors import EnvbuildError
from envbuild.images.find import facts_of
from envbuild.instances.config import from_plain
from envbuild.instances.network import members
from envbuild.plan import key_parts
from envbuild.plan.image_config import Facts, dump, image_digest
from envbuild.store.database import FILE
from envbuild.store.images import Image
from envbuild.store.step_cache import Source, StepRecord
from envbuild.store.store import Store
from envbuild.tree.entry import DIRECTORY, ROOT_NAME, Entry, decode, encode
from tests.fuzz.target import Target, scratch, written

_COMMANDS = (
    ("images",),
    ("images", "--format", "json"),
    ("show", "web"),
    ("show", "web", "--format", "json"),
    ("log", "web"),
    ("packages", "web"),
    ("ls", "web"),
    ("output", "web"),
    ("why", "web", "/a"),
    ("diff", "web", "other"),
)
DETAIL = {
    "recipe": "web",
    "path": "/home/ada/web.env",
    "parameters": {"a": "1"},
    "stages": [
        {
            "stage": "0",
            "base": "scratch",
            "origin": "nothing",
            "tree": "TREE",
            "steps": [
                {
                    "text": "run a",
                    "file": "web.env",
                    "line": 2,
                    "kind": "Execute",
                    "key": "KEY",
                    "tree": "TREE",
                    "output": "0" * 64,
                    "seconds": 1.5,
                    "owners_kept": True,
                    "packages": [["apt", "a", "1", "sha256:00"]],
                }
            ],
        }
    ],
    "sources": {"tree": "TREE", "recipe": "web.env", "lock": None},
}


@cache
def _made() -> str:
    """A small store with all kinds of rows."""
    path = f"{scratch()}/store"
    with Store.open(path) as store:
        root = Entry(ROOT_NAME, DIRECTORY, 0o755, 0, 0, 0)
        tree = store.trees.save([root])
        other = store.trees.save([root, Entry(b"a", "l", 0o777, 0, 0, 0, target=b"b")])
        for name, digest in (("web", tree), ("other", other)):
            facts = Facts("amd64", 0, user=name)
            detail = json.dumps(DETAIL).replace("TREE", digest).replace("KEY", "1" * 64)
            image = Image(image_digest(digest, facts), digest, dump(facts), detail, 1.7e9)
            store.images.put(image)
            store.tags.move([(name, "latest")], image.digest, "build", {"recipe": "web", "user": "ada"})
        store.steps.put("1" * 64, StepRecord(tree, "0" * 64, 1.0), "run a", Source("/home/ada/web.env", "0", 0, "[]"))
    return path


def _try_commands(path: str) -> None:
    """Runs commands on a store: whatever it is, they end with a result or with an error that says what is wrong."""
    for words in _COMMANDS:
        output = StringIO()
        with (
            patch.dict(os.environ, {"ENVBUILD_STORE": path, "HOME": scratch(), "TMPDIR": scratch()}),
            patch.object(sys, "stdout", output),
            patch.object(sys, "stderr", output),
        ):
            code = run(words)
        assert code in (0, 1, 2, 3), f"{words}: {code}\n{_report(output.getvalue())}"


def _report(said: str) -> str:
    paths = [word.strip("'.,") for word in said.split() if "envbuild-bug-" in word]
    for path in paths:
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                return file.read()
    return said


def _copied() -> str:
    path = f"{scratch()}/copy"
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(_made(), path)
    return path


def read_database(data: bytes) -> None:
    """A database file in place of the store's."""
    path = _copied()
    for name in (FILE, f"{FILE}-wal", f"{FILE}-shm"):
        if os.path.exists(f"{path}/{name}"):
            os.unlink(f"{path}/{name}")
    with open(f"{path}/{FILE}", "wb") as file:
        file.write(data)
    _try_commands(path)


_COLUMNS = (
    ("images", "detail"),
    ("images", "facts"),
    ("images", "made"),
    ("images", "tree"),
    ("tags", "image"),
    ("tags", "moved"),
    ("tags", "name"),
    ("history", "detail"),
    ("history", "moved"),
    ("history", "reason"),
    ("history", "image"),
    ("sources", "parts"),
    ("steps", "output"),
    ("steps", "tree"),
    ("trees", "body"),
)


def read_row(data: bytes) -> None:
    """A value of a row: the first byte says of which column, the second whether it is text, bytes or a number."""
    import sqlite3

    if len(data) < 2:
        return
    table, column = _COLUMNS[data[0] % len(_COLUMNS)]
    path = _copied()
    with sqlite3.connect(f"{path}/{FILE}", isolation_level=None) as connection:
        kind = ("CAST(? AS TEXT)", "?", "CAST(? AS INTEGER)", "CAST(? AS REAL)")[data[1] % 4]
        connection.execute(f"UPDATE OR IGNORE {table} SET {column} = {kind}", (data[2:],))
    connection.close()
    _try_commands(path)


def read_tree(data: bytes) -> None:
    """A directory's canonical form."""
    entries = decode(data)
    assert all(b"/" not in entry.name and entry.name not in (b"", b"..") for entry in entries)
    assert decode(encode(entries)) == tuple(sorted(entries))


def read_facts(data: bytes) -> None:
    facts_of(Image("0" * 64, "0" * 64, data.decode("utf-8", "replace"), "{}", 0.0))


def read_parts(data: bytes) -> None:
    key_parts.load(data.decode("utf-8", "replace"))


def read_settings(data: bytes) -> None:
    """What an instance was started with."""
    from envbuild.instances.config import settings_of
    from envbuild.instances.records import Instance

    text = data.decode("utf-8", "replace")
    settings = settings_of(Instance("a", "a", "", "", "", "", 0.0, "", text))
    assert all(isinstance(word, str) for word in settings.argv)
    assert from_plain


def read_instance(data: bytes) -> None:
    """`config.json` and `state.json` of an instance, as `ps` reads them."""
    path = f"{scratch()}/instances-store"
    folder = f"{path}/instances/0123456789ab"
    if not os.path.isdir(folder):
        shutil.copytree(_made(), path)
        os.makedirs(folder)
    for name in ("config.json", "state.json"):
        with open(f"{folder}/{name}", "wb") as file:
            file.write(data)
    for words in (("ps", "--all"), ("ps", "--all", "--format", "json")):
        output = StringIO()
        with (
            patch.dict(os.environ, {"ENVBUILD_STORE": path, "TMPDIR": scratch()}),
            patch.object(sys, "stdout", output),
            patch.object(sys, "stderr", output),
        ):
            code = run(words)
        assert code in (0, 1, 2, 3), f"{words}: {code}\n{_report(output.getvalue())}"


def read_member(data: bytes) -> None:
    """The file of a member of a network, which lives."""
    import fcntl

    path = written(data, "member-file")
    with open(path, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        member = members._read(path)
    assert member is None or member.address


_JSON = (b'{"', b'": ', b"null", b"[[", b"1e999", b"NaN", b"-1", b'"a"', b"{}", b"[]", b"\\ud800", b"true", b"\xff")

TARGETS = (
    Target("store-row", read_row, (EnvbuildError,), (*_JSON, b'"stages": ', b'"steps": ', b"\0")),
    Target("store-database", read_database, (EnvbuildError,), (b"SQLite format 3\0", b"CREATE TABLE", b"\xff" * 4)),
    Target("instance", read_instance, (), (*_JSON, b'"made": ', b'"settings": ', b'"status": ')),
    Target(
        "settings", read_settings, (EnvbuildError,), (*_JSON, b'"argv": ', b'"ports": ', b'"mounts": ', b'"health": ')
    ),
    Target("facts", read_facts, (EnvbuildError,), (*_JSON, b'"arch": ', b'"epoch": ', b'"start": ', b'"health": ')),
    Target("parts", read_parts, (), _JSON),
    Target("tree", read_tree, (ValueError,), (b"f 644 0 0 0 0 - a\0", b"\0", b" ", b"-", b"61=62", b"d 755")),
    Target("member", read_member, (EnvbuildError,), (*_JSON, b'"pid": ', b'"names": ', b'"ids": ')),
)

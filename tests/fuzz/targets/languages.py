"""Texts that people write and git merges: recipes, locks, files of services and of variables, patterns; and what is
shown of texts."""

from __future__ import annotations

import json
import os

from envbuild.compose.file.dotenv import BadVariables, parse_variables
from envbuild.compose.file.interpolate import BadReference, interpolate
from envbuild.compose.file.load import load_group
from envbuild.errors import EnvbuildError
from envbuild.language import model_cache
from envbuild.language.format import print_recipe
from envbuild.language.load import load_recipe
from envbuild.language.parse import parse
from envbuild.lockfile import lock_fields, lock_file, merge
from envbuild.lockfile.lock import readable
from envbuild.lockfile.lock_file import read_lock
from envbuild.tree.patterns import compile_patterns
from envbuild.ui.sanitize import LineCleaner, clean, visible
from tests.fuzz.target import Target, scratch


def read_recipe(data: bytes) -> None:
    def read(path: str) -> bytes:
        if path == "web.env":
            return data
        raise FileNotFoundError(2, "No such file or directory", path)

    parse_error = None
    try:
        print_recipe(parse(data, "web.env"))
    except EnvbuildError as error:
        parse_error = error
    recipe = load_recipe("web.env", {}, arch="amd64", read=read)
    assert parse_error is None
    assert model_cache.load(model_cache.dump(recipe)) == recipe


def read_serial(data: bytes) -> None:
    model_cache.load(data)


def read_lock_text(data: bytes) -> None:
    lock = lock_file.parse(data.decode("utf-8", "replace"), "web.env.lock")
    text = lock_file.dump(lock)
    readable(lock)
    assert lock_fields.from_plain(json.loads(json.dumps(lock_fields.to_plain(lock)))) == lock
    again = lock_file.parse(text, "web.env.lock")
    assert again.replace(version=lock.version) == lock


class _Memo:
    def __init__(self, value: bytes) -> None:
        self._value = value

    def get(self, kind: str, key: str) -> bytes:
        return self._value

    def put(self, kind: str, key: str, value: bytes) -> None:
        pass


class _Store:
    def __init__(self, value: bytes) -> None:
        self.memo = _Memo(value)


def read_lock_memo(data: bytes) -> None:
    """What the store remembers of a lock, in a store that is damaged."""
    read_lock("version: 1", "web.env.lock", _Store(data))  # type: ignore[arg-type]


def merge_locks(data: bytes) -> None:
    """Three locks with lines of `====` between them, as git gives them to the merge driver."""
    texts = [*data.decode("utf-8", "replace").split("\n====\n"), "", ""][:3]
    base, ours, theirs = (lock_file.parse(text, "web.env.lock") for text in texts)
    merged = merge.merge(base, ours, theirs)
    text = merge.dump(merged)
    if not merged.conflicts:
        lock_file.parse(text, "web.env.lock")


def read_services(data: bytes) -> None:
    folder = f"{scratch()}/services"
    os.makedirs(folder, exist_ok=True)
    with open(f"{folder}/services.yaml", "wb") as file:
        file.write(data)
    load_group(f"{folder}/services.yaml", {"A": "1"}, "/home/ada")


def read_dotenv(data: bytes) -> None:
    for name, value in parse_variables(data.decode("utf-8", "surrogateescape"), {"A": "1"}).items():
        assert "\0" not in name + value
        assert "=" not in name


def read_interpolation(data: bytes) -> None:
    interpolate(data.decode("utf-8", "replace"), {"A": "1", "B": ""}, lambda name: None)


def read_patterns(data: bytes) -> None:
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    matcher = compile_patterns(lines)
    for path in (b"a", b"a/b/c.txt", b"a" * 200, b"a/" * 40 + b"b", b"-_.]", b"\xff\n"):
        matcher.matches(path, is_directory=False)
        matcher.matches(path, is_directory=True)


def show(data: bytes) -> None:
    """What a step prints, and names, on their way to a terminal."""
    text = clean(data)
    assert clean(text) == text
    assert not set(text) & {chr(number) for number in (*range(9), *range(11, 32), *range(127, 160))}
    shown = visible(data.decode("utf-8", "surrogateescape"))
    assert "\n" not in shown
    assert "\x1b" not in shown
    cleaner = LineCleaner()
    for at in range(0, len(data), 7):
        cleaner.feed(data[at : at + 7])
    cleaner.finish()


_RECIPE = (
    b"from ",
    b"run ",
    b"copy ",
    b"file ",
    b"render ",
    b"fetch ",
    b"env ",
    b"arg ",
    b"include ",
    b"stage ",
    b"adduser ",
    b"health ",
    b"start ",
    b"expose ",
    b"apt ",
    b"pip ",
    b"npm ",
    b"test ",
    b"discard ",
    b"secret ",
    b"workdir ",
    b"label ",
    b"volume ",
    b"(",
    b")",
    b"=",
    b"${",
    b'"',
    b"\\",
    b" -> ",
    b"\n    ",
    b"#",
    b"timeout=",
    b"if ",
)
_YAML = (
    b"&a ",
    b"*a",
    b"<<: ",
    b"!!python/object:os.system ",
    b"!!int ",
    b"!!float ",
    b"!!timestamp ",
    b"!!binary ",
    b"? ",
    b"- ",
    b": ",
    b"|\n",
    b">\n",
    b"---\n",
    b"...\n",
    b"%YAML 9.9\n",
    b"{",
    b"[",
    b"~",
    b".inf",
    b"0o7",
    b"1:30",
    b"2001-01-01",
    b"=",
    b"!!set {a}",
    b"'",
    b'"',
    b"\\x",
    b"\\U00110000",
    b"=",
)
_LOCK = (
    b"version: 1\n",
    b"stages:\n",
    b"  - stage: ",
    b"packages: ",
    b"sha256:",
    b"image: ",
    b"<<<<<<< ours\n",
    b"=======\n",
    b"epoch: ",
    b"size: ",
    b"fetched:\n",
    b"parameters:\n",
    b"images:\n",
    b"steps: []",
    b"unknown",
    b"version: 3\ncompatibility: 1\n",
    b"pins:\n  amd64:\n",
    b"installs:\n          - install: apt\n",
    b"wants:\n",
    b"results:\n",
    b"  - amd64 step ",
    b"  - amd64 image ",
    b"  - amd64 seen ",
)
_SERVICES = (
    b"services:",
    b"image: ",
    b"ports: ",
    b"volumes: ",
    b"environment: ",
    b"healthcheck: ",
    b"depends_on: ",
    b"deploy: ",
    b"${A:-",
    b"${A:?",
    b"$$",
    b"tmpfs: ",
    b"secrets: ",
    b"restart: ",
    b"test: ",
    b"1s",
    b"10k",
)

TARGETS = (
    Target("lock", read_lock_text, (EnvbuildError,), (*_YAML, *_LOCK)),
    Target("services", read_services, (EnvbuildError,), (*_YAML, *_SERVICES)),
    Target("recipe", read_recipe, (EnvbuildError,), _RECIPE),
    Target("lock-merge", merge_locks, (EnvbuildError,), (*_LOCK, b"\n====\n")),
    Target("lock-memo", read_lock_memo, (EnvbuildError,), (*_LOCK, b"null", b"[]", b"{}", b'"stages": ')),
    Target(
        "dotenv",
        read_dotenv,
        (BadVariables,),
        (b"A=", b"export ", b"${A:-", b"${", b"}", b"\\", b"'", b'"', b"#", b"\r"),
    ),
    Target("interpolation", read_interpolation, (BadReference,), (b"${A:-", b"${A", b"$$", b"}", b":?", b":+")),
    Target(
        "patterns",
        read_patterns,
        (EnvbuildError,),
        (b"**/", b"[[:alpha:]]", b"[!", b"[a-", b"]", b"\\", b"!", b"*", b"?", b"[z-a]"),
    ),
    Target("recipe-memo", read_serial, (ValueError,), (b"envbuild recipe 1\n",)),
    Target(
        "terminal", show, (), (b"\x1b[", b"\x1b]0;", b"\x07", b"\x9b", b"\xc2\x9b", b"\x1b\\", b"\r", "\u202e".encode())
    ),
)

"""Words of the command line, of a recipe and of a file of services that stand for something else than text."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from io import StringIO

from envbuild.cli import run_settings
from envbuild.cli.environment import Environment
from envbuild.compose.file import values as service_words
from envbuild.compose.file.ports import port_range, short_ports
from envbuild.errors import EnvbuildError
from envbuild.images.reference import digits_of, parse, parse_name, parse_tag
from envbuild.instances.instance_names import check_name
from envbuild.instances.network.ports import parse_ports
from envbuild.language import values as recipe_words
from envbuild.language.values import InvalidValue
from envbuild.store.branch_tags import branch_tag
from envbuild.text.dates import iso, moment_of
from envbuild.text.sizes import format_size, parse_size
from envbuild.ui.humanize import ago, duration
from tests.fuzz.target import Target, scratch, working_in


def _environment(variables: dict[str, str]) -> Environment:
    return Environment(variables, StringIO(), StringIO(), StringIO())


def _all(text: str, readers: tuple[Callable[[str], object], ...]) -> None:
    """Gives a text to each of several readers."""
    for reader in readers:
        with suppress(InvalidValue, EnvbuildError):
            reader(text)


def read_options(data: bytes) -> None:
    """`-p`, `-v`, `-e`, `--tmpfs`, `--memory`, `--restart`, `--label`."""
    text = data.decode("utf-8", "surrogateescape")
    environment = _environment({"HOME": "/home/ada"})
    with working_in(scratch()):
        _all(
            text,
            (
                parse_ports,
                lambda text: run_settings._mount(text, environment),
                run_settings._scratch,
                lambda text: run_settings.variable(text, environment),
                lambda text: run_settings.size(text, "--memory"),
                run_settings.restart,
                run_settings._label,
                check_name,
            ),
        )


def read_variables(data: bytes) -> None:
    """What the environment says: an epoch, the places of the store and the home."""
    text = data.decode("utf-8", "surrogateescape").replace("\0", "")
    environment = _environment(dict.fromkeys(("SOURCE_DATE_EPOCH", "ENVBUILD_STORE", "HOME", "XDG_DATA_HOME"), text))
    environment.store_path()
    environment.home()
    epoch = environment.epoch()
    assert epoch is None or 0 <= epoch < 10**11


def read_references(data: bytes) -> None:
    """`NAME:TAG@{WHICH}`, digests, `git:REV:FILE`, and points in time."""
    text = data.decode("utf-8", "surrogateescape")
    _all(text, (parse_name, parse_tag, digits_of, branch_tag, parse, lambda text: moment_of(text, 1.7e9)))
    with suppress(EnvbuildError):
        shown = iso(moment_of(text, 1.7e9))
        assert shown
        ago(moment_of(text, 1.7e9), 1.7e9)


def read_words(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    _all(
        text,
        tuple(
            getattr(recipe_words, name)
            for name in (
                "duration",
                "mode",
                "count",
                "identity",
                "port",
                "signal",
                "absolute",
                "owner",
                "user",
                "sha256",
                "parameter",
                "name",
                "variable",
                "label",
                "package",
                "url",
            )
        ),
    )
    _all(
        text,
        tuple(
            getattr(service_words, name)
            for name in (
                "seconds",
                "size",
                "boolean",
                "whole",
                "positive",
                "processors",
                "identifier",
                "group_name",
                "variable",
                "inside",
                "clear",
            )
        ),
    )
    _all(text, (port_range, short_ports))
    size = parse_size(text)
    if size is not None:
        format_size(size)
    with suppress(InvalidValue):
        duration(service_words.seconds(text))


_WORDS = (
    b"8080:80",
    b"/udp",
    b"[::1]:",
    b"-",
    b":ro",
    b"k",
    b"MiB",
    b"h",
    b"ms",
    b"1.5",
    b"@{",
    b"}",
    b"sha256:",
    b"git:",
    b"days ago",
    b"yesterday",
    b"T14:00Z",
    b"+23:59",
    b"2026-11-20",
    b"\0",
    b"~",
    b"/..",
    "\u00b2\u0663".encode(),
)

TARGETS = (
    Target("options", read_options, (), _WORDS),
    Target("references", read_references, (), _WORDS),
    Target("words", read_words, (), _WORDS),
    Target("environment", read_variables, (EnvbuildError,), _WORDS),
)

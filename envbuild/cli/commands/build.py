"""`envbuild build`."""

from __future__ import annotations

import os

from envbuild.build.request import BuildRequest
from envbuild.cli.environment import Environment
from envbuild.errors import UsageError
from envbuild.linux import signals as signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

DESCRIPTION = """\
Compiles a recipe into an image. Only what changed runs; each step is a snapshot. The result is tagged
NAME:latest, and written to RECIPE.lock for git to keep."""

EXAMPLES = """\
examples:
  envbuild build web.env
  envbuild build web.env --set python=3.12 --tag web:py312
  envbuild build web.env --locked            in CI: fail if the lock does not match
  envbuild build web.env --explain           say what changed for each step that runs
  envbuild build web.env --rerun 12          run the step at line 12 again
  envbuild build web.env --secret token=~/.token"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", metavar="RECIPE", help="the recipe's file, such as web.env")
    add_options(parser)
    parser.add_argument("--locked", action="store_true", help="fail if the result is not what the lock says")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that `build` and `update` share."""
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="give a parameter a value (may repeat)"
    )
    parser.add_argument("--stage", metavar="STAGE", help="build only this stage and what it needs")
    parser.add_argument("--tag", metavar="NAME[:TAG]", help="the name of the image instead of the recipe's")
    parser.add_argument("--immutable", action="store_true", help="with --tag: a name that never moves again")
    parser.add_argument("--no-cache", action="store_true", help="run every step, whatever the store has")
    parser.add_argument("--check", action="store_true", help="run every step twice and show which files differ")
    parser.add_argument("--explain", action="store_true", help="say of each step that runs what changed for it")
    parser.add_argument(
        "--rerun",
        action="append",
        default=[],
        metavar="LINE",
        help="run the step at this line of the recipe (or FILE:LINE) again; what comes after stays cached if its "
        "tree comes out the same (may repeat)",
    )
    parser.add_argument(
        "--jobs", "-j", type=int, default=os.cpu_count() or 1, metavar="N", help="steps that run at the same time"
    )
    parser.add_argument(
        "--secret",
        action="append",
        default=[],
        metavar="NAME[=FILE]",
        help="a secret for steps that ask for it: a file's content, or the variable NAME's (may repeat)",
    )
    parser.add_argument(
        "--output-limit",
        metavar="SIZE",
        help="how much is kept of what one step prints (default 100MB); the rest is counted",
    )
    parser.add_argument(
        "--progress", choices=("auto", "plain", "json"), default="auto", help="how to show what happens"
    )


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    return build(arguments, environment, locked=arguments.locked, refresh=False)


def build(
    arguments: argparse.Namespace,
    environment: Environment,
    *,
    locked: bool,
    refresh: bool,
    renew: tuple[str, ...] = (),
    dry_run: bool = False,
    show_moves: bool = False,
) -> int:
    """Builds as `arguments` say; `refresh` ignores what the lock pins, `renew` what it says of these packages.
    `show_moves` prints which packages moved."""
    from envbuild.build.build import build as build_recipe
    from envbuild.errors import EnvbuildError
    from envbuild.store.store import Store
    from envbuild.ui.select_display import display

    if arguments.immutable and arguments.tag is None:
        raise UsageError("--immutable without --tag", "give the name that is to stay: --tag web:v1.2 --immutable")
    if arguments.jobs < 1:
        raise UsageError(f"--jobs {arguments.jobs}: at least one step has to run at a time", "give 1 or more")
    request = BuildRequest(
        path=os.path.normpath(arguments.recipe),
        settings=tuple(_settings(arguments.set)),
        stage=arguments.stage,
        tag=arguments.tag,
        locked=locked,
        use_cache=not arguments.no_cache,
        refresh=refresh,
        renew=renew,
        dry_run=dry_run,
        check=arguments.check,
        explain=arguments.explain,
        rerun=tuple(arguments.rerun),
        jobs=arguments.jobs,
        secrets=tuple(secret(text, environment) for text in arguments.secret),
        network=environment.network(),
        home=environment.home(),
        fetch_limit=environment.fetch_limit(),
        user=environment.user(),
        immutable=arguments.immutable,
        epoch=environment.epoch(),
        output_limit=_output_limit(arguments.output_limit),
    )
    signal.signal(signal.SIGTERM, interrupt)
    stream = environment.stdout if arguments.progress == "json" else environment.stderr
    terminal = stream.isatty() and environment.variables.get("TERM") != "dumb"
    with Store.open(environment.store_path()) as store:
        store.sparse_limit = environment.sparse_limit()
        shown = display(arguments.progress, stream, terminal, environment.colour(stream))
        try:
            with shown:
                result = build_recipe(request, store, shown)
        except EnvbuildError as error:
            if not error.told:
                raise
            return error.exit_code
    if show_moves and arguments.progress != "json":
        from envbuild.ui.tables import print_moves

        print_moves(environment.stdout, result.moves)
    return 0


def interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _output_limit(text: str | None) -> int:
    from envbuild.store.step_logs import MOST

    if text is None:
        return MOST
    from envbuild.ui.humanize import parse_size

    found = parse_size(text)
    if not found:
        raise UsageError(f"--output-limit {text}: not a size", "as in: --output-limit 500MB")
    return found


def _settings(texts: list[str]) -> list[tuple[str, str]]:
    settings = []
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"--set {text}: a name and a value are needed", "as in: --set python=3.12")
        settings.append((name, value))
    return settings


def secret(text: str, environment: Environment) -> tuple[str, bytes]:
    name, equals, path = text.partition("=")
    if not name or "/" in name or name.startswith("."):
        raise UsageError(f"--secret {text}: '{name}' can't name a secret", "as in: --secret token=FILE")
    if not equals:
        if name not in environment.variables:
            raise UsageError(f"--secret {name}: the variable {name} is not set", f"or give a file: {name}=FILE")
        return name, os.fsencode(environment.variables[name])
    try:
        with open(os.path.expanduser(path), "rb") as file:
            return name, file.read()
    except OSError as error:
        raise UsageError(f"--secret {name}: {path}: {error.strerror}", "name a file that can be read") from error

"""The options of commands that build: the build that they ask for, and how it is shown."""

from __future__ import annotations

import os
import stat

from envbuild.build.request import BuildRequest
from envbuild.build.unchanged import Watcher
from envbuild.cli.build_display import display_of
from envbuild.cli.environment import Environment
from envbuild.errors import BadOption, FileUnusable, UsageError
from envbuild.images.reference import parse_name
from envbuild.linux import signals as signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence
    from typing import Any

    from envbuild.build.request import BuildResult
    from envbuild.store.store import Store
    from envbuild.trust.keys import PrivateKey

    Ended = Callable[[Watcher], None]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that `build` and `update` share."""
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="set a parameter of the recipe (may repeat)"
    )
    parser.add_argument("--stage", metavar="STAGE", help="build only this stage and those that it needs")
    parser.add_argument(
        "-t", "--tag", metavar="NAME[:TAG]", help="tag the image NAME[:TAG] instead of with the name of the recipe"
    )
    parser.add_argument("--immutable", action="store_true", help="with --tag: make a tag that never moves again")
    parser.add_argument("--no-cache", action="store_true", help="run every step, ignoring the cache")
    parser.add_argument("--check", action="store_true", help="run every step twice and show which files differ")
    parser.add_argument("--explain", action="store_true", help="explain for each step that runs what has changed")
    parser.add_argument(
        "--rerun",
        action="append",
        default=[],
        metavar="LINE",
        help="run the step at this line of the recipe (or FILE:LINE) again; later steps stay cached if its "
        "tree comes out the same (may repeat)",
    )
    add_jobs(parser)
    add_grants(parser)
    parser.add_argument(
        "--output-limit",
        metavar="SIZE",
        help="keep at most this much output of each step (default: 100m); the rest is counted",
    )
    add_progress(parser)


def add_vendor(parser: argparse.ArgumentParser) -> None:
    """Add `--vendor`."""
    parser.add_argument(
        "--vendor",
        action="append",
        default=[],
        metavar="DIR",
        help="take files from this directory that `envbuild vendor` filled, or from a web server that has it; before "
        "$ENVBUILD_PLACES (may repeat)",
    )


def places_of(words: Sequence[str], environment: Environment) -> tuple[str, ...]:
    """Return the places of `--vendor`, and after them those that the environment names. Raises BadOption and
    FileUnusable."""
    places = []
    for word in words:
        from envbuild.cli.place_names import place

        places.append(place(word, "--vendor"))
        if places[-1].startswith("/") and not os.path.isdir(places[-1]):
            raise FileUnusable(word, "there is no such directory", "envbuild vendor -o DIR makes one", "--vendor")
    return (*places, *environment.places())


def add_jobs(parser: argparse.ArgumentParser) -> None:
    """Add `--jobs`."""
    parser.add_argument(
        "--jobs", "-j", type=int, default=os.cpu_count() or 1, metavar="N", help="run up to N steps in parallel"
    )


def add_secret(parser: argparse.ArgumentParser) -> None:
    """Add `--secret`."""
    parser.add_argument(
        "--secret",
        action="append",
        default=[],
        metavar="NAME[=FILE]",
        help="give steps a secret: the content of FILE, or of the variable NAME (may repeat)",
    )


def add_grants(parser: argparse.ArgumentParser) -> None:
    """Add what else only the user can give to a step: `--secret`, `--ssh` and `--allow`."""
    add_secret(parser)
    parser.add_argument(
        "--ssh",
        action="append",
        default=[],
        metavar="default|NAME[=SOCKET]",
        help="let steps with `ssh` use your SSH agent while they run (may repeat)",
    )
    parser.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="device=PATH",
        help="let steps with `device=PATH` use a device of this machine (may repeat)",
    )


def add_progress(parser: argparse.ArgumentParser) -> None:
    """Add `--progress`."""
    parser.add_argument(
        "--progress", choices=("auto", "plain", "json"), default="auto", help="choose how to show progress"
    )


def request_from(arguments: argparse.Namespace, environment: Environment) -> BuildRequest:
    """Return the build that the options of `add_options` ask for. Raises UsageError."""
    if arguments.immutable and arguments.tag is None:
        raise UsageError("--immutable without --tag", "give the name that is to stay: --tag web:v1.2 --immutable")
    if arguments.tag is not None:
        parse_name(arguments.tag)
    if arguments.jobs < 1:
        raise BadOption("--jobs", str(arguments.jobs), "number of steps", "--jobs 2")
    return request_of_user(environment).replace(
        path=os.path.normpath(arguments.recipe),
        settings=tuple(parameter(text) for text in arguments.set),
        stage=arguments.stage,
        tag=arguments.tag,
        use_cache=not arguments.no_cache,
        check=arguments.check,
        explain=arguments.explain,
        rerun=tuple(arguments.rerun),
        jobs=arguments.jobs,
        immutable=arguments.immutable,
        epoch=environment.epoch(),
        output_limit=_output_limit(arguments.output_limit),
        **granted(arguments, environment),
    )


def request_of_user(environment: Environment) -> BuildRequest:
    """Return a build of no recipe yet, with all that the user's environment says about builds."""
    return BuildRequest(
        "",
        jobs=os.cpu_count() or 1,
        network=environment.network(),
        home=environment.home(),
        fetch_limit=environment.fetch_limit(),
        user=environment.user,
        snapshot=environment.snapshot(),
        places=environment.places(),
        trust=environment.trust(),
        registries=environment.registries,
    )


def build(
    request: BuildRequest, environment: Environment, progress: str = "auto", ended: Ended | None = None
) -> BuildResult:
    """Build a recipe and show the progress; sign the image if the request has a key. `ended` is told of the end. Raises
    EnvbuildError kinds."""
    from envbuild.build.build import build as build_recipe
    from envbuild.store.store import Store

    interrupt_on_termination()
    with Store.open(environment.store_path()) as store:
        store.sparse_limit = environment.sparse_limit()
        with display_of(progress, environment) as display:
            watcher = Watcher(display)
            result = build_recipe(request, store, watcher, watcher.end)
        if ended is not None:
            ended(watcher)
        if request.key is not None:
            _sign(store, result, request, request.key)
        return result


def _sign(store: Store, result: BuildResult, request: BuildRequest, key: PrivateKey) -> None:
    """Sign the image that a build made, under the names of its tags."""
    from envbuild.sharing.signing import sign_image

    image = store.images.get(result.image)
    assert image is not None
    recipe = os.path.basename(request.path).removesuffix(".env")
    for name in sorted({parse_name(tag).name for tag in result.tags} or {recipe}):
        sign_image(store, image, name, key)


def interrupt_on_termination() -> None:
    """Treat SIGTERM like Ctrl-C from here on, so that all is cleaned up."""
    from envbuild.linux.signals import Terminated

    def interrupt(_number: int, _frame: object) -> None:
        raise Terminated

    signal.signal(signal.SIGTERM, interrupt)


def _output_limit(text: str | None) -> int:
    from envbuild.store.step_cache import MAX_OUTPUT

    if text is None:
        return MAX_OUTPUT
    from envbuild.text.sizes import parse_size

    limit = parse_size(text)
    if not limit:
        raise BadOption("--output-limit", text, "size", "--output-limit 500m")
    return limit


def parameter(text: str) -> tuple[str, str]:
    """Return the name and the value of `--set NAME=VALUE`. Raises BadOption."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise BadOption("--set", text, "NAME=VALUE", "--set python=3.12")
    return name, value


def granted(arguments: argparse.Namespace, environment: Environment) -> dict[str, Any]:
    """Return the fields of a BuildRequest that the options of `add_grants` say. Raises UsageError."""
    return {
        "secrets": tuple(read_secret(text, environment) for text in arguments.secret),
        "agents": tuple(read_agent(text, environment) for text in arguments.ssh),
        "devices": tuple(map(_allowed_device, arguments.allow)),
    }


def read_agent(text: str, environment: Environment) -> tuple[str, str]:
    """Return the name and the socket of `--ssh NAME[=SOCKET]`; the socket is "" where it is to be that of the
    environment, which names none. Raises UsageError."""
    name, equals, path = text.partition("=")
    if not name or "/" in name or name.endswith(".env"):
        raise BadOption("--ssh", text, "name of an agent", "--ssh default, or --ssh default=SOCKET")
    path = os.path.expanduser(path) if equals else environment.variables.get("SSH_AUTH_SOCK", "")
    if equals:
        try:
            mode = os.stat(path).st_mode
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise FileUnusable(path, str(reason), "name the socket of an agent", f"--ssh {name}") from error
        if not stat.S_ISSOCK(mode):
            mend = f"an agent has keys: ssh-add {path}; then --ssh {name}"
            raise FileUnusable(path, "it is not the socket of an agent", mend, f"--ssh {name}")
    return name, os.path.abspath(path) if path else ""


def _allowed_device(text: str) -> str:
    kind, _, path = text.partition("=")
    if kind != "device" or not path.startswith("/dev/"):
        raise BadOption("--allow", text, "grant", "--allow device=/dev/fuse")
    return path


def read_secret(text: str, environment: Environment) -> tuple[str, bytes]:
    """Return the name and the content of `--secret NAME[=FILE]`. Raises UsageError."""
    name, equals, path = text.partition("=")
    if not name or "/" in name or name.startswith("."):
        raise BadOption("--secret", text, "NAME or NAME=FILE", "--secret token=FILE")
    if not equals:
        if name not in environment.variables:
            raise UsageError(f"--secret {name}: the variable {name} is not set", f"or give a file: {name}=FILE")
        return name, os.fsencode(environment.variables[name])
    try:
        with open(os.path.expanduser(path), "rb") as file:
            return name, file.read()
    except OSError as error:
        raise FileUnusable(path, str(error.strerror), "name a file that can be read", f"--secret {name}") from error

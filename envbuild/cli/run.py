"""`envbuild run`."""

from __future__ import annotations

import argparse
import os
import signal
from collections.abc import Callable

from envbuild.cli.build import network_variables
from envbuild.cli.environment import Environment
from envbuild.engine.machine_network import NetworkSettings, network_settings
from envbuild.errors import UsageError
from envbuild.plan.facts import Facts, load
from envbuild.runtime.instance import Launch, NothingToRun, launch
from envbuild.sandbox.request import Bind
from envbuild.store.store import Store
from envbuild.tree.entry import Digest

DESCRIPTION = """\
Runs an image's start command, or the one after `--`, on the image's tree. What it writes is thrown away when it
ends. The exit code is the command's."""

EXAMPLES = """\
examples:
  envbuild run hello
  envbuild run web -- python3 --version
  envbuild run web -v ./data:/srv/data -e DEBUG=1 -- sh -c 'ls /srv/data'
  echo 1+1 | envbuild run web -- bc"""


TAKES_COMMAND = True


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", metavar="IMAGE", help="a name, NAME:TAG, or a digest's first digits")
    parser.usage = "envbuild run [OPTION ...] IMAGE [-- COMMAND ...]"
    add_options(parser)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that `run` and `shell` share."""
    parser.add_argument("-e", "--env", action="append", default=[], metavar="NAME[=VALUE]", help="set a variable")
    parser.add_argument(
        "-v", "--volume", action="append", default=[], metavar="HOST:ENV[:ro]", help="show a host path inside"
    )
    parser.add_argument("-u", "--user", metavar="NAME[:GROUP]", help="run as this user")
    parser.add_argument("-w", "--workdir", metavar="DIR", help="start in this directory")
    parser.add_argument(
        "--network", choices=("none", "host"), default="none", help="a loopback only, or this machine's network"
    )
    parser.add_argument("--no-tty", action="store_true", help="no terminal of its own, even on a terminal")


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    with Store.open(environment.store_path(), create=False) as store:
        image = store.images.resolve(arguments.image)
        facts = load(image.facts)
        argv = arguments.command or (facts.start.argv if facts.start is not None else ())
        if not argv:
            raise NothingToRun(arguments.image)
        return start(store, image.tree, facts, argv, arguments, environment)


def start(
    store: Store,
    tree: Digest,
    facts: Facts,
    argv: tuple[str, ...],
    arguments: argparse.Namespace,
    environment: Environment,
) -> int:
    """Runs `argv` on a tree as the options say, with the user's own terminal or streams; returns its exit code."""
    terminal = not arguments.no_tty and environment.stdin.isatty() and environment.stdout.isatty()
    settings = NetworkSettings()
    binds = [_volume(text) for text in arguments.volume]
    variables = dict(_variable(text, environment) for text in arguments.env)
    if arguments.network == "host":
        settings = network_settings(store, tree, network_variables(environment), environment.home())
        variables = {**dict(settings.environment), **variables}
    if terminal:
        variables.setdefault("TERM", environment.variables.get("TERM", "xterm"))
    what = Launch(
        tree,
        facts,
        argv,
        tuple(variables.items()),
        tuple(binds),
        arguments.user,
        arguments.workdir,
        arguments.network == "host",
        settings,
        terminal,
    )
    environment.stdout.flush()
    if terminal:
        from envbuild.runtime.terminal import TerminalBridge

        with TerminalBridge(0, 1) as bridge:
            return launch(store, what, stdin=0, output=1, errors=2, terminal=bridge.connect).status
    return launch(store, what, stdin=0, output=1, errors=2, running=_pass_signals).status


def _pass_signals(send: Callable[[int], None]) -> None:
    """From here signals are the command's, as they would be without us between."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, lambda number, _frame: send(number))


def _volume(text: str) -> Bind:
    parts = text.split(":")
    if len(parts) not in (2, 3) or not parts[1].startswith("/") or (len(parts) == 3 and parts[2] not in ("ro", "rw")):
        raise UsageError(f"-v {text}: not HOST:ENV or HOST:ENV:ro", "as in: -v ./data:/srv/data")
    source = os.path.abspath(os.path.expanduser(parts[0]))
    if not os.path.exists(source):
        raise UsageError(f"-v {text}: there is no {source}", "make it first")
    return Bind(source, parts[1], read_only=len(parts) == 3 and parts[2] == "ro")


def _variable(text: str, environment: Environment) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name:
        raise UsageError(f"-e {text}: a name is needed", "as in: -e DEBUG=1")
    return name, value if equals else environment.variables.get(name, "")

"""Running something in the foreground for `run` and `shell`: with the user's terminal or streams, and signals."""

from __future__ import annotations

import argparse
import os
import signal
from collections.abc import Callable

from envbuild.cli.environment import Environment
from envbuild.engine.image_facts import facts_of
from envbuild.engine.machine_network import NetworkSettings, network_settings
from envbuild.engine.references import find_image
from envbuild.errors import UsageError
from envbuild.plan.facts import Facts
from envbuild.runtime.instance import Launch, NothingToRun, launch
from envbuild.sandbox.helper import Helper
from envbuild.sandbox.request import Bind
from envbuild.store.store import Store
from envbuild.tree.entry import Digest


def run_image(helper: Helper, arguments: argparse.Namespace, environment: Environment) -> int:
    """Runs an image's start command, or the one that was given; returns its exit code."""
    with Store.open(environment.store_path(), create=False, writable=arguments.writable) as store:
        image = find_image(store, arguments.image)
        facts = facts_of(image)
        argv = arguments.command or (facts.start.argv if facts.start is not None else ())
        if not argv:
            raise NothingToRun(arguments.image)
        return start(helper, store, image.tree, facts, argv, arguments, environment)


def start(
    helper: Helper,
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
    binds = [volume(text) for text in arguments.volume]
    variables = dict(variable(text, environment) for text in arguments.env)
    if arguments.network == "host":
        settings = network_settings(store, tree, environment.network(), environment.home())
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

    def tell() -> None:
        for note in store.take_notes():
            environment.stderr.write(f"warning: {note}\n")
        environment.stderr.flush()

    if terminal:
        from envbuild.runtime.terminal import TerminalBridge

        with TerminalBridge(0, 1) as bridge:
            outcome = launch(helper, store, what, stdin=0, output=1, errors=2, mounted=tell, terminal=bridge.connect)
    else:
        outcome = launch(helper, store, what, stdin=0, output=1, errors=2, mounted=tell, running=pass_signals)
    return outcome.status


def pass_signals(send: Callable[[int], None]) -> None:
    """From here signals are the command's, as they would be without us between."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, lambda number, _frame: send(number))


def volume(text: str) -> Bind:
    """The bind of `-v HOST:ENV[:ro]`. Raises UsageError."""
    parts = text.split(":")
    if len(parts) not in (2, 3) or not parts[1].startswith("/") or (len(parts) == 3 and parts[2] not in ("ro", "rw")):
        raise UsageError(f"-v {text}: not HOST:ENV or HOST:ENV:ro", "as in: -v ./data:/srv/data")
    source = os.path.realpath(os.path.expanduser(parts[0]))
    if not os.path.exists(source):
        raise UsageError(f"-v {text}: there is no {source}", "make it first")
    return Bind(source, parts[1], read_only=len(parts) == 3 and parts[2] == "ro")


def variable(text: str, environment: Environment) -> tuple[str, str]:
    """The variable of `-e NAME[=VALUE]`; without a value it is the user's. Raises UsageError."""
    name, equals, value = text.partition("=")
    if not name:
        raise UsageError(f"-e {text}: a name is needed", "as in: -e DEBUG=1")
    return name, value if equals else environment.variables.get(name, "")

"""`envbuild exec`."""

from __future__ import annotations

from envbuild.cli.environment import Environment
from envbuild.instances.records import Instance, Instances

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

DESCRIPTION = """\
Runs another command in a running instance, beside its own: with its user, directory and environment unless told
otherwise. The exit code is the command's."""

EXAMPLES = """\
examples:
  envbuild exec web -- ps aux
  envbuild exec web                      a shell
  echo hello | envbuild exec web -- cat"""

TAKES_COMMAND = True


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("instance", metavar="INSTANCE", help="a name, or an id's first digits")
    parser.add_argument("-e", "--env", action="append", default=[], metavar="NAME[=VALUE]", help="set a variable")
    parser.add_argument("-u", "--user", metavar="NAME[:GROUP]", help="run as this user")
    parser.add_argument("-w", "--workdir", metavar="DIR", help="start in this directory")
    parser.add_argument("--no-tty", action="store_true", help="no terminal of its own, even on a terminal")


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    return enter_instance(arguments.instance, arguments.command, arguments, environment)


def enter_instance(name: str, command: tuple[str, ...], arguments: argparse.Namespace, environment: Environment) -> int:
    """Runs a command beside that of an instance, or without one a shell; returns its exit code."""
    from envbuild.cli.run_settings import variable
    from envbuild.instances.config import settings_of
    from envbuild.instances.control_client import enter
    from envbuild.instances.foreground import forward_signals
    from envbuild.plan.image_config import load
    from envbuild.sandbox.spec import Entry

    instance = Instances.of(environment.store_path()).find(name)
    settings = settings_of(instance)
    terminal = not arguments.no_tty and environment.stdin.isatty() and environment.stdout.isatty()
    variables = {
        **settings.variables(load(instance.facts)),
        **dict(variable(text, environment) for text in arguments.env),
    }
    if terminal:
        variables.setdefault("TERM", environment.variables.get("TERM", "xterm"))
    entry = Entry(
        command or (_shell(instance, environment),),
        tuple(variables.items()),
        arguments.workdir or settings.workdir,
        settings.user if arguments.user is None else arguments.user,
        terminal,
    )
    environment.stdout.flush()
    if terminal:
        from envbuild.instances.terminal import TerminalBridge

        with TerminalBridge(0, 1) as bridge:
            return enter(instance, entry, (0, 1, 2), terminal=bridge.connect)
    return enter(instance, entry, (0, 1, 2), running=forward_signals)


def _shell(instance: Instance, environment: Environment) -> str:
    from envbuild.instances.sandbox_request import shell_of
    from envbuild.store.store import Store  # only to look into the tree

    with Store.open(environment.store_path(), create=False) as store:
        return shell_of(store, instance.tree, instance.name)

"""Running an instance that is over once more, with the user's own terminal or streams."""

from __future__ import annotations

from envbuild.cli.environment import Environment
from envbuild.cli.run_settings import machine_of
from envbuild.instances.config import NEVER, Restart, Settings, settings_of
from envbuild.instances.foreground import sandbox_ahead
from envbuild.instances.network.ports import open_ports
from envbuild.instances.network.select import check_network
from envbuild.instances.records import EXITED, LOST, Instance, Instances
from envbuild.store.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def is_over(instances: Instances, instance: Instance) -> bool:
    """Tell whether an instance can be started again."""
    return instances.state(instance).status in (EXITED, LOST)


def resume(
    instance: Instance,
    environment: Environment,
    changed: Callable[[Store, Settings], Settings] = lambda store, config: config,
    *,
    no_terminal: bool = False,
) -> int:
    """Run an instance that is over with the files that it left, and its own command unless the settings are `changed`;
    return the exit code. It is not restarted when it ends, and stays on record."""
    path = environment.store_path()
    config = settings_of(instance)
    check_network(config.network)
    opened = [listener for _, listener in open_ports(config.ports)]
    with sandbox_ahead(config.network, path, opened) as ahead, Store.open(path, create=False) as store:
        from envbuild.instances.launch import relaunch_in_foreground

        terminal = not no_terminal and environment.stdin.isatty() and environment.stdout.isatty()
        config = changed(store, config).replace(restart=Restart(NEVER))
        if terminal and "TERM" not in dict(config.environment):
            term = environment.variables.get("TERM", "xterm")
            config = config.replace(environment=(*config.environment, ("TERM", term)))
        environment.stdout.flush()
        return relaunch_in_foreground(
            ahead, store, instance, config, machine_of(environment), terminal=terminal, tell=environment.warn
        )

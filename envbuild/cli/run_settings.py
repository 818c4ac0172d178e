"""The configuration that the options of `run` and `shell` ask for. Loaded while the sandbox is made."""

from __future__ import annotations

import os

from envbuild.cli.environment import Environment
from envbuild.errors import BadOption, UsageError
from envbuild.instances.config import (
    ALWAYS,
    BIND,
    NEVER,
    ON_FAILURE,
    TMPFS,
    VOLUME,
    Limits,
    Mount,
    Restart,
    Settings,
    health_of,
    init_of,
    parameters_of,
    settings_of,
)
from envbuild.instances.instance_names import check_name
from envbuild.instances.network.ports import exposed, parse_ports
from envbuild.instances.records import Instance, Instances
from envbuild.plan.image_config import Facts, load

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from envbuild.instances.foreground import Ahead
    from envbuild.instances.launch import Machine, Origin
    from envbuild.store.store import Store

MAX_PROCESSORS = 10_000
MIN_MEMORY = 1 << 20
"""Less is a number without its unit: no command lives on so little."""
_VOLUME_EXAMPLE = "-v ./data:/srv/data, -v data:/srv/data"
_SYSTEM = ("/bin", "/dev", "/etc", "/lib", "/lib64", "/proc", "/run", "/sbin", "/sys", "/usr", "/var")


def run_with_options(
    ahead: Ahead,
    store: Store,
    origin: Origin,
    argv: tuple[str, ...],
    arguments: argparse.Namespace,
    environment: Environment,
) -> int:
    """Run `argv` as the options say, with the user's own terminal or streams; return its exit code."""
    from envbuild.instances.launch import launch_in_foreground  # `exec` needs no more of this module than `variable`

    terminal = not arguments.no_tty and environment.stdin.isatty() and environment.stdout.isatty()
    config = settings_from(arguments, environment, origin.facts, argv)
    if terminal and "TERM" not in dict(config.environment):
        config = config.replace(environment=(*config.environment, ("TERM", environment.variables.get("TERM", "xterm"))))
    environment.stdout.flush()
    return launch_in_foreground(
        ahead,
        store,
        origin,
        config,
        machine_of(environment),
        name=arguments.name,
        keep=getattr(arguments, "keep", False),
        terminal=terminal,
        tell=environment.warn,
    )


def enter_instance(name: str, command: tuple[str, ...], arguments: argparse.Namespace, environment: Environment) -> int:
    """Run a command, or a shell if none is given, beside that of a running instance; return its exit code."""
    from envbuild.instances.control_client import enter, forward_signals
    from envbuild.sandbox.spec import ExecCommand

    instance = Instances.of(environment.store_path()).find(name)
    settings = settings_of(instance)
    terminal = not arguments.no_tty and environment.stdin.isatty() and environment.stdout.isatty()
    variables = {
        **settings.variables(load(instance.facts)),
        **dict(variable(text, environment) for text in arguments.env),
    }
    if terminal:
        variables.setdefault("TERM", environment.variables.get("TERM", "xterm"))
    entry = ExecCommand(
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
    from envbuild.instances.stdio import entered_streams

    with entered_streams(entry.user) as streams:
        return enter(instance, entry, streams.open(), running=forward_signals)


def _shell(instance: Instance, environment: Environment) -> str:
    from envbuild.instances.sandbox_request import shell_of
    from envbuild.store.store import Store  # only to look into the tree

    with Store.open(environment.store_path(), create=False) as store:
        return shell_of(store, instance.tree, instance.name)


def machine_of(environment: Environment) -> Machine:
    """Return what an instance may see of the user's settings."""
    from envbuild.instances.launch import Machine

    return Machine(environment.network(), environment.home())


def settings_from(
    arguments: argparse.Namespace, environment: Environment, facts: Facts, argv: tuple[str, ...]
) -> Settings:
    """Return what the options say of an instance that runs `argv`. Raises UsageError."""
    mounts = [_mount(text, environment) for text in arguments.volume]
    mounts += [_scratch(text) for text in arguments.tmpfs]
    user, workdir = facts.user, facts.workdir
    if arguments.here:
        mounts.append(_here())
        # Who works in the user's own folder is the user: root inside.
        user, workdir = "", mounts[-1].target
    targets = [mount.target for mount in mounts]
    for target in targets:
        if targets.count(target) > 1:
            raise UsageError(f"two mounts have the target {target}", "choose another target for one of them")
    if not arguments.stop_timeout >= 0:
        raise BadOption("--stop-timeout", str(arguments.stop_timeout), "number of seconds", "--stop-timeout 10")
    if arguments.hostname:
        check_name(arguments.hostname, "a host")
    ports = [port for text in arguments.publish for port in parse_ports(text)]
    if arguments.publish_all:
        ports += exposed(facts.expose, ports)
    return Settings(
        argv,
        environment=(*parameters_of(facts, argv), *(variable(text, environment) for text in arguments.env)),
        user=user if arguments.user is None else arguments.user,
        workdir=arguments.workdir or workdir,
        hostname=arguments.hostname or "",
        mounts=tuple(mounts),
        read_only=arguments.read_only,
        unfiltered=arguments.unfiltered,
        fixed=tuple(sorted({_target(path, f"--fixed {path}") for path in arguments.fixed})),
        network=arguments.network,
        ports=tuple(ports),
        restart=restart(getattr(arguments, "restart", NEVER)),
        stop=facts.stop if arguments.stop_signal is None else _signal(arguments.stop_signal),
        stop_timeout=arguments.stop_timeout,
        health=None if arguments.no_health else health_of(facts),
        limits=_limits(arguments),
        labels=tuple(_label(text) for text in arguments.label),
        init=init_of(facts, argv) if arguments.init is None else arguments.init != "none",
    )


def _limits(arguments: argparse.Namespace) -> Limits:
    """Return the limits that were asked for; 0 stands for none. Raises UsageError: nobody wants a limit of 0."""
    memory = 0 if arguments.memory is None else size(arguments.memory, "--memory")
    if arguments.memory is not None and memory < MIN_MEMORY:
        raise BadOption("--memory", arguments.memory, "size of at least 1m", "--memory 512m, --memory 2g")
    cpus = arguments.cpus
    # What is no number at all is not less either.
    if cpus is not None and not 0 < cpus < MAX_PROCESSORS:
        raise BadOption("--cpus", f"{cpus:g}", "number of processors", "--cpus 1.5")
    pids = arguments.pids
    if pids is not None and pids < 1:
        raise BadOption("--pids", str(pids), "number of processes", "--pids 100")
    return Limits(memory, cpus or 0.0, pids or 0)


def entry_from(text: str | None) -> tuple[str, ...] | None:
    """Return the words of `--entry`: a program, a JSON list, or nothing at all for an image's entry to be dropped.
    Raises UsageError."""
    if not text:
        return None if text is None else ()
    if not text.startswith("["):
        return (text,)
    from envbuild.text.json import loads  # few give a list

    try:
        words = loads(text)
    except ValueError:
        words = None
    if not isinstance(words, list) or not all(isinstance(word, str) and "\0" not in word for word in words):
        raise BadOption("--entry", text, "a program, or a JSON list of words", '--entry \'["sh", "-e"]\'')
    return tuple(words)


def variable(text: str, environment: Environment) -> tuple[str, str]:
    """Return the variable of `-e NAME[=VALUE]`; without a value it is the user's. Raises UsageError."""
    name, equals, value = text.partition("=")
    if not name or "\0" in text or any(character.isspace() or character in "\"'" for character in name):
        raise BadOption("-e", text, "NAME or NAME=VALUE", "-e DEBUG=1")
    return name, value if equals else environment.variables.get(name, "")


def size(text: str, option: str) -> int:
    """Return the bytes of `512m`, `2g`, `1.5g`, `100k`. Raises UsageError."""
    from envbuild.text.sizes import MAX_SIZE, parse_size  # few instances have limits

    count = parse_size(text)
    if not count or count >= MAX_SIZE:
        raise BadOption(option, text, "size", f"{option} 512m, {option} 2g")
    return count


def restart(text: str) -> Restart:
    """Return the rule of `--restart`. Raises UsageError."""
    when, colon, most = text.partition(":")
    if when not in (NEVER, ALWAYS, ON_FAILURE) or (colon and (when != ON_FAILURE or not _is_count(most))):
        raise BadOption("--restart", text, "rule", "never, always, on-failure or on-failure:3")
    return Restart(when, int(most) if colon else None)


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


def _signal(text: str) -> str:
    from envbuild.linux.signal_names import signal_name, signal_number

    number = signal_number(text)
    if not number:
        raise BadOption("--stop-signal", text, "signal", "--stop-signal QUIT, --stop-signal RTMIN+3")
    return signal_name(number)


def _mount(text: str, environment: Environment) -> Mount:
    if "\0" in text:
        raise BadOption("-v", text, "HOST:ENV or HOST:ENV:ro", _VOLUME_EXAMPLE)
    parts = text.split(":")
    if len(parts) not in (2, 3) or not parts[1].startswith("/") or (len(parts) == 3 and parts[2] not in ("ro", "rw")):
        raise BadOption("-v", text, "HOST:ENV or HOST:ENV:ro", _VOLUME_EXAMPLE)
    name, target = parts[0], _target(parts[1], f"-v {text}")
    read_only = len(parts) == 3 and parts[2] == "ro"
    if "/" not in name and not name.startswith((".", "~")):
        check_name(name, "a volume")
        return Mount(VOLUME, name, target, read_only)
    if name == "~" or name.startswith("~/"):
        name = environment.home() + name[1:]
    source = os.path.realpath(name)
    if not os.path.exists(source):
        raise UsageError(f"-v {text}: {source} does not exist", "create it first")
    return Mount(BIND, source, target, read_only)


def _scratch(text: str) -> Mount:
    target, _, limit = text.partition(":")
    return Mount(TMPFS, "", _target(target, f"--tmpfs {text}"), size=size(limit, "--tmpfs") if limit else 0)


def _target(path: str, option: str) -> str:
    target = os.path.normpath("/" + path.lstrip("/"))
    if not path.startswith("/") or target == "/" or "\0" in path:
        raise BadOption(option, path, "mount target", "/srv/data")
    return target


def _here() -> Mount:
    folder = os.path.realpath(".")
    if folder == "/" or any(
        folder == system_folder or folder.startswith(system_folder + "/") for system_folder in _SYSTEM
    ):
        raise UsageError(
            f"--here: {folder} would cover the image's own files", "name a place for it: -v .:/srv/work -w /srv/work"
        )
    return Mount(BIND, folder, folder)


def _label(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    if not name or "\0" in text or any(character.isspace() or character in "\"'" for character in name):
        raise BadOption("--label", text, "NAME=VALUE", "--label team=web")
    return name, value

"""The options that `run` and `shell` share. What they mean is in run_settings.py, loaded while a sandbox is made."""

from __future__ import annotations

from envbuild.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from socket import socket


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that `run` and `shell` share."""
    parser.add_argument("--name", metavar="NAME", help="name the instance")
    parser.add_argument("-e", "--env", action="append", default=[], metavar="NAME[=VALUE]", help="set a variable")
    parser.add_argument(
        "-v",
        "--volume",
        action="append",
        default=[],
        metavar="HOST:ENV[:ro]",
        help="mount a path of this machine, or the named volume HOST (may repeat)",
    )
    parser.add_argument(
        "--here", action="store_true", help="mount the current directory at the same path, and work in it"
    )
    parser.add_argument(
        "--tmpfs",
        action="append",
        default=[],
        metavar="DIR[:SIZE]",
        help="mount an empty directory in memory (may repeat)",
    )
    parser.add_argument("--read-only", action="store_true", help="make the files of the image read-only")
    parser.add_argument(
        "--fixed",
        action="append",
        default=[],
        metavar="DIR",
        help="make the image's files in this directory read-only, and as fast to read as outside (may repeat)",
    )
    parser.add_argument("-u", "--user", metavar="NAME[:GROUP]", help="run as this user")
    parser.add_argument("-w", "--workdir", metavar="DIR", help="start in this directory")
    parser.add_argument(
        "--hostname", metavar="NAME", help="set the host name inside (default: the name of the instance)"
    )
    parser.add_argument(
        "--network",
        default="none",
        metavar="NETWORK",
        help="none: loopback only (default); private: its own, with a way out; host: the network of this machine; or"
        " the name of a network in which instances reach each other by name",
    )
    parser.add_argument(
        "-p",
        "--publish",
        action="append",
        default=[],
        metavar="[[ADDRESS:]PORT:]INSIDE[/udp]",
        help="publish a port of the instance, or a range of ports, on this machine (may repeat)",
    )
    parser.add_argument(
        "-P",
        "--publish-all",
        action="store_true",
        help="publish each port that the image exposes on a free port of this machine",
    )
    parser.add_argument("-m", "--memory", metavar="SIZE", help="limit memory, as in 512m")
    parser.add_argument("--cpus", type=float, metavar="N", help="limit processors, as in 1.5")
    parser.add_argument("--pids", type=int, metavar="N", help="limit the number of processes and threads")
    parser.add_argument(
        "--label", action="append", default=[], metavar="NAME=VALUE", help="attach a label (may repeat)"
    )
    parser.add_argument(
        "--init",
        choices=("envbuild", "none"),
        help="which process is process 1: one of envbuild's, or none but the command itself, as systemd and s6 want it"
        " (default: as the image says for its own command)",
    )
    parser.add_argument(
        "--stop-signal",
        metavar="SIGNAL",
        help="have `stop` send this signal, by name or number (default: the image's)",
    )
    parser.add_argument(
        "--stop-timeout",
        type=float,
        default=10.0,
        metavar="SECONDS",
        help="let `stop` wait this long before it kills the command (default: 10)",
    )
    parser.add_argument("--no-health", action="store_true", help="disable the health check of the image")
    parser.add_argument(
        "--unfiltered", action="store_true", help="do not filter system calls: for programs that you trust"
    )
    parser.add_argument(
        "-i", "--interactive", action="store_true", help="read standard input, which it always does: docker's word"
    )
    parser.add_argument(
        "-t", "--tty", action="store_true", help="allocate a terminal, which it always does on one: docker's word"
    )
    parser.add_argument("--no-tty", action="store_true", help="allocate no terminal, even on a terminal")


def open_published(arguments: argparse.Namespace) -> list[socket]:
    """Check what the options say of the network, and open the ports of `-p`.

    This is done before anything starts, and as the user, who may have a right that the root of a user namespace lacks.
    Raises UsageError, MachineLacks and PortTaken.
    """
    if arguments.network not in ("none", "host"):
        from envbuild.instances.network.select import check_network

        check_network(arguments.network)
    if not arguments.publish and not arguments.publish_all:
        return []
    from envbuild.instances.network.ports import MAPPING_MEANS_NOTHING, open_ports, parse_ports

    if arguments.network == "host":
        raise UsageError(*MAPPING_MEANS_NOTHING)
    ports = [port for text in arguments.publish for port in parse_ports(text)]
    return [listener for _, listener in open_ports(ports)]

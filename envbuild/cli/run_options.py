"""The options that `run` and `shell` share. What they mean is in run_settings.py, loaded while a sandbox is made."""

from __future__ import annotations

from socket import socket

from envbuild.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that `run` and `shell` share."""
    parser.add_argument("--name", metavar="NAME", help="what the instance is called")
    parser.add_argument("-e", "--env", action="append", default=[], metavar="NAME[=VALUE]", help="set a variable")
    parser.add_argument(
        "-v",
        "--volume",
        action="append",
        default=[],
        metavar="HOST:ENV[:ro]",
        help="show a host path, or the named volume HOST, inside (may repeat)",
    )
    parser.add_argument(
        "--here", action="store_true", help="show the working folder inside, at the same path, as yours"
    )
    parser.add_argument(
        "--tmpfs", action="append", default=[], metavar="DIR[:SIZE]", help="an empty folder in memory (may repeat)"
    )
    parser.add_argument("--read-only", action="store_true", help="the image's files can't be written")
    parser.add_argument(
        "--fixed",
        action="append",
        default=[],
        metavar="DIR",
        help="the image's files in this directory can't be written, and are read as quickly as outside (may repeat)",
    )
    parser.add_argument("-u", "--user", metavar="NAME[:GROUP]", help="run as this user")
    parser.add_argument("-w", "--workdir", metavar="DIR", help="start in this directory")
    parser.add_argument(
        "--hostname", metavar="NAME", help="what the host is called inside; default: the instance's name"
    )
    parser.add_argument(
        "--network",
        default="none",
        metavar="NETWORK",
        help="none: a loopback only (default); private: a way out, of its own; host: this machine's; or the name of a"
        " network, in which instances reach each other by name",
    )
    parser.add_argument(
        "-p",
        "--publish",
        action="append",
        default=[],
        metavar="[[ADDRESS:]PORT:]INSIDE[/udp]",
        help="a port of this machine that leads into the instance, or a range of them (may repeat)",
    )
    parser.add_argument(
        "-P", "--publish-all", action="store_true", help="a free port of this machine for each that the image exposes"
    )
    parser.add_argument("--memory", metavar="SIZE", help="most memory, as in 512m")
    parser.add_argument("--cpus", type=float, default=0.0, metavar="N", help="most processors, as in 1.5")
    parser.add_argument("--pids", type=int, default=0, metavar="N", help="most processes and threads")
    parser.add_argument("--label", action="append", default=[], metavar="NAME=VALUE", help="for you to find it by")
    parser.add_argument("--stop-timeout", type=float, default=10.0, metavar="SECONDS", help="how long `stop` waits")
    parser.add_argument("--no-health", action="store_true", help="without the image's own check of its health")
    parser.add_argument(
        "--unfiltered", action="store_true", help="without the filter of system calls: for programs that you trust"
    )
    parser.add_argument("--no-tty", action="store_true", help="no terminal of its own, even on a terminal")


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
    return [one for _, one in open_ports(ports)]

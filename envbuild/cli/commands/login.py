"""`envbuild login`."""

from __future__ import annotations

import argparse

from envbuild.cli.environment import Environment
from envbuild.cli.registry_options import add_insecure
from envbuild.errors import UsageError

_MAX_PASSWORD = 64 << 10

DESCRIPTION = """\
Log in to a registry: the user and password are tried there, and kept where docker or podman keep theirs, so that all of
them are logged in. That is $REGISTRY_AUTH_FILE, else the file that has a login for this registry, else docker's
~/.docker/config.json, or podman's if that alone is there; or the program that such a file names for passwords."""

EXAMPLES = """\
examples:
  envbuild login HOST
  envbuild login HOST -u ci --password-stdin      < password"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("host", metavar="HOST", help="the registry, HOST or HOST:PORT")
    parser.add_argument("-u", "--username", metavar="USER", help="the user there (default: ask)")
    parser.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
    add_insecure(parser)


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    from envbuild.registry.auth_file import save_login
    from envbuild.registry.check_login import check_login
    from envbuild.registry.login import Login
    from envbuild.registry.reference import parse_host
    from envbuild.registry.server import Server

    host = parse_host(arguments.host)
    user = arguments.username or _asked(environment, arguments.password_stdin)
    if not user or ":" in user or not user.isprintable():
        raise UsageError(f"'{user}' can't be a user", "a user has no colon and nothing that can't be printed")
    login = Login(user, _password(environment, arguments.password_stdin))
    check_login(Server(host, environment.certificate_folders(), insecure=arguments.insecure), login)
    place = save_login(environment.auth_files(arguments.authfile), host, login)
    environment.stdout.write(f"logged in to {host} as {user} ({place})\n")
    return 0


def _asked(environment: Environment, password_stdin: bool) -> str:
    if password_stdin or not environment.stdin.isatty():
        raise UsageError("there is nobody to ask for the user", "name it: envbuild login HOST -u USER --password-stdin")
    environment.stderr.write("user: ")
    environment.stderr.flush()
    return environment.stdin.readline().strip()


def _password(environment: Environment, from_stdin: bool) -> str:
    if from_stdin:
        password = environment.stdin.read(_MAX_PASSWORD + 1).rstrip("\r\n")
    elif environment.stdin.isatty():
        import getpass

        password = getpass.getpass("password: ", environment.stderr)
    else:
        raise UsageError("there is nobody to ask for the password", "give it: --password-stdin < FILE")
    if not password or len(password) > _MAX_PASSWORD:
        raise UsageError("there is no password, or more than one", "give it: --password-stdin < FILE")
    return password

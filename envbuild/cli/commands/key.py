"""`envbuild key`."""

from __future__ import annotations

import argparse
import os

from envbuild.cli.environment import Environment
from envbuild.cli.json_output import add_format, print_json
from envbuild.cli.key_options import DEFAULT, new_password, public_key
from envbuild.errors import FileUnusable
from envbuild.ui.tables import table

DESCRIPTION = """\
Make and list keys that sign images. A key is two files: NAME.key signs and is yours alone, NAME.pub is for whoever
checks. They are in ~/.config/envbuild/keys."""

EXAMPLES = """\
examples:
  envbuild key generate                      the key that signs where none is named
  envbuild key generate release --password
  envbuild key generate ./ci                 ./ci.key and ./ci.pub
  envbuild key ls
  envbuild key show release > release.pub"""


def configure(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="action", required=True, metavar="generate|ls|show")
    generate = commands.add_parser("generate", help="make a key")
    generate.add_argument(
        "name", nargs="?", default=DEFAULT, metavar="NAME", help=f"a name, or a path with a slash (default: {DEFAULT})"
    )
    password = generate.add_mutually_exclusive_group()
    password.add_argument("--password", action="store_true", help="ask for a password that the key needs to sign")
    password.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
    add_format(commands.add_parser("ls", help="list your keys"))
    show = commands.add_parser("show", help="print a public key")
    show.add_argument("name", metavar="NAME", help="a name, or a file")


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    {"generate": _generate, "ls": _list, "show": _show}[arguments.action](arguments, environment)
    return 0


def _generate(arguments: argparse.Namespace, environment: Environment) -> None:
    from envbuild.trust.keys import PRIVATE_SUFFIX, generate

    name = arguments.name.removesuffix(PRIVATE_SUFFIX)
    path = os.path.expanduser(name) if "/" in name else f"{environment.keys_folder()}/{name}"
    password = new_password(environment, from_stdin=arguments.password_stdin, wanted=arguments.password)
    try:
        if "/" not in name:
            os.makedirs(environment.keys_folder(), mode=0o700, exist_ok=True)
        public = generate(path, password)
    except OSError as error:
        raise FileUnusable(path, str(error.strerror), "name a place that can be written") from error
    environment.stdout.write(f"{path}{PRIVATE_SUFFIX} signs: keep it to yourself\n{public.where} is for who checks\n")


def _list(arguments: argparse.Namespace, environment: Environment) -> None:
    from envbuild.trust.keys import PRIVATE_SUFFIX, PUBLIC_SUFFIX, BadKey, read_public

    folder = environment.keys_folder()
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(PUBLIC_SUFFIX))
    except FileNotFoundError:
        names = []
    keys = []
    for file in names:
        name = file.removesuffix(PUBLIC_SUFFIX)
        try:
            key = read_public(f"{folder}/{file}")
        except BadKey as error:
            environment.warn([error.message])
            continue
        signs = os.path.exists(f"{folder}/{name}{PRIVATE_SUFFIX}")
        keys.append({"name": name, "identity": key.identity, "public": key.where, "signs": signs})
    if arguments.format == "json":
        print_json(keys, environment.stdout)
    elif keys:
        rows = [(str(key["name"]), str(key["identity"]), "yes" if key["signs"] else "no") for key in keys]
        table(("KEY", "IDENTITY", "SIGNS"), rows, stream=environment.stdout)
    else:
        environment.stdout.write(f"no keys in {folder}: envbuild key generate makes one\n")


def _show(arguments: argparse.Namespace, environment: Environment) -> None:
    environment.stdout.write(public_key(arguments.name, environment).pem.decode())

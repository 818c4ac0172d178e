"""Options that name keys, and where the user's keys are."""

from __future__ import annotations

import os

from envbuild.cli.environment import Environment
from envbuild.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from envbuild.trust.keys import PrivateKey, PublicKey

DEFAULT = "default"
"""The name of the key that signs where none is named."""


def add_sign(parser: argparse.ArgumentParser) -> None:
    """Add `--sign` and `--key`."""
    parser.add_argument(
        "--sign", action="store_true", help="sign the image, how it was made, and its bill of materials"
    )
    parser.add_argument(
        "--key",
        metavar="KEY",
        help="sign with this key: a file, or a name of `envbuild key ls` (default: 'default', or your only one)",
    )


def signing_key(arguments: argparse.Namespace, environment: Environment) -> PrivateKey | None:
    """Return the key that `--sign` or `--key` asks for, None without them. Asks for its password, and warns of one that
    others can read. Raises BadKey and UsageError."""
    if not arguments.sign and arguments.key is None:
        return None
    from envbuild.trust.keys import PRIVATE_SUFFIX, read_private

    path = _path(arguments.key or _only_key(environment), environment, PRIVATE_SUFFIX)
    key, open_to_others = read_private(path, lambda: _password(path, environment))
    if open_to_others:
        environment.warn([f"{path} is a private key that others than its owner can read: chmod 600 {path}"])
    return key


def public_key(word: str, environment: Environment) -> PublicKey:
    """Return the public key that a file has, or that has a name. Raises BadKey."""
    from envbuild.trust.keys import PUBLIC_SUFFIX, read_public

    return read_public(_path(word, environment, PUBLIC_SUFFIX))


def new_password(environment: Environment, *, from_stdin: bool, wanted: bool) -> bytes:
    """Return the password for a new key, b"" for none. Raises UsageError."""
    if from_stdin:
        password = environment.stdin.readline().rstrip("\r\n")
        if not password:
            raise UsageError("there is no password on standard input", "leave --password-stdin out for a key without")
        return os.fsencode(password)
    if not wanted:
        return b""
    first = _ask("password: ", environment)
    if not first:
        raise UsageError("there is no password", "leave --password out for a key without")
    if _ask("again: ", environment) != first:
        raise UsageError("the second password is another one", "try again")
    return os.fsencode(first)


def _path(word: str, environment: Environment, suffix: str) -> str:
    """Return the file that is meant: a path has a slash or a dot, a name has neither."""
    if "/" in word or "." in word:
        return os.path.expanduser(word)
    return f"{environment.keys_folder()}/{word}{suffix}"


def _only_key(environment: Environment) -> str:
    folder = environment.keys_folder()
    try:
        names = [name.removesuffix(".key") for name in os.listdir(folder) if name.endswith(".key")]
    except FileNotFoundError:
        names = []
    if DEFAULT in names:
        return DEFAULT
    if len(names) == 1:
        return f"{folder}/{names[0]}.key"
    if names:
        raise UsageError(f"you have several keys: {', '.join(sorted(names))}", f"name one: --key {sorted(names)[0]}")
    raise UsageError("you have no key to sign with", "make one: envbuild key generate; or name a file: --key FILE")


def _password(path: str, environment: Environment) -> bytes:
    if (known := environment.variables.get("ENVBUILD_KEY_PASSWORD")) is not None:
        return os.fsencode(known)
    return os.fsencode(_ask(f"password of {os.path.basename(path)}: ", environment))


def _ask(question: str, environment: Environment) -> str:
    if not environment.stdin.isatty():
        raise UsageError("there is nobody to ask for the key's password", "give it in ENVBUILD_KEY_PASSWORD")
    import getpass

    return getpass.getpass(question, environment.stderr)

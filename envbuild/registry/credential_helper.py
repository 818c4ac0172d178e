"""Programs that keep passwords for docker and podman (docker-credential-helpers' protocol): `get`, `store` and `erase`,
JSON on their standard input and output. They are looked for by name in the directories of PATH, never by a path."""

from __future__ import annotations

import json
import os
import re
import subprocess

from envbuild.registry.errors import HelperFailed
from envbuild.registry.login import Login

_NAME = re.compile(r"[a-z0-9-]+")
_SECONDS = 60
_MAX_OUTPUT = 1 << 20
_TOKEN_USER = "<token>"
"""The user name under which helpers keep a token that stands for a user (docker's `tokenUsername`)."""
_NOT_THERE = ("credentials not found", "no credentials", "no usernames")


def load(name: str, path: str, host: str) -> Login | None:
    """Return what a helper has for a host, None if nothing. `path` is the PATH that it is looked for in. Raises
    HelperFailed."""
    program = _program(name, path)
    code, output = _run(name, program, "get", host)
    if code:
        if any(text in output.lower() for text in _NOT_THERE):
            return None
        raise HelperFailed(_called(name), f"ended with {code}")
    try:
        plain = json.loads(output)
        user, secret = plain["Username"], plain["Secret"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise HelperFailed(_called(name), "its answer can't be read") from None
    if not isinstance(user, str) or not isinstance(secret, str):
        raise HelperFailed(_called(name), "its answer can't be read")
    if user == _TOKEN_USER:
        return Login("", "", secret)
    return Login(user, secret) if user or secret else None


def store(name: str, path: str, host: str, login: Login) -> None:
    """Have a helper keep a login. Raises HelperFailed."""
    plain = {"ServerURL": host, "Username": login.user, "Secret": login.password}
    if login.identity:
        plain = {"ServerURL": host, "Username": _TOKEN_USER, "Secret": login.identity}
    code, _ = _run(name, _program(name, path), "store", json.dumps(plain))
    if code:
        raise HelperFailed(_called(name), f"could not keep the login: it ended with {code}")


def erase(name: str, path: str, host: str) -> None:
    """Have a helper forget a login. Raises HelperFailed."""
    code, output = _run(name, _program(name, path), "erase", host)
    if code and not any(text in output.lower() for text in _NOT_THERE):
        raise HelperFailed(_called(name), f"could not forget the login: it ended with {code}")


def _called(name: str) -> str:
    return f"docker-credential-{name[:60]}"


def _program(name: str, path: str) -> str:
    if not _NAME.fullmatch(name) or len(name) > 60:
        raise HelperFailed(_called(name), "not the name of a program")
    for folder in path.split(":"):
        # What lies in the directory where one happens to be is nothing that the user chose.
        program = f"{folder}/{_called(name)}"
        if folder.startswith("/") and os.path.isfile(program) and os.access(program, os.X_OK):
            return program
    raise HelperFailed(_called(name), "there is no such program in the directories of PATH")


def _run(name: str, program: str, action: str, text: str) -> tuple[int, str]:
    try:
        with subprocess.Popen(
            [program, action],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as process:
            try:
                output, _ = process.communicate(text.encode(), timeout=_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                raise HelperFailed(_called(name), f"gave no answer within {_SECONDS} seconds") from None
            except BaseException:
                process.kill()
                raise
    except OSError as error:
        raise HelperFailed(_called(name), str(error.strerror)) from error
    if len(output) > _MAX_OUTPUT:
        raise HelperFailed(_called(name), "its answer is too long")
    return process.returncode, output.decode("utf-8", "replace")

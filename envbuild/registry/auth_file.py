"""The files in which docker and podman keep logins (docker's config.json; containers-auth.json(5)): read as both do,
and written so that nothing else in them is lost."""

from __future__ import annotations

import base64
import binascii
import json
import os
import stat
from typing import Any

from envbuild.errors import FileUnusable
from envbuild.record import Record
from envbuild.registry import credential_helper
from envbuild.registry.errors import BadAuthFile
from envbuild.registry.login import Login

_MAX = 4 << 20
_WHOLE = ("", "v1", "v2")
"""Paths of addresses in docker's file that mean the whole host."""


class AuthFiles(Record):
    """Where logins are: `files` in the order in which they are looked into, docker's own file, the one that the user
    chose ("" for none), and the PATH in which programs that keep passwords are looked for."""

    files: tuple[str, ...]
    docker: str
    chosen: str = ""
    path: str = ""


def find_login(files: AuthFiles, host: str, repository: str = "") -> Login | None:
    """Return who the user is at a host, for a repository there, None for nobody. Raises BadAuthFile, FileUnusable and
    HelperFailed."""
    for path in files.files:
        plain = _read(path)
        helper = _helper(plain, host)
        login = credential_helper.load(helper, files.path, host) if helper else None
        login = login or _stored(plain, host, repository, path)
        if login is not None:
            return login
    return None


def save_login(files: AuthFiles, host: str, login: Login) -> str:
    """Keep a login where docker or podman would, and return where that is. Raises as find_login."""
    path = _to_write(files, host)
    plain = _read(path)
    helper = _helper(plain, host)
    entry: dict[str, str] = {}
    if helper:
        credential_helper.store(helper, files.path, host, login)
    else:
        entry["auth"] = base64.b64encode(f"{login.user}:{login.password}".encode()).decode()
        if login.identity:
            entry["identitytoken"] = login.identity
    auths = plain.setdefault("auths", {})
    for key in _keys_of(auths, host):
        del auths[key]
    auths[host] = entry
    _write(path, plain)
    return f"docker-credential-{helper}" if helper else path


def remove_login(files: AuthFiles, host: str) -> list[str]:
    """Forget the login of a host everywhere, and return where there was one. Raises as find_login."""
    places = []
    for path in files.files:
        plain = _read(path)
        helper = _helper(plain, host)
        if helper and credential_helper.load(helper, files.path, host) is not None:
            credential_helper.erase(helper, files.path, host)
            places.append(f"docker-credential-{helper}")
        auths = plain.get("auths", {})
        keys = _keys_of(auths, host)
        if keys:
            for key in keys:
                del auths[key]
            _write(path, plain)
            places.append(path)
    return places


def _to_write(files: AuthFiles, host: str) -> str:
    if files.chosen:
        return files.chosen
    # A login that is found earlier would hide the new one.
    for path in files.files:
        if _keys_of(_read(path).get("auths", {}), host):
            return path
    there = [path for path in (files.docker, *files.files) if os.path.exists(path)]
    return there[0] if there else files.docker


def _helper(plain: dict[str, Any], host: str) -> str:
    helpers = plain.get("credHelpers")
    own = helpers.get(host) if isinstance(helpers, dict) else None
    name = own or plain.get("credsStore") or ""
    return name if isinstance(name, str) else ""


def _stored(plain: dict[str, Any], host: str, repository: str, path: str) -> Login | None:
    auths = plain.get("auths", {})
    wanted = [f"{host}/{repository}"[: len(host) + 1 + end] for end in _ends(repository)]
    keys = [key for key in wanted if key in auths] + _keys_of(auths, host)
    for key in keys:
        entry = auths[key]
        if not isinstance(entry, dict):
            raise BadAuthFile(path, f"the entry of {key[:200]!a} can't be read")
        login = _login(entry, key, path)
        if login is not None:
            return login
    return None


def _ends(repository: str) -> list[int]:
    """Return where the namespaces of a repository end, the longest first."""
    return [at for at in range(len(repository), 0, -1) if at == len(repository) or repository[at] == "/"]


def _login(entry: dict[str, Any], key: str, path: str) -> Login | None:
    identity = entry.get("identitytoken") or ""
    packed = entry.get("auth") or ""
    user, password = entry.get("username") or "", entry.get("password") or ""
    if not all(isinstance(text, str) for text in (identity, packed, user, password)):
        raise BadAuthFile(path, f"the entry of {key[:200]!a} can't be read")
    if packed:
        try:
            user, colon, password = base64.b64decode(packed, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise BadAuthFile(path, f"the entry of {key[:200]!a} can't be read") from None
        password = password.rstrip("\0")
        if not colon:
            raise BadAuthFile(path, f"the entry of {key[:200]!a} can't be read")
    return Login(user, password, identity) if user or identity else None


def _keys_of(auths: dict[str, Any], host: str) -> list[str]:
    """Return the keys that mean a whole host: the host, or an address of it as docker wrote them once."""
    keys = []
    for key in auths:
        scheme, _, rest = key.rpartition("://")
        name, _, path = rest.partition("/")
        is_host = name.lower() == host and (key == name or scheme in ("http", "https"))
        if is_host and path.strip("/") in _WHOLE:
            keys.append(key)
    return keys


def _read(path: str) -> dict[str, Any]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise FileUnusable(path, str(error.strerror), "make it a file that you can read") from error
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise BadAuthFile(path, "not a regular file")
        content = file.read(_MAX + 1)
    if len(content) > _MAX:
        raise BadAuthFile(path, f"it has more than {_MAX:,} bytes")
    if not content.strip():
        return {}
    try:
        plain = json.loads(content)
    except (ValueError, RecursionError):
        raise BadAuthFile(path, "it is not JSON") from None
    if not isinstance(plain, dict) or not isinstance(plain.get("auths", {}), dict):
        raise BadAuthFile(path, "it is not as docker and podman write it")
    return plain


def _write(path: str, plain: dict[str, Any]) -> None:
    # A link, as those who keep their settings elsewhere have it, stays one.
    path = os.path.realpath(path)
    temporary = f"{path}.{os.urandom(6).hex()}.new"
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(plain, file, indent="\t", ensure_ascii=False)
                file.write("\n")
                file.flush()
                os.fsync(descriptor)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise FileUnusable(path, str(error.strerror), "name a place that can be written") from error

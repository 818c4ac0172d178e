"""Users and passwords for package servers, as this machine has them: in addresses, in netrc files, in apt's auth.conf.

They go into headers of requests and nowhere else: not into messages, locks or the store.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from urllib.parse import unquote

Headers = tuple[tuple[str, str, str], ...]
"""(beginning of addresses, name, value)."""


def headers_of(addresses: Iterable[str], netrc_paths: Iterable[str]) -> Headers:
    """Return the headers for the servers of `addresses` that name a user, and of the files that exist (netrc(5),
    apt_auth.conf(5))."""
    headers = [*_of_addresses(addresses)]
    for path in netrc_paths:
        headers += _of_file(path)
    return tuple(headers)


def _of_addresses(addresses: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    for address in addresses:
        scheme, _, rest = address.partition("://")
        user, at, host = rest.partition("/")[0].rpartition("@")
        if at:
            name, _, password = user.partition(":")
            yield f"{scheme}://{host}/", "Authorization", _basic(unquote(name), unquote(password))


def _of_file(path: str) -> Iterator[tuple[str, str, str]]:
    try:
        with open(path, encoding="utf-8") as file:
            words = iter([word for line in file for word in line.partition("#")[0].split()])
    except (OSError, UnicodeDecodeError):
        return
    machine = login = ""
    for word in words:
        if word == "machine":
            machine, login = next(words, ""), ""
        elif word == "login":
            login = next(words, "")
        elif word == "password" and machine:
            header = _basic(login, next(words, ""))
            starts = [machine] if "://" in machine else [f"https://{machine}"]
            for start in starts:
                yield (start if start.rpartition("://")[2].count("/") else f"{start}/"), "Authorization", header


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

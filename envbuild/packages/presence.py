"""Whether a server has a file, without fetching it."""

from __future__ import annotations

from urllib3.exceptions import HTTPError

from envbuild.http.addresses import without_user
from envbuild.http.connections import Connections, cause
from envbuild.packages.cache import NOT_THERE, Address
from envbuild.record import Record

_ASKS_ANEW = (400, 403, 405, 501)
"""What servers answer that have the file and do not know HEAD, or have signed the address for GET."""


class Absence(Record):
    """Why a file is not to be had. `failed` is whether the server can't be asked, or fails."""

    text: str
    failed: bool


def absence(connections: Connections, address: Address) -> Absence | None:
    """Return why a server does not have a file; None if it says that it has it."""
    shown = without_user(address.url)
    try:
        with connections.open(address.url, {}, address.giver, method="HEAD") as answer:
            status, reason = answer.status, answer.reason
        if status in _ASKS_ANEW:
            # Its first byte; what a server sends beyond that is not read.
            with connections.open(address.url, {"Range": "bytes=0-0"}, address.giver) as answer:
                status, reason = answer.status, answer.reason
    except HTTPError as error:
        return Absence(f"{shown}: {cause(error)}", failed=True)
    if status in (200, 206):
        return None
    return Absence(f"{shown}: {status} {reason}", failed=status not in NOT_THERE)

"""What came through the network of a step: kept beside its result, by the step's key and the tree that it left."""

from __future__ import annotations

from envbuild.record import Record, values
from envbuild.store.record_text import read_text
from envbuild.text import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from envbuild.store.database import Database
    from envbuild.tree.entry import Digest

ANY, LISTED, MACHINE = "any", "listed", "machine"
"""Which hosts a step could ask: any through the proxy, those of its list, or all that the machine reaches, unseen."""
REACH_WORDS = {
    ANY: "any host through the step's proxy",
    LISTED: "the hosts of its list",
    MACHINE: "the whole network of this machine (network=host): what it fetched is not on record",
}
NOT_LISTED = "the step's list of hosts does not have it"
"""Why most hosts are refused."""
_SHAPE = {
    "mode": str,
    "asked": [str],
    "refused": [str],
    "answers": [(str, str, int, str, int)],
    "more": int,
}


class Answer(Record):
    """An answer over plain HTTP: the `sha256` is that of its body as it was sent, which has `size` bytes. Of the
    address the query is not kept, as it may hold a token."""

    method: str
    address: str
    status: int
    sha256: str
    size: int


class NetworkRecord(Record):
    """What one step asked, as `host:port`, what it was refused, and what it was answered; each sorted, once. `more` is
    how much else there was that is not listed."""

    mode: str
    asked: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    answers: tuple[Answer, ...] = ()
    more: int = 0

    @property
    def plain(self) -> dict[str, object]:
        """The record as JSON has it."""
        return {
            "mode": self.mode,
            "asked": list(self.asked),
            "refused": list(self.refused),
            "answers": [values(answer) for answer in self.answers],
            "more": self.more,
        }


def dump(record: NetworkRecord) -> str:
    """load(dump(record)) == record."""
    return json.dumps(record.plain, separators=(",", ":"))


def load(text: str) -> NetworkRecord:
    """Return the record that `dump` wrote. Raises StoreDamaged."""
    plain = read_text(text, _SHAPE, "what is on record of the network of a step")
    return NetworkRecord(
        plain["mode"],
        tuple(plain["asked"]),
        tuple(plain["refused"]),
        tuple(Answer(*answer) for answer in plain["answers"]),
        plain["more"],
    )


def records_of(database: Database, detail: dict[str, Any]) -> dict[str, NetworkRecord]:
    """Return the records of an image's steps by their keys. `detail` is what is known of its build."""
    records = NetworkRecords(database)
    by_key = {}
    for step in (step for stage in detail.get("stages", []) for step in stage["steps"]):
        # Most steps have no network, and need not be looked up.
        if "network" in step["text"] and (record := records.get(step["key"], step["tree"])) is not None:
            by_key[step["key"]] = record
    return by_key


class NetworkRecords:
    """The records of one store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, key: str, tree: Digest) -> NetworkRecord | None:
        """Return what came through when a step with this key left this tree, None where that is not known."""
        row = self._database.row("SELECT record FROM network WHERE key = ? AND tree = ?", (key, tree))
        return None if row is None else load(row[0])

    def put(self, key: str, tree: Digest, record: NetworkRecord) -> None:
        """Keep a record; a later one of the same result replaces it."""
        self._database.write("INSERT OR REPLACE INTO network VALUES (?, ?, ?)", (key, tree, dump(record)))

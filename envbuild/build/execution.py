"""What the command of a step came to, and how it can fail beside by its exit code."""

from __future__ import annotations

from envbuild.errors import WorkFailed, fields
from envbuild.record import Pairs, Record
from envbuild.sandbox.spec import Outcome
from envbuild.store.network_record import NetworkRecord
from envbuild.trace.reads import Reads
from envbuild.tree.entry import Digest
from envbuild.tree.rebase import Touched


@fields
class PathTooLong(WorkFailed):
    """A step left something whose path is longer than the system takes."""

    def text(self) -> tuple[str, str]:
        return (
            "the step left a path that is longer than the system takes (4,095 bytes with the store's own part)",
            "remove what is so deep at the end of the step, or keep it under /tmp",
        )


class Execution(Record):
    """What a command came to. `tree` is what it left, also when it failed; `tail` the end of its output. `removes` says
    whether anything is gone that was there before. `network` is what came through the network, `refused` are the hosts
    that the step was refused, with the reasons. `touched` is what it did to its parent beside what changed, `reads`
    what it read of it, if that was traced."""

    outcome: Outcome
    tree: Digest
    output: Digest
    tail: bytes
    files: int
    size: int
    seconds: float
    removes: bool = False
    network: NetworkRecord | None = None
    refused: Pairs = ()
    touched: Touched = Touched()
    reads: Reads | None = None


@fields
class NotReproducible(WorkFailed):
    """`--check` ran steps twice, and some did not give the same tree."""

    findings: list[str]

    def text(self) -> tuple[str, str]:
        return (
            "these steps give something else each time they run:\n" + "\n".join(self.findings),
            "a time, a random number or an order is in those files: make it fixed, or `discard` the file",
        )

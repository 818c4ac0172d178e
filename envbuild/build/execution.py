"""What a command in a sandbox came to, for the build that ran it."""

from __future__ import annotations

from envbuild.record import Pairs, Record
from envbuild.sandbox.spec import Outcome
from envbuild.store.network_record import NetworkRecord
from envbuild.tree.entry import Digest
from envbuild.tree.rebase import Touched

TYPE_CHECKING = False
if TYPE_CHECKING:
    from envbuild.trace.reads import Reads


class Execution(Record):
    """What a command came to. `tree` is what it left, also when it failed; `tail` the end of its output. `removes` says
    whether anything is gone that was there before. `network` is what came through the network, `refused` are the hosts
    that the step was refused, with the reasons. `touched` is what it did to the tree beside what changed, `reads` what
    it read of it, if it was traced."""

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

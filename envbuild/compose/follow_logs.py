"""Following the output of the services of a group."""

from __future__ import annotations

import os
import threading
import time

from envbuild.instances.logs import entries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from envbuild.compose.members import Member
    from envbuild.instances.records import Instances


def lines_so_far(followed: Sequence[Member]) -> dict[str, int]:
    """Return how many lines each instance has printed until now, by its id."""
    return {member.instance.identity: sum(1 for _ in entries(f"{member.instance.path}/log")) for member in followed}


class Followers:
    """Threads that read the logs of instances, each until its instance ends."""

    def __init__(
        self,
        instances: Instances,
        followed: Sequence[Member],
        skipped: Mapping[str, int],
        show: Callable[[str, str, bytes], None],
    ) -> None:
        """`show` is called with (service, stream, line) for each line but the first ones that are `skipped`."""
        self._instances = instances
        self._skipped = skipped
        self._show = show
        self._over = {member: threading.Event() for member in followed}

    def start(self) -> None:
        """Start them."""
        for member in self._over:
            threading.Thread(target=self._read, args=(member,), daemon=True, name=f"log {member.service}").start()

    def wait(self, seconds: float | None = None) -> None:
        """Return when all are over, or `seconds` have passed for one."""
        # Not by joining the threads: a join that Ctrl-C interrupts takes its thread for ended (Python 3.11).
        for over in self._over.values():
            if not over.wait(seconds):
                return

    def _read(self, member: Member) -> None:
        path, skip = f"{member.instance.path}/log", self._skipped.get(member.instance.identity, 0)

        def alive() -> bool:
            return self._instances.is_supervised(member.instance)

        while not os.path.exists(path) and alive():
            time.sleep(0.05)
        for number, (_, stream, line) in enumerate(entries(path, follow=True, alive=alive)):
            if number >= skip:
                self._show(member.service, stream, line)
        self._over[member].set()

"""What the services of a group print, as it comes."""

from __future__ import annotations

import os
import threading
import time

from envbuild.runtime.logs import entries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from envbuild.services.members import Member
    from envbuild.store.instances import Instances


def lines_so_far(found: Sequence[Member]) -> dict[str, int]:
    """How many lines each instance has printed until now, by its id."""
    return {one.instance.identity: sum(1 for _ in entries(f"{one.instance.path}/log")) for one in found}


def follow(
    instances: Instances,
    found: Sequence[Member],
    skipped: Mapping[str, int],
    show: Callable[[str, str, bytes], None],
) -> list[threading.Thread]:
    """Threads that call `show` with (service, stream, line) for each line but the first ones that are `skipped`; each
    ends with its instance."""

    def read(one: Member) -> None:
        path, skip = f"{one.instance.path}/log", skipped.get(one.instance.identity, 0)
        while not os.path.exists(path) and instances.is_supervised(one.instance):
            time.sleep(0.05)
        for number, (_, stream, line) in enumerate(
            entries(path, follow=True, alive=lambda: instances.is_supervised(one.instance))
        ):
            if number >= skip:
                show(one.service, stream, line)

    threads = [threading.Thread(target=read, args=(one,), daemon=True, name=f"log {one.service}") for one in found]
    for thread in threads:
        thread.start()
    return threads

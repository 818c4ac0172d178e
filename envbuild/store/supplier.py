"""Who brings the contents that were promised and not stored (promised.py): set by the command line, as the store knows
no package manager."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from envbuild.store.objects import Objects
    from envbuild.store.promised import Promise

    Supplier = Callable[[Sequence[Promise], Objects], None]
    """Puts the contents that were promised into the pool, and raises an error where it can't."""

supplier: Supplier | None = None

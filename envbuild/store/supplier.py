"""Who brings the contents that were promised and not stored (promised.py): set by the command line, as the store knows
no package manager."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Supplier = Callable[..., None]
    """Is called with promises and the pool that their contents are for. Raises an error where it can't bring them."""

supplier: Supplier | None = None

"""The standard library's `signal` as it is below its enumerations, which take 1.5 ms of every start to make.

The numbers are plain integers here, and so are the handlers SIG_DFL and SIG_IGN.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from signal import *  # noqa: F403
else:
    from _signal import *  # noqa: F403


class Terminated(KeyboardInterrupt):
    """SIGTERM, where it is taken like Ctrl-C: unlike that of a terminal it reached this process alone."""

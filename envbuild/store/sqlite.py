"""SQLite as CPython's own module has it, cheap to import.

What else the module sqlite3 has turns dates to text and back, for which it loads datetime: 1.5 ms of each start, and
nothing here has dates. The inner module takes lru_cache from functools, which loads collections and what that needs: 2
ms more, for a function that is written in C and there already.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
else:
    import sys
    from _thread import _count as count_threads

    def _load():
        try:
            from _functools import _lru_cache_wrapper as cached
        except ImportError:
            import sqlite3

            return sqlite3
        # Another thread could want functools just now.
        if "functools" in sys.modules or count_threads():
            import _sqlite3

            return _sqlite3
        stand_in = type(sys)("functools")
        stand_in.lru_cache = lambda size: lambda function: cached(function, size, False, tuple)
        sys.modules["functools"] = stand_in
        try:
            import _sqlite3
        finally:
            del sys.modules["functools"]
        return _sqlite3

    sqlite3 = _load()

__all__ = ["sqlite3"]

"""An index of dpkg's lists of files: which of them may have a path, without reading a thousand of them.

It has a number of 32 bits for each line of each list, and is kept in the store under the digest of dpkg's folder, which
is another one as soon as any list is. Several lines may have one number: who asks reads the lists that are left.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from zlib import crc32

from envbuild.packages.inventory.bad_record import MAX_STATUS
from envbuild.store.store import Store
from envbuild.tree.entry import FILE, Digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

KIND = "dpkg lists 1"
"""The kind of an index in the store's memo; another form needs another number."""
MAX_READ = 256_000_000
"""Bytes of lists that are read; Debian's longest have 2 MB."""
MAX_KEPT = 8
"""Indexes that are kept: a MB each."""
MAX_LISTS = 1 << 16
_SUFFIX = b".list"
_NUMBER = array("Q").itemsize


class ListIndex:
    """The lists in dpkg's folder with the digest `folder`."""

    def __init__(self, store: Store, folder: Digest) -> None:
        kept = store.memo.get(KIND, folder)
        head, mark, body = (kept or b"").partition(b"\0\0")
        if not mark or len(body) % _NUMBER:
            head, _, body = _built(store, folder)
        self._names = head.split(b"\0") if head else []
        self._lines = array("Q", body)

    def candidates(self, lines: Iterable[bytes]) -> set[bytes]:
        """Return the names of the lists that may have one of `lines`; all others have none."""
        names = set()
        for line in lines:
            number = crc32(line) << 32
            at = bisect_left(self._lines, number)
            while at < len(self._lines) and self._lines[at] >> 32 == number >> 32:
                place = self._lines[at] & 0xFFFFFFFF
                names.update(self._names[place : place + 1])
                at += 1
        return names


def _built(store: Store, folder: Digest) -> tuple[bytes, bytes, bytes]:
    names: list[bytes] = []
    numbers: list[int] = []
    left = MAX_READ
    for entry in store.trees.load(folder):
        if entry.kind != FILE or not entry.name.endswith(_SUFFIX) or entry.size > min(left, MAX_STATUS):
            continue
        if len(names) == MAX_LISTS:
            break
        left -= entry.size
        place = len(names)
        names.append(entry.name)
        numbers += [crc32(line) << 32 | place for line in store.objects.read(entry, MAX_STATUS).split(b"\n")]
    index = b"\0".join(names), b"\0\0", array("Q", sorted(set(numbers))).tobytes()
    others = [key for key, _ in store.memo.all(KIND)]
    for key in others[: max(0, len(others) - MAX_KEPT + 1)]:
        store.memo.remove(KIND, key)
    store.memo.put(KIND, folder, b"".join(index))
    return index

"""Trees whose times are put back."""

from envbuild.tree.entry import DIRECTORY, FILE, Entry
from envbuild.tree.late_times import without_late_times
from envbuild.tree.lookup import MemoryTrees, walk

LIMIT = 100


def entry(name: bytes, mtime: int, digest: str = "", kind: str = FILE) -> Entry:
    return Entry(name, kind, 0o644, 0, 0, mtime, digest=digest)


def test_what_is_new_has_no_time_after_the_limit_and_what_was_there_keeps_its_own():
    trees = MemoryTrees()
    old = trees.save([entry(b"kept", 500, "a" * 64)])
    same = entry(b"same", 500, old, DIRECTORY)
    before = trees.save([same, entry(b"dir", 7, old, DIRECTORY)])
    new = trees.save([entry(b"kept", 500, "a" * 64), entry(b"late", 300, "b" * 64), entry(b"early", 3, "c" * 64)])
    tree = trees.save([same, entry(b"dir", 200, new, DIRECTORY), entry(b"link", 101, kind="l")])
    altered = []

    def alter(earlier: Entry, later: Entry) -> Entry:
        altered.append((earlier.name, earlier.mtime, later.mtime))
        return later

    result = without_late_times(trees, tree, before, lambda mtime: min(mtime, LIMIT), alter)
    times = {path: file.mtime for path, file in walk(trees, result)}
    assert times == {
        b"same": 500,
        b"same/kept": 500,
        b"dir": 100,
        b"dir/kept": 500,
        b"dir/late": 100,
        b"dir/early": 3,
        b"link": 100,
    }
    assert altered == [(b"late", 300, 100)]
    assert without_late_times(trees, before, before, lambda mtime: 0, alter) == before

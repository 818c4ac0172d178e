"""Files of a tree, read as text."""

from __future__ import annotations

import pytest

from envbuild.store.objects import TooLargeToRead
from envbuild.store.store import Store
from envbuild.tree.entry import FILE, LINK, Entry


def test_a_text_of_a_tree_is_read_up_to_its_limit(tmp_path):
    with Store.open(str(tmp_path / "store")) as store:
        builder = store.builder()
        builder.add(b"etc/a", Entry(b"", FILE, 0o644, 0, 0, 0), b"four\xff")
        builder.add(b"etc/b", Entry(b"", LINK, 0o777, 0, 0, 0, target=b"/etc/a"))
        tree = builder.finish(0)
        assert store.read_text(tree, "etc/b") == "four\udcff"
        assert store.read_text(tree, "etc/a", errors="replace") == "four\ufffd"
        assert store.read_text(tree, "etc") is None
        assert store.read_text(tree, "etc/none") is None
        with pytest.raises(TooLargeToRead) as caught:
            store.read_text(tree, "etc/a", 4)
        assert caught.value.entry.size == 5

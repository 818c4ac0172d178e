"""The table of promised contents, in stores that an earlier envbuild made."""

import sqlite3

from envbuild.store.promised import Promise
from envbuild.store.store import Store
from envbuild.tree.entry import FILE, Entry, object_id


def test_an_older_store_gets_the_table(tmp_path):
    with Store.open(str(tmp_path / "store")):
        pass
    database = sqlite3.connect(tmp_path / "store" / "store.db")
    database.execute("DROP TABLE promised")
    database.execute("PRAGMA user_version = 7")
    database.close()
    promise = Promise(Entry(b"jq", FILE, 0o755, 0, 0, 1, 2, "0" * 64), "jq", "1.6-2", "amd64", "usr/bin/jq\udcff")
    with Store.open(str(tmp_path / "store")) as store:
        assert not store.promised.any()
        store.promised.add([promise])
        assert store.promised.get(object_id(promise.entry)) == promise

"""Links in /etc/systemd/system become `systemctl enable`, `disable` and `mask`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from envbuild.capture.unit_lines import unit_lines
from envbuild.store.store import Store
from envbuild.tree.apply import Edit, edit
from envbuild.tree.diff import Change
from envbuild.tree.entry import DIRECTORY, FILE, LINK, Digest, Entry

UNITS = ("ssh.service", "cron.service", "backup.timer", "getty@.service")
WANTED = b"etc/systemd/system/multi-user.target.wants/"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "store")) as made:
        yield made


@pytest.fixture
def tree(store: Store) -> Digest:
    folder = Entry(b"", DIRECTORY, 0o755, 0, 0, 0)
    empty = edit(
        store.trees,
        store.trees.save([]),
        [Edit(p, folder) for p in (b"usr", b"usr/lib", b"usr/lib/systemd", b"usr/lib/systemd/system")],
        0,
    )
    unit = store.objects.add(Entry(b"", FILE, 0o644, 0, 0, 0), b"[Install]\n")
    return edit(store.trees, empty, [Edit(b"usr/lib/systemd/system/" + name.encode(), unit) for name in UNITS], 0)


def link(target: str) -> Entry:
    return Entry(b"", LINK, 0o777, 0, 0, 0, target=target.encode())


def test_links_of_units_that_the_tree_has_become_commands(store, tree):
    changes = [
        Change(WANTED + b"ssh.service", None, link("/usr/lib/systemd/system/ssh.service")),
        Change(WANTED + b"getty@tty2.service", None, link("/usr/lib/systemd/system/getty@.service")),
        Change(WANTED + b"cron.service", link("/usr/lib/systemd/system/cron.service"), None),
        Change(b"etc/systemd/system/backup.timer", None, link("/dev/null")),
    ]
    assert [line.text for line in unit_lines(store, tree, changes, "")] == [
        "run systemctl enable getty@tty2.service ssh.service",
        "run systemctl disable cron.service",
        "run systemctl mask backup.timer",
    ]
    assert unit_lines(store, tree, changes[:1], "app")[0].text.startswith("run(user=root) ")


def test_other_links_stay_links(store, tree):
    """Units that only the machine has, names that are no unit's, and what a hostile capture could mean as an option."""
    changes = [
        Change(WANTED + name, None, link("/etc/x"))
        for name in (b"mine.service", b"--root=x.service", b"a b.service", b"$(id).service", b"ssh.conf")
    ]
    changes.append(Change(b"etc/systemd/system/dbus-org.service", None, link("/usr/lib/systemd/system/ssh.service")))
    assert unit_lines(store, tree, changes, "") == []

"""A tree's files of users and groups hold whatever a step wrote there."""

from __future__ import annotations

import os
import time

import pytest

from envbuild.drift.account_lines import MAX_LINES, Names, account_lines
from envbuild.images.accounts import Databases, NoSuchAccount, accounts, add_account, groups, owner_ids
from envbuild.sandbox.spec import SandboxFailure
from envbuild.sandbox.user_lookup import identity_of
from tests.attacks.limited import limited
from tests.conftest import Project

ODD = (
    "sup:x:\u00b2:0::/:/bin/sh\n"
    "many:x:" + "9" * 10_000 + ":0::/:/bin/sh\n"
    "none:x:4294967295:0::/:/bin/sh\n"
    "minus:x:-1:0::/:/bin/sh\n"
    "short:x:7\n"
    ":::::::\n"
    "\0:x:1:1::/:/bin/sh\n"
    "gecos:x:1001:1001:a\u2028eve:x:0:0::/:/bin/sh\n"
    "good:x:1000:1000::/home/good:/bin/sh\n"
)
GROUPS = "sup:x:\u00b2:good\nmany:x:" + "9" * 10_000 + ":good\nshort\nwell:x:50:good,good\n"


def opener(tmp_path, passwd: str, group: str):
    (tmp_path / "etc").mkdir(exist_ok=True)
    (tmp_path / "etc/passwd").write_text(passwd)
    (tmp_path / "etc/group").write_text(group)
    return lambda path, flags: os.open(f"{tmp_path}{path}", flags)


def test_lines_that_make_no_sense_are_passed_over(tmp_path):
    opened = opener(tmp_path, ODD, GROUPS)
    assert identity_of("good", opened).groups == (1000, 50)
    assert [login.name for login in accounts(ODD)] == ["\0", "gecos", "good"]
    assert groups(GROUPS) == {"well": 50}
    for name in ("sup", "many", "none", "minus", "short", "eve", "\u00b2", "9" * 50, "4294967295"):
        with pytest.raises(SandboxFailure):
            identity_of(name, opened)
        with pytest.raises(NoSuchAccount):
            owner_ids(name, Databases(ODD, GROUPS))
    with pytest.raises(SandboxFailure):
        identity_of("good:sup", opened)
    _, account = add_account(Databases(ODD, GROUPS), "new", None, None, None, "/bin/sh", ("well",))
    assert account.uid == 1002


@pytest.mark.user
def test_more_groups_than_the_kernel_has_are_an_error(tmp_path):
    group = "".join(f"g{n}:x:{n}:good\n" for n in range(70_000))
    with pytest.raises(SandboxFailure, match="70,000"):
        identity_of("good", opener(tmp_path, ODD, group))


def test_thirty_thousand_accounts_take_no_time():
    many = "".join(f"u{n}:x:{n}:{n}::/home/u{n}:/bin/sh\n" for n in range(1000, 31_000))
    group = "".join(f"u{n}:x:{n}:u{n - 1}\n" for n in range(1000, 31_000))
    started = time.process_time()
    names = Names(Databases(many, group))
    assert {names.owner(n, n) for n in range(1000, 31_000)} == {f"u{n}" for n in range(1000, 31_000)}
    assert len(account_lines(Databases("", group), Databases(many, group), "/bin/sh")) == MAX_LINES
    # The square of their number would be hours.
    assert time.process_time() - started < 60


@pytest.mark.namespaces
@pytest.mark.parametrize("name", ["passwd", "group"])
def test_a_file_of_accounts_that_fills_the_memory_is_not_read(project: Project, name: str):
    (project.folder / "x").write_text("x")
    project.write(
        "web.env",
        "from tar:busybox.tar",
        f"run printf 'good:x:1000:1000::/:/bin/sh\\n' >> /etc/passwd; truncate -s 50000000 /etc/{name}",
        "run(user=good) true",
        "copy(owner=good) x -> /x",
    )
    done = limited(project, "build", "web.env", memory=450 << 20)
    assert done.returncode == 1, done.stderr
    assert f"/etc/{name} of the tree has 50,000,000 bytes" in done.stderr


@pytest.mark.namespaces
@pytest.mark.user
def test_a_step_as_a_user_of_an_odd_file(project: Project):
    (project.folder / "passwd").write_text(ODD)
    (project.folder / "group").write_text(GROUPS)
    done = project.build("copy passwd group -> /etc/", "run(user=good) id -u > /tmp/x; test $(cat /tmp/x) = 1000")
    # With a single id there is nobody but root.
    assert done.code in (0, 1), done.out
    for user in ("sup", "many", "4294967295"):
        done = project.build("copy passwd group -> /etc/", f"run(user={user}) id")
        assert done.code in (1, 2)
        assert f"there is no user '{user}'" in done.out + done.err

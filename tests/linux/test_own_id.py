"""Who started a process, in namespaces that it entered and in those that it was started in."""

import os
import shutil
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.namespaces, pytest.mark.user]
SHOW = """
from envbuild.linux.own_id import as_own_id, own_uid
from envbuild.sandbox.user_namespace import enter_user_namespace
before = own_uid()
enter_user_namespace()
print(before, own_uid(), *as_own_id()[1:])
"""


def shown(*words: str) -> str:
    return subprocess.run([*words, sys.executable, "-c", SHOW], check=True, capture_output=True, text=True).stdout


def test_a_user_is_the_same_before_and_after():
    user, group = os.geteuid(), os.getegid()
    own = f" --map-user={user} --map-group={group} --" if user else ""
    assert shown() == f"{user} {user}{own}\n"


@pytest.mark.skipif(shutil.which("unshare") is None, reason="unshare is not installed")
def test_root_of_a_container_is_root():
    assert shown("unshare", "--user", "--map-root-user") == "0 0\n"

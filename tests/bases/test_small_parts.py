"""What the base `host` makes anew: accounts, PAM's files, the loader's cache; and the base of nothing."""

from __future__ import annotations

import ctypes.util
import os
import shutil
import subprocess
import sys
from functools import cmp_to_key
from pathlib import Path

import pytest

from envbuild.bases.tarball import prepare_scratch
from envbuild.debian.elf import read_elf
from envbuild.debian.linker_cache import compare_names, linker_cache
from envbuild.debian.pam import pam_file, parse_profile
from envbuild.debian.system_accounts import accounts, asked_for
from tests.bases.targets import in_memory


def test_scratch_is_a_root_and_nothing_else():
    base = prepare_scratch()
    tree = in_memory(base)
    assert list(tree.entries) == [b""]
    assert tree.entries[b""][2:6] == (0o755, 0, 0, 315_532_800 * 10**9)
    assert base.epoch == 315_532_800


MASTERS = ("root:*:0:0:root:/root:/bin/bash\n", "root:*:0:\nmail:*:8:\n")


def test_accounts_are_the_masters_and_those_that_packages_ask_for():
    passwd = (
        "root:x:0:0:Me Myself:/root:/bin/zsh\nalice:x:1000:1000:Alice:/home/alice:/bin/bash\n"
        "daemon7:x:107:110::/var/empty:/usr/sbin/nologin\nunasked:x:108:111::/x:/bin/sh\nbroken line\n"
    )
    group = "root:x:0:alice\nmail:x:8:alice\ndaemon7:x:110:alice\nalice:x:1000:\nunasked:x:111:\n"
    made = accounts(MASTERS, (passwd, group), {"daemon7", "alice"})
    assert made.passwd == "root:x:0:0:root:/root:/bin/bash\ndaemon7:x:107:110::/var/empty:/usr/sbin/nologin\n"
    assert made.group == "root:x:0:\nmail:x:8:\ndaemon7:x:110:\n"
    assert made.shadow == "root:*::0:99999:7:::\ndaemon7:*::0:99999:7:::\n"
    assert made.gshadow == "root:*::\nmail:*::\ndaemon7:*::\n"


def test_what_scripts_ask_for():
    script = (
        'USER="messagebus"\nOTHER=unrelated\n# adduser --system commented\n'
        'adduser --system \\\n  --home /nonexistent --quiet "$USER"\n'
        "if ! getent group x; then addgroup --system ssl-cert; fi\n"
        "echo postgres is not made here\nuseradd -r svc 2>/dev/null || true\n"
    )
    names = asked_for([script], ["#Type Name\nu polkitd - 'polkit' -\ng render -\nm alice video\n"])
    assert {"messagebus", "ssl-cert", "svc", "polkitd", "render"} <= names
    assert not {"unrelated", "commented", "postgres", "alice", "nonexistent"} & names


UNIX = parse_profile(
    "unix",
    "Name: Unix\nDefault: yes\nPriority: 256\n"
    "Auth-Type: Primary\nAuth:\n\t[success=end default=ignore]\tpam_unix.so x\n"
    "Auth-Initial:\n\t[success=end default=ignore]\tpam_unix.so\n"
    "Session-Type: Additional\nSession:\n\trequired pam_unix.so\n",
)
DIRECTORY = parse_profile(
    "directory",
    "Name: D\nDefault: yes\nPriority: 128\nAuth-Type: Primary\nAuth:\n\t[success=end default=ignore]\tpam_d.so\n",
)
HOME = parse_profile(
    "home",
    "Name: H\nDefault: yes\nPriority: 0\nSession-Type: Additional\nSession-Interactive-Only: yes\n"
    "Session:\n\toptional pam_home.so\n",
)
OFF = parse_profile("off", "Name: O\nDefault: no\nPriority: 999\nAuth-Type: Primary\nAuth:\n\trequired pam_off.so\n")


def test_pam_modules_jump_over_the_rest_of_their_block_and_the_refusal():
    template = "# mine\n$auth_primary\nauth\trequisite\tpam_deny.so\n$auth_additional\n"
    assert pam_file("common-auth", template, [OFF, DIRECTORY, UNIX]) == (
        "# mine\nauth\t[success=2 default=ignore]\tpam_unix.so\nauth\t[success=1 default=ignore]\tpam_d.so\n"
        "auth\trequisite\tpam_deny.so\n"
    )


def test_pam_sessions_without_a_user_at_them():
    template = "$session_nonint_primary\nsession\trequisite\tpam_deny.so\n$session_nonint_additional\n"
    made = pam_file("common-session-noninteractive", template, [UNIX, HOME])
    assert [line.split()[1:] for line in made.splitlines()] == [
        ["[default=1]", "pam_permit.so"],
        ["requisite", "pam_deny.so"],
        ["required", "pam_unix.so"],
    ]
    template = template.replace("nonint_", "")
    assert "pam_home.so" in pam_file("common-session", template, [UNIX, HOME])


def test_the_loaders_order_of_names():
    """Runs of digits count as numbers and come after all other characters, as in glibc's _dl_cache_libcmp."""
    names = ["libc.so.6", "liba.so.10", "liba.so.9", "liba-1.so", "liba1.so"]
    assert sorted(names, key=cmp_to_key(compare_names)) == [
        "liba-1.so",
        "liba.so.9",
        "liba.so.10",
        "liba1.so",
        "libc.so.6",
    ]


@pytest.mark.skipif(shutil.which("ldconfig", path="/usr/sbin:/sbin") is None, reason="no ldconfig")
def test_the_cache_is_what_ldconfig_reads(tmp_path):
    libraries = [("libb.so.1", "/lib/libb.so.1", 62), ("liba.so.2", "/lib/a/liba.so.2", 62), ("x", "/x", 3)]
    cache = linker_cache(libraries)
    assert cache == linker_cache(reversed(libraries))
    (tmp_path / "cache").write_bytes(cache)
    words = [shutil.which("ldconfig", path="/usr/sbin:/sbin"), "-p", "-C", str(tmp_path / "cache")]
    shown = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()[1:]
    assert [line.strip() for line in shown] == [
        "libb.so.1 (libc6,x86-64) => /lib/libb.so.1",
        "liba.so.2 (libc6,x86-64) => /lib/a/liba.so.2",
    ]


@pytest.mark.skipif(not os.path.exists("/bin/sh"), reason="no shell")
def test_what_a_program_says_of_itself():
    shell = read_elf(os.path.realpath("/bin/sh"))
    assert shell is not None
    assert shell.interpreter.rpartition("/")[2].startswith("ld-")
    assert ctypes.util.find_library("c") in shell.needed
    assert read_elf(__file__) is None


@pytest.mark.parametrize("cut", [0, 3, 4, 16, 63, 64, 100, 500, 5000])
def test_a_program_that_is_cut_short_is_none(cut, tmp_path: Path):
    data = Path(os.path.realpath(sys.executable)).read_bytes()
    (tmp_path / "cut").write_bytes(data[:cut])
    assert read_elf(str(tmp_path / "cut")) is None
    (tmp_path / "noise").write_bytes(data[:20] + b"\xff" * max(0, cut - 20))
    assert read_elf(str(tmp_path / "noise")) is None

"""The list of what dpkg and apt leave behind, as each of its users reads it."""

from __future__ import annotations

import pytest

from envbuild.debian.left_behind import (
    LEFT_BEHIND,
    LEFTOVERS,
    LISTS,
    is_left_out_of_base,
    is_record,
    is_state,
    noise_patterns,
    removed_after_installation,
)
from envbuild.tree.patterns import compile_patterns


def test_each_row_is_for_somebody():
    assert [row for row in LEFT_BEHIND if not (row.base or row.install or row.noise or row.record)] == []
    assert len({row.path for row in LEFT_BEHIND}) == len(LEFT_BEHIND)


@pytest.mark.parametrize(
    "path",
    ["var/lib/dpkg/lock", "var/lib/dpkg/status-old", "var/lib/apt/lists/x_InRelease", "var/cache/debconf/a.dat-old"],
)
def test_a_base_has_no_locks_lists_and_earlier_versions(path):
    assert is_left_out_of_base(path, is_directory=False)


@pytest.mark.parametrize("path", ["var/lib/dpkg/status", "var/lib/apt/lists", "etc/apt/sources.list-old", "var/log"])
def test_a_base_has_the_rest(path):
    assert not is_left_out_of_base(path, is_directory=False)
    assert not is_left_out_of_base("var/lib/x-old", is_directory=True), "a folder of that name is something else"


def test_an_installation_removes_whole_paths_and_never_a_folder():
    patterns = removed_after_installation()
    assert {"/var/lib/dpkg/*-old", "/etc/passwd-", "/etc/ssh/ssh_host_*_key"} <= set(patterns)
    assert all(pattern.startswith("/") and not pattern.endswith("/") and "**" not in pattern for pattern in patterns)


def test_rules_of_drift_are_patterns_below_the_root():
    assert noise_patterns(LISTS) == ("/var/lib/apt/lists/*",)
    matcher = compile_patterns(list(noise_patterns(LEFTOVERS)))
    assert matcher.matches(b"etc/passwd-", False)
    assert matcher.matches(b"var/lib/dpkg/diversions-old", False)
    assert not matcher.matches(b"etc/passwd", False)


def test_records_are_what_no_package_owns():
    assert is_record("var/lib/dpkg/status")
    assert is_record("var/lib/systemd/deb-systemd-helper-enabled/a.service.dsh-also")
    assert is_record("usr/lib/x86_64-linux-gnu/gconv/gconv-modules.cache")
    assert not is_record("var/lib/dpkg/info/jq.list"), "it is the package's own"
    assert not is_record("usr/lib/a/b/gconv/gconv-modules.cache")
    assert not is_record("etc/passwd")


def test_state_is_the_database_of_a_package_manager():
    assert is_state("var/lib/dpkg/info/jq.list")
    assert not is_state("var/lib/dpkg")
    assert not is_state("var/cache/apt/pkgcache.bin")

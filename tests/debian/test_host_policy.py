"""What apt of this machine says of where versions of packages come from."""

import subprocess

import pytest

from envbuild.debian.host_policy import parse_policy, sources_of_versions


@pytest.mark.mirror
def test_versions_that_can_be_had_are_known_with_their_sources():
    known = sources_of_versions(["dpkg", "no-such-package"])
    assert {name for name, _ in known} == {"dpkg"}
    assert all(address and suite for sources in known.values() for address, suite in sources)


def test_without_apt_nothing_is_known(monkeypatch):
    def missing(*_: object, **__: object):
        raise FileNotFoundError("apt-cache")

    monkeypatch.setattr(subprocess, "run", missing)
    assert sources_of_versions(["dpkg"]) == {}


def test_each_version_has_its_sources():
    text = (
        "tool:\n  Installed: 2\n  Candidate: 2\n  Version table:\n *** 2 500\n"
        "        500 http://one.example/debian bookworm/main amd64 Packages\n"
        "        100 /var/lib/dpkg/status\n     1 500\n"
        "        500 http://two.example bookworm-updates/main amd64 Packages\n"
    )
    known = parse_policy(text)
    assert {version for _, version in known} == {"1", "2"}
    assert ("http://one.example/debian", "bookworm") in known["tool", "2"]
    assert ("http://two.example", "bookworm-updates") in known["tool", "1"]

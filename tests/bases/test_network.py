"""Where packages come from, and what a networked step is told of this machine."""

from __future__ import annotations

import os

import pytest

from envbuild.debian.apt_sources import AptSource, machine_sources, parse_deb822, parse_lines, sources_for, to_deb822
from envbuild.images.host_network import APT_SETTINGS, APT_SOURCES, PIP_SETTINGS, settings_for

KEY = (("Signed-By", "/usr/share/keyrings/debian-archive-keyring.gpg"),)
DEBIAN = AptSource("http://mirror.test/debian", "bookworm", ("main",), KEY)


def test_sources_in_one_line_each():
    sources = parse_lines(
        "# deb http://off.test/debian bookworm main\n"
        "deb http://a.test/debian bookworm main contrib # the mirror\n"
        "deb-src http://a.test/debian bookworm main\n"
        "deb [arch=amd64 signed-by=/k.gpg,/l.gpg] http://b.test/debian bookworm-updates main\n"
        "deb [ trusted=yes ] http://c.test ./\n"
        "deb broken\n"
    )
    assert sources == [
        AptSource("http://a.test/debian", "bookworm", ("main", "contrib"), ()),
        AptSource(
            "http://b.test/debian", "bookworm-updates", ("main",), (("arch", "amd64"), ("Signed-By", "/k.gpg /l.gpg"))
        ),
        AptSource("http://c.test", "./", (), (("Trusted", "yes"),)),
    ]


STANZAS = """\
# a comment
Types: deb deb-src
URIs: http://a.test/debian
  http://b.test/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc

Enabled: no
Types: deb
URIs: http://off.test/debian
Suites: bookworm
Components: main

Types: deb-src
URIs: http://source.test/debian
Suites: bookworm
Components: main
"""


def test_sources_in_stanzas():
    sources = parse_deb822(STANZAS)
    assert [(source.uri, source.suite) for source in sources] == [
        (f"http://{host}.test/debian", suite) for host in "ab" for suite in ("bookworm", "bookworm-updates")
    ]
    assert parse_deb822(to_deb822(sources)) == sources, "a key in the text comes through as it is"


def test_all_files_of_apt_are_read_but_not_those_that_it_ignores(tmp_path):
    folder = tmp_path / "etc/apt/sources.list.d"
    folder.mkdir(parents=True)
    line = "deb http://{}.test/debian bookworm main\n"
    (tmp_path / "etc/apt/sources.list").write_text(line.format("one"))
    (folder / "two.list").write_text(line.format("two"))
    (folder / "three.sources").write_text(to_deb822([DEBIAN]))
    (folder / "four.list.disabled").write_text(line.format("four"))
    assert [source.uri.split("/")[2] for source in machine_sources(str(tmp_path))] == [
        "one.test",
        "mirror.test",
        "two.test",
    ]


def test_a_suite_is_served_by_itself_its_updates_and_its_security():
    updates, security = DEBIAN.replace(suite="bookworm-updates"), DEBIAN.replace(suite="bookworm-security")
    other = DEBIAN.replace(suite="trixie")
    backports = DEBIAN.replace(suite="bookworm-backports")
    sources = sources_for("bookworm", [DEBIAN, DEBIAN, updates, security, other, backports])
    assert sources == [DEBIAN, updates, security]


@pytest.mark.parametrize(
    "vendor",
    [
        AptSource("https://vendor.test/linux/debian", "bookworm", ("stable",), ()),
        AptSource("https://vendor.test/debian", "bookworm", ("main",), (("Signed-By", "/etc/apt/keyrings/v.gpg"),)),
        AptSource("https://vendor.test/node", "bookworm", ("main",), ()),
        AptSource("https://debian.vendor.test/apt", "bookworm", ("main",), ()),
        AptSource("https://vendor.test/debian", "./", (), ()),
    ],
)
def test_other_vendors_sources_are_left_alone(vendor):
    assert sources_for("bookworm", [vendor]) == []
    assert sources_for("bookworm", [vendor, DEBIAN]) == [DEBIAN]


def test_another_suite_is_asked_of_the_same_mirror():
    machine = [DEBIAN.replace(suite="bookworm-security"), DEBIAN.replace(components=("main", "non-free-firmware"))]
    assert sources_for("bullseye", machine) == [DEBIAN.replace(suite="bullseye")]
    assert sources_for("bullseye", machine[:1]) == []


@pytest.fixture
def settings(tmp_path):
    def settings(suite="bookworm", tree=("/usr/bin/apt-get",), **variables):
        chosen = settings_for(suite, lambda path: path in tree, variables, str(tmp_path))
        return dict(chosen.files), dict(chosen.binds), dict(chosen.environment)

    settings.home = tmp_path
    return settings


def test_names_and_proxies_are_as_on_the_machine(settings):
    files, binds, environment = settings(tree=(), https_proxy="http://proxy.test:3128", NO_PROXY="x", OTHER="y")
    assert binds.get("/etc/resolv.conf") == ("/etc/resolv.conf" if os.path.exists("/etc/resolv.conf") else None)
    assert environment["https_proxy"] == "http://proxy.test:3128"
    assert environment["NO_PROXY"] == "x"
    assert "OTHER" not in environment
    assert not [target for target in files if target.startswith("/etc/apt")], "a tree without apt gets nothing of it"


def test_no_mount_is_put_over_the_bundle_of_the_tree(settings):
    """A package that brings it could not replace a mount point."""
    _, binds, environment = settings(tree=("/etc/ssl/certs/ca-certificates.crt",))
    assert "/etc/ssl/certs/ca-certificates.crt" not in binds.values()
    if binds.get("/etc/ssl/certs/ca-certificates.crt"):
        assert environment["SSL_CERT_FILE"] == "/run/envbuild/ca-certificates.crt"


def test_apt_gets_the_machines_sources_for_the_trees_suite(settings, monkeypatch):
    local = AptSource("file:/srv/debian", "bookworm", ("main",), KEY)
    monkeypatch.setattr("envbuild.images.host_network.machine_sources", lambda: [DEBIAN, local])
    files, binds, _ = settings()
    assert files[APT_SOURCES].decode() == (
        "Types: deb deb-src\nURIs: http://mirror.test/debian\nSuites: bookworm\nComponents: main\n"
        "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
    )
    key = "/usr/share/keyrings/debian-archive-keyring.gpg"
    assert (binds.get(key) == key) == os.path.exists(key)
    assert key not in settings(tree=("/usr/bin/apt-get", key))[1]
    assert APT_SOURCES not in settings(suite=None)[0]
    assert b'APT::Sandbox::User "root";\n' in files[APT_SETTINGS]


def test_settings_of_apt_that_name_files_of_the_machine_stay_here(settings, tmp_path, monkeypatch):
    program = tmp_path / "apt-config"
    program.write_text(
        "#!/bin/sh\ncat <<'END'\n"
        'Acquire::http::Proxy "http://proxy.test:3128";\n'
        'Acquire::http::Proxy-Auto-Detect "/usr/local/bin/find-proxy";\n'
        'Acquire::https::SslKey "/etc/ssl/private/me.key";\n'
        'Acquire::Check-Valid-Until "false";\n'
        'Dir::Cache "/elsewhere";\nEND\n'
    )
    program.chmod(0o755)
    monkeypatch.setattr("envbuild.images.host_network.find_program", lambda name: str(program))
    lines = settings()[0][APT_SETTINGS].decode().splitlines()
    assert lines[:2] == ['Acquire::http::Proxy "http://proxy.test:3128";', 'Acquire::Check-Valid-Until "false";']
    assert not [line for line in lines if "find-proxy" in line or "private" in line or "elsewhere" in line]


def test_pip_gets_the_indexes_but_no_files_of_the_machine(settings):
    (settings.home / ".config/pip").mkdir(parents=True)
    (settings.home / ".config/pip/pip.conf").write_text(
        "[global]\nindex-url = https://index.test/simple\ncert = /etc/mine.pem\n"
        "find-links = /opt/wheels\n    https://wheels.test/\nextra-index-url = file:///opt/simple\n"
        "[install]\nuser = yes\n"
    )
    lines = settings()[0][PIP_SETTINGS].decode().splitlines()
    assert lines[0] == "[global]"
    assert {"index-url = https://index.test/simple", "find-links = https://wheels.test/"} <= set(lines)
    assert not [line for line in lines if "/opt" in line or "mine.pem" in line or "user" in line]
    lines = settings(PIP_INDEX_URL="https://other.test/simple")[0][PIP_SETTINGS].decode().splitlines()
    assert "index-url = https://other.test/simple" in lines


def test_npm_gets_the_registry_and_no_token(settings):
    (settings.home / ".npmrc").write_text("//npm.test/:_authToken=secret\nregistry=https://npm.test/\n")
    files, binds, environment = settings()
    assert environment["npm_config_registry"] == "https://npm.test/"
    assert "secret" not in repr((files, binds, environment))
    assert settings(npm_config_registry="https://n.test/")[2]["npm_config_registry"] == "https://n.test/"


def test_broken_settings_of_pip_are_passed_over(settings):
    (settings.home / ".pip").mkdir()
    (settings.home / ".pip/pip.conf").write_text("no section\n")
    (settings.home / ".npmrc").write_bytes(b"registry=\xff\n")
    assert "npm_config_registry" not in settings()[2]

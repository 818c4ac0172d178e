"""One day in an instance of Debian: what somebody did by hand becomes lines that give the same."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from tests.conftest import DEBIAN
from tests.drift.conftest import Hands
from tests.packages.conftest import Server
from tests.packages.repository import Repository
from tests.packages.wheels import Index

pytestmark = [pytest.mark.namespaces, pytest.mark.mirror, pytest.mark.slow]
PIP = "/opt/venv/bin/pip install --quiet --disable-pip-version-check"


@pytest.fixture
def index(server_of_wheels: Server) -> Index:
    index = Index(server_of_wheels)
    index.add("alpha", "1.0", ("beta",))
    index.add("beta", "2.0")
    index.add("gamma", "1.0")
    return index


@pytest.fixture
def server_of_wheels():
    server = Server()
    yield server
    server.close()


@pytest.fixture
def hands(debian, index):
    """Instances of Debian; whatever runs in the end is ended."""
    debian.environment |= {"PIP_INDEX_URL": index.url, "PIP_EXTRA_INDEX_URL": "", "PIP_FIND_LINKS": ""}
    assert debian.build("from image:python", "expose 80").code == 0
    hands = Hands(debian)
    hands.start("web", "one", "--network", "host")
    yield hands
    hands.end()


@pytest.mark.nightly  # a minute: a day of real packages; tests below and test_commit.py have each kind
def test_packages_users_and_files_become_lines_that_give_the_same(hands, index):
    hands.change(
        "export DEBIAN_FRONTEND=noninteractive; apt-get update -qq -o Acquire::Languages=none;"
        "apt-get install -qq --no-install-recommends hello jq;"
        f"python3 -m venv /opt/venv; {PIP} --index-url {index.url} alpha;"
        "adduser --disabled-password --gecos '' app; su app -c 'echo mine > ~/notes'; dpkg --purge tzdata;"
        "echo '# by hand' >> /etc/bash.bashrc; rm /etc/motd; mkdir /etc/app; echo a=1 > /etc/app/conf;"
        "chown -R app:app /etc/app; chmod 600 /etc/app/conf; echo line > /var/log/app.log; /opt/venv/bin/alpha"
    )
    (report,) = hands.drift("web")[1]
    assert {row["name"].partition(":")[0] for row in report["diff"]["packages"]} == {
        *("hello", "jq", "libjq1", "libonig5", "tzdata", "alpha", "beta", "pip", "setuptools")
    }
    done = hands.commit("--fetch")
    lines = hands.recipe()
    assert lines[1].startswith("apt hello=")
    assert " jq=" in lines[1]
    assert "libjq1" not in lines[1]
    assert lines[2:6] == [
        "run dpkg --purge tzdata",
        "run /usr/bin/python3 -m venv /opt/venv",
        "pip(into=/opt/venv) alpha==1.0",
        "adduser app uid=1000 groups=users",
    ]
    assert "copy(owner=app, mode=0600) web-one.files/etc/app/conf -> /etc/app/conf" in lines
    assert "    rm -rf -- /etc/motd" in lines
    assert not any("/etc/passwd" in line for line in lines)
    assert done["dropped"] == []
    assert {row["path"] for row in done["not_expressed"] if row["why"] == "secret"} == {"/etc/shadow"}
    assert {row["why"] for row in done["not_expressed"]} <= {"secret", "record", "script", "accounts"}
    said = {row["path"] for row in done["not_expressed"]}
    left = {path for path, row in hands.rebuilt(done).items() if path not in said and row["what"] != ["time"]}
    kinds = ("/var/log/", "/var/cache/", "/var/lib/apt/lists", "/var/lib/dpkg/", "/run/", "/root/.cache")
    assert [path for path in left if not path.startswith(kinds) and "__pycache__" not in path and path[-1] != "-"] == []
    run = hands.project.command(
        "run", "web-one", "--", "sh", "-c", "hello; /opt/venv/bin/alpha; ls /usr/share/zoneinfo"
    )
    assert run.out == "Hello, world!\nalpha 1.0\n"


def test_what_no_mirror_has_is_copied(small_mirror, hands):
    folder = hands.project.folder / "mine"
    (folder / "DEBIAN").mkdir(parents=True)
    (folder / "DEBIAN/control").write_text(
        "Package: mine\nVersion: 1.0\nArchitecture: all\nMaintainer: Ada <ada@example.test>\nDescription: mine\n"
    )
    (folder / "usr/share/mine").mkdir(parents=True)
    (folder / "usr/share/mine/hi").write_text("hi\n")
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-b", folder, folder.parent / "mine.deb"], check=True, capture_output=True
    )
    content = (folder.parent / "mine.deb").read_bytes()
    done = hands.project.command(
        *("exec", "one", "--", "sh", "-c", "cat > /tmp/mine.deb; dpkg -i /tmp/mine.deb; dpkg --purge tzdata"),
        stdin=content,
    )
    assert done.code == 0, done.err
    committed = hands.commit("--fetch")
    assert [row["line"] for row in committed["dropped"]] == ["apt mine=1.0"]
    assert "copy web-one.files/usr/share/mine/ -> /usr/share/mine/" in hands.recipe()
    assert "run dpkg --purge tzdata" in hands.recipe()
    said = {row["path"] for row in committed["not_expressed"]}
    assert not {path for path in hands.rebuilt(committed) if "mine" in path} - said
    assert "mine" in hands.project.command("packages", "web-one").out


def test_what_pip_installed_for_a_user_and_for_the_system_is_installed_again(small_mirror, compiled_pip, hands, index):
    assert hands.project.build("from image:compiled-pip", "expose 80", name="pip.env").code == 0
    hands.start("pip", "two", "--network", "host")
    install = f"python3 -m pip install --quiet --break-system-packages --index-url {index.url}"
    hands.change(
        f"adduser --disabled-password --gecos '' app; su app -c '{install} --user alpha'; {install} --user beta;"
        f"{install} gamma",
        "two",
    )
    done = hands.project.command("commit", "two", "--fetch")
    assert done.code == 0, done.err
    lines = hands.recipe("pip-two")
    options = "--no-deps --only-binary=:all: --no-cache-dir --break-system-packages"
    assert f"run(network, user=app) python3 -m pip install --user {options} alpha==1.0 beta==2.0" in lines
    assert f"run(network) python3 -m pip install --user {options} beta==2.0" in lines
    assert f"run(network) python3 -m pip install {options} gamma==1.0" in lines
    assert lines.index("adduser app uid=1000 groups=users") < 3
    assert not any("alpha" in line or "beta" in line for line in lines if line.startswith("copy"))
    assert hands.project.build(name="pip-two.env").code == 0
    run = hands.project.command("run", "-u", "app", "pip-two", "--", "sh", "-c", "~/.local/bin/alpha")
    assert run.out == "alpha 1.0\n"


@pytest.mark.nightly  # apt over a whole Debian, five times
@pytest.mark.root
def test_versions_that_only_go_with_each_other_go_back_together(hands, server_of_wheels, tmp_path):
    own = Repository(server_of_wheels, tmp_path / "own", "debian-own", "bookworm")
    for version in ("1.0-1", "2.0-1"):
        own.add("own-clock", version, f"own-data (<< {int(version[0]) + 1}), own-data (>= {version[0]})")
        own.add("own-data", version, f"own-clock (<< {int(version[0]) + 1}), own-clock (>= {version[0]})")
    settings = tmp_path / "apt"
    shutil.copytree("/etc/apt", settings)
    (settings / "sources.list.d/own.list").write_text(f"{own.source}\n")
    base = hands.project.build(DEBIAN, f'apt(source="{own.source}") own-clock', name="own.env")
    assert base.code == 0, base.out
    hands.start("own", "two", "--network", "host")
    files = [f"own-{part}_1.0-1_all.deb" for part in ("clock", "data")]
    for name in files:
        content = (tmp_path / "own" / name).read_bytes()
        copied = hands.project.command("exec", "two", "--", "sh", "-c", f"cat > /{name}", stdin=content)
        assert copied.code == 0
    hands.change(f"dpkg --force-downgrade -i /{files[0]} /{files[1]}; rm /{files[0]} /{files[1]}", "two")
    script = f"mount --bind {settings} /etc/apt && exec {sys.executable} -m envbuild commit two --fetch"
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script],
        cwd=hands.project.folder,
        env=hands.project.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "apt own-clock=1.0-1 own-data=1.0-1" in hands.recipe("own-two")
    assert not any(line.startswith("copy") for line in hands.recipe("own-two"))

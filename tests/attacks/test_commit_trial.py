"""`commit` tries lines about packages that an instance says it has: only after a question, and never where it says."""

import os
import pty
import subprocess
import sys

import pytest

from tests.attacks.test_package_names import fake_python
from tests.drift.conftest import Hands
from tests.instances.instances import ended

pytestmark = pytest.mark.namespaces

# Asks whatever address it is given, as pip would: of a requirement, of its settings, of its variables.
ASKS_ALL = """
for url in $(grep -o 'http://[^ ",#]*' /run/envbuild/order.json) $PIP_INDEX_URL $PIP_EXTRA_INDEX_URL; do
    wget -q -O /dev/null "$url"
done
[ "$PIP_CONFIG_FILE" = /dev/null ] || wget -q -O /dev/null "$(cat /etc/pip.conf)"
exit 1
"""
OWN = ["/own/alpha/", "/own"]
"""What is asked of the user's index: which servers have the files, and by the resolver, which is refused."""


@pytest.fixture(scope="module")
def asking(server):
    """Makes an image whose Python asks the attacker's server."""

    def image_that_asks(project) -> None:
        fake_python(project, ASKS_ALL)
        project.write("pip.conf", f"{server.url}/settings-of-the-tree")
        done = project.build(
            "copy fake/python3 -> /bin/python3",
            "copy pip.conf -> /etc/pip.conf",
            f"env PIP_EXTRA_INDEX_URL={server.url}/variable-of-the-image",
            "run mkdir -p /tmp /srv",
        )
        assert done.code == 0, done.err

    return image_that_asks


@pytest.fixture
def hands(project, attacker, asking, made_once, tmp_path):
    project.environment |= {"PIP_INDEX_URL": f"{attacker.url}/own", "PIP_EXTRA_INDEX_URL": "", "PIP_FIND_LINKS": ""}
    with made_once.again(project, asking, tmp_path / "made"), ended(project):
        trial_hands = Hands(project)
        trial_hands.start()
        yield trial_hands


def plant(hands: Hands, name: str, version: str = "1.0") -> None:
    hands.change(
        "mkdir -p /opt/venv/lib/python3.11/site-packages/x-1.dist-info; cd /opt/venv; echo home = /bin > pyvenv.cfg;"
        "cd lib/python3.11/site-packages/x-1.dist-info; touch REQUESTED;"
        f"printf 'Name: {name}\\nVersion: {version}\\n\\n' > METADATA"
    )


def commit_on_a_terminal(hands: Hands, answer: bytes) -> tuple[int, str]:
    ours, theirs = pty.openpty()
    try:
        os.write(ours, answer)
        done = subprocess.run(
            [sys.executable, "-m", "envbuild", "commit", "one"],
            cwd=hands.project.folder,
            env=hands.project.environment,
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=theirs,
            timeout=120,
            check=False,
        )
        return done.returncode, os.read(ours, 1 << 16).decode(errors="replace")
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize(
    ("name", "version"),
    [("x @ {url}/evil-1.0.tar.gz #", "1.0"), ("x", "1.0 @ {url}/evil"), ("x;{url}/evil", "1"), ("x", "=1,{url}/evil")],
)
def test_an_address_for_a_name_is_no_package(hands, attacker, name, version):
    plant(hands, name.format(url=attacker.url), version.format(url=attacker.url))
    done = hands.commit("--fetch")
    assert [path for path in attacker.asked if "evil" in path] == []
    assert "evil" not in "\n".join(hands.recipe())
    assert done["not_expressed"] == []


def test_without_a_terminal_nothing_is_fetched_unless_an_option_allows_it(hands, attacker):
    plant(hands, "alpha")
    refused = hands.refused("commit", "one")
    assert refused.code == 2
    assert "pip(into=/opt/venv) alpha==1.0" in refused.err
    for option in ("--fetch", "--no-build", "--no-recipe"):
        assert option in refused.err
    assert attacker.asked == []
    assert not (hands.project.folder / "web-one.env").exists()
    assert hands.project.command("show", "web:one").code != 0


def test_only_the_users_own_settings_say_where_packages_come_from(hands, attacker):
    plant(hands, "alpha")
    done = hands.commit("--fetch")
    assert attacker.asked == OWN
    assert [line["line"] for line in done["dropped"]] == ["pip(into=/opt/venv) alpha==1.0"]


@pytest.mark.parametrize(("answer", "asked"), [(b"n\n", []), (b"\n", []), (b"y\n", OWN)])
def test_on_a_terminal_the_user_is_asked(hands, attacker, answer, asked):
    plant(hands, "alpha")
    code, shown = commit_on_a_terminal(hands, answer)
    assert code == 0, shown
    assert "pip(into=/opt/venv) alpha==1.0" in shown
    assert attacker.asked == asked
    text = hands.read()
    assert "copy web-one.files/opt/" in text


def test_what_needs_no_fetching_is_tried_without_a_question(hands, attacker):
    hands.change("echo 1 > /srv/x; echo 'mine:x:77:77::/home/mine:/bin/sh' >> /etc/passwd")
    assert hands.commit()["checked"]
    assert attacker.asked == []


@pytest.mark.parametrize(
    "command",
    ["wget -m venv /opt/venv", "/usr/bin/python3 -m venv --upgrade-deps /opt/venv", "/bin/x/../sh -m venv /opt/venv"],
)
def test_the_command_of_an_environment_is_one_of_venv(hands, command):
    plant(hands, "pip")
    hands.change(f"echo 'command = {command}' >> /opt/venv/pyvenv.cfg")
    hands.commit("--no-build")
    assert command not in hands.read()
    assert "python3 -m venv /opt/venv" in hands.read()

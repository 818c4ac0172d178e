"""/etc/hosts in steps: `localhost` and the host name resolve, nothing of this machine shows, and no snapshot has it."""

import socket

import pytest

from tests.netcat import answer_once, ask

pytestmark = pytest.mark.namespaces

DEFAULT = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.0.1\tenvbuild\n"
OWN = "10.0.0.1\tdb\n"


@pytest.mark.user
def test_names_resolve_without_a_network(project):
    listen = f"(for name in 1 2; do {answer_once('hi', 8080)}; done) &"
    done = project.build(f"run {listen} {ask('localhost', 8080)}; {ask('$(hostname)', 8080)}", "run cat /etc/hosts")
    assert (done.code, done.printed) == (0, "hi\nhi\n" + DEFAULT)
    assert set(project.ls("/etc")) == {"passwd", "group"}


@pytest.mark.user
def test_with_a_network_the_names_of_the_machine_do_not_show(project):
    done = project.build("run(network) cat /etc/hosts")
    assert (done.code, done.printed) == (0, DEFAULT)
    assert socket.gethostname() in ("envbuild", "localhost") or socket.gethostname() not in done.printed
    assert set(project.ls("/etc")) == {"passwd", "group"}


def test_a_tree_with_its_own_is_shown_one_line_more_and_keeps_its_own(project):
    done = project.build(
        "file /etc/hosts", f"    {OWN.strip()}", "run cat /etc/hosts; touch -r /bin /x", "run(network) cat /etc/hosts"
    )
    assert (done.code, done.printed) == (0, f"{OWN}127.0.0.1\tenvbuild\n" * 2)
    assert project.cat("/etc/hosts") == OWN
    tree = project.show()["tree"]
    without = project.build("file /etc/hosts", f"    {OWN.strip()}", "run touch -r /bin /x")
    assert without.code == 0
    assert project.show()["tree"] == tree


def test_what_a_step_writes_is_kept_and_what_was_put_there_is_not(project):
    done = project.build(
        "run chown -R root /etc; chmod 644 /etc/hosts; touch /etc/hosts",
        "run echo 10.0.0.2 queue >> /etc/hosts",
        "run printf '10.0.0.3 cache' >> /etc/hosts",
        "run chmod 600 /etc/hosts; cat /etc/hosts",
    )
    kept = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n10.0.0.2 queue\n10.0.0.3 cache"
    assert (done.code, done.printed) == (0, f"{kept}\n127.0.0.1\tenvbuild\n")
    assert project.cat("/etc/hosts") == kept
    assert project.ls("/etc")["hosts"]["mode"] == "0600"


@pytest.mark.user
def test_a_removed_file_comes_back_for_the_next_step_alone(project):
    done = project.build(
        "file /etc/hosts", f"    {OWN.strip()}", "run true > /x", "run rm /etc/hosts", "run cat /etc/hosts"
    )
    assert (done.code, done.printed) == (0, DEFAULT)
    assert "hosts" not in project.ls("/etc")


@pytest.mark.user
@pytest.mark.parametrize(
    "make",
    [
        "ln -s /etc/passwd /etc/hosts",
        "mkfifo /etc/hosts",
        "mkdir /etc/hosts",
        "rm -r /etc",
        "mv /etc /e; ln -s e /etc",
        "head -c 2000000 /dev/zero > /etc/hosts",
    ],
)
def test_an_odd_tree_stays_as_it_is(project, make):
    remove = "rm -f /etc/hosts; " if "/etc/hosts" in make else ""
    done = project.build(f"run {remove}{make}", "run touch -r /bin /x")
    assert done.code == 0, done.out
    before = project.ls("/")
    assert project.build(f"run {remove}{make}").code == 0
    after = project.ls("/")
    assert {name: entry for name, entry in before.items() if name != "x"} == after
    assert project.command("cat", "web", "/bin/sh").code == 0


def test_a_tree_without_etc_has_none(project):
    done = project.build("run rm -r /etc", "run mkdir /etc && ls -a /etc")
    assert (done.code, done.printed.split()) == (0, [".", ".."])

"""What instances reach: each other by name in a network of their own, the outside, and nothing else."""

import json
import os
import shutil
import signal
import socket
import threading

import pytest

from tests import poor_machines
from tests.conftest import wait_for
from tests.instances.instances import WAITING, run, state, supervisor_of
from tests.netcat import answer_all, answer_once
from tests.processes import alive_with

pytestmark = pytest.mark.namespaces


def serve(image, name: str, network: str, *options: str) -> None:
    """An instance that says its name to whoever connects to its port 80."""
    run(image, "--network", network, *options, "web", "--", "sh", "-c", answer_all(name, 80), name=name)


def reaches(image, name: str, other: str) -> str:
    """What an instance hears from another one's port 80."""
    command = f"nc {other} 80 < /dev/null & p=$!; sleep 0.3; kill $p 2> /dev/null; wait"
    return image.command("exec", name, "--", "sh", "-c", command).out


def hosts(image, name: str) -> dict[str, str]:
    """The names that an instance knows, and their addresses."""
    lines = image.command("exec", name, "--", "cat", "/etc/hosts").out.splitlines()
    return {word: words[0] for words in map(str.split, lines) for word in words[1:] if words[0].startswith("10.")}


class TestNamed:
    @pytest.mark.user
    def test_members_reach_each_other_by_name_both_ways(self, image):
        serve(image, "one", "shop")
        serve(image, "two", "shop")
        assert wait_for(lambda: reaches(image, "one", "two") == "two\n")
        assert wait_for(lambda: reaches(image, "two", "one") == "one\n")
        assert set(hosts(image, "one")) == {"one", "two"}
        assert hosts(image, "one")["two"] == state(image, "two")["address"]
        third = image.command("run", "--network", "shop", "--name", "third", "web", "--", "cat", "/etc/hosts")
        assert "third" in third.out
        assert wait_for(lambda: set(hosts(image, "two")) == {"one", "two"})

    def test_ports_lead_to_members_too(self, image):
        serve(image, "one", "shop", "-p", "127.0.0.1:0:80")
        port = state(image)["ports"][0]["port"]

        def said() -> bytes:
            with socket.create_connection(("127.0.0.1", port), timeout=60) as link:
                return link.recv(10)

        assert wait_for(lambda: said() == b"one\n")

    @pytest.mark.user
    @pytest.mark.parametrize("end", ["stop", "kill"])
    def test_the_first_may_go_and_the_others_stay(self, image, end):
        for name in ("one", "two", "three"):
            serve(image, name, "shop")
        if end == "stop":
            image.command("stop", "--time", "0.1", "one")
        else:
            os.kill(supervisor_of(image), signal.SIGKILL)
            assert wait_for(lambda: state(image)["state"] == "lost")
        assert wait_for(lambda: reaches(image, "two", "three") == "three\n")
        serve(image, "four", "shop")
        assert wait_for(lambda: reaches(image, "four", "two") == "two\n")
        assert set(hosts(image, "two")) == {"two", "three", "four"}

    def test_who_was_killed_is_forgotten_when_somebody_looks(self, image):
        serve(image, "one", "shop")
        serve(image, "two", "shop")
        os.kill(supervisor_of(image), signal.SIGKILL)
        assert wait_for(lambda: state(image)["state"] == "lost")
        assert image.command("ps").code == 0
        assert set(hosts(image, "two")) == {"two"}

    def test_it_is_gone_with_its_last_member(self, image):
        serve(image, "one", "shop")
        folder = image.store / "networks"
        assert (folder / "shop").is_dir()
        image.command("stop", "--time", "0.1", "one")
        assert wait_for(lambda: not (folder / "shop").exists())

    @pytest.mark.user
    def test_what_a_crash_left_is_cleaned_by_the_next(self, image):
        serve(image, "one", "shop")
        serve(image, "two", "shop")
        for name in ("one", "two"):
            os.kill(supervisor_of(image, name), signal.SIGKILL)
        assert wait_for(lambda: {state(image, name)["state"] for name in ("one", "two")} == {"lost"})
        serve(image, "three", "shop")
        assert set(hosts(image, "three")) == {"three"}
        assert image.command("start", "one", "two").code == 0
        assert wait_for(lambda: reaches(image, "three", "one") == "one\n")

    def test_a_restart_keeps_the_address(self, image):
        command = answer_once("one", 80)
        run(image, "--network", "shop", "--restart", "always", "web", "--", "sh", "-c", command)
        serve(image, "two", "shop")
        address = hosts(image, "two")["one"]
        for _ in range(2):
            assert wait_for(lambda: reaches(image, "two", "one") == "one\n")
        assert hosts(image, "two")["one"] == address

    @pytest.mark.user
    def test_networks_are_apart_and_the_host_is_out_of_reach(self, image):
        serve(image, "one", "shop")
        serve(image, "two", "office")
        address = state(image)["address"]
        assert address.rsplit(".", 1)[0] != state(image, "two")["address"].rsplit(".", 1)[0]
        assert reaches(image, "two", address) == ""
        assert set(hosts(image, "two")) == {"two"}
        with socket.create_server(("0.0.0.0", 0)) as server:
            port = server.getsockname()[1]
            gateway = address.rsplit(".", 1)[0] + ".1"
            for target in ("127.0.0.1", gateway):
                command = f"nc {target} {port} < /dev/null & p=$!; sleep 0.2; kill $p 2> /dev/null"
                image.command("exec", "one", "--", "sh", "-c", command)
            server.settimeout(0.1)
            with pytest.raises(TimeoutError):
                server.accept()

    def test_several_that_start_at_once_agree(self, image):
        names = [f"at-once-{number}" for number in range(4)]
        threads = [threading.Thread(target=serve, args=(image, name, "shop")) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(hosts(image, names[0])) == set(names)
        assert len({state(image, name)["address"] for name in names}) == 4

    def test_the_name_must_be_one(self, image):
        done = image.command("run", "--network", "../shop", "web", "--", "true")
        assert (done.code, "a network" in done.err) == (2, True)


def with_only(image, tool: str, *words: str):
    """Runs envbuild as on a machine that has this program and not the others."""
    return image.call(poor_machines.with_one_way_out, tool, *words)


def why_not(tool: str) -> str:
    if shutil.which(tool) is None:
        return f"{tool} is not installed"
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        return "/dev/net/tun may not be opened"
    return "" if _has_route() else "this machine has no default route"


def _has_route() -> bool:
    with open("/proc/net/route") as file:
        return any(line.split()[1] == "00000000" for line in file.readlines()[1:])


def own_address() -> str:
    """This machine's address that its default route uses: nothing is sent to find it out (udp(7))."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("192.0.2.1", 9))
        return client.getsockname()[0]


@pytest.fixture(params=["pasta", "slirp4netns"])
def tool(request) -> str:
    """Each program that can give an instance a way out, as if it were the only one."""
    reason = why_not(request.param)
    if reason:
        pytest.skip(reason)
    return request.param


@pytest.mark.user
class TestPrivate:
    def test_it_reaches_out_and_not_the_hosts_loopback(self, image, tool):
        address = own_address()
        with socket.create_server((address, 0)) as out, socket.create_server(("127.0.0.1", 0)) as loop:
            seen = [out.getsockname()[1], loop.getsockname()[1]]
            command = f"cat /etc/resolv.conf; nc {address} {seen[0]} < /dev/null; " + "".join(
                f"nc {target} {seen[1]} < /dev/null & p=$!; sleep 0.3; kill $p 2> /dev/null; wait; "
                for target in ("10.0.2.2", "10.0.2.3", address)
            )
            out.settimeout(60)
            came: list[bool] = []

            def let_in() -> None:
                out.accept()[0].close()  # which ends the first nc
                came.append(True)

            thread = threading.Thread(target=let_in)
            thread.start()
            done = with_only(image, tool, "run", "--network", "private", "web", "--", "sh", "-c", command)
            assert "nameserver 10.0.2.3\n" in done.stdout, done.stderr
            thread.join()
            assert came
            loop.settimeout(0.1)
            with pytest.raises(TimeoutError):
                loop.accept()

    @pytest.mark.parametrize("end", ["stop", "kill"])
    def test_the_program_ends_with_the_instance(self, image, tool, end):
        words = ("run", "-d", "--name", "one", "--network", "private", "web", "--", "sh", "-c", WAITING)
        assert with_only(image, tool, *words).returncode == 0
        above = supervisor_of(image)
        started = alive_with("--ready-fd", below=above) + alive_with("--no-map-gw", below=above)
        assert started
        if end == "stop":
            image.command("stop", "one")
        else:
            os.kill(above, signal.SIGKILL)
        assert wait_for(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in started))

    def test_restarts_have_a_way_out_again(self, image, tool):
        words = ("run", "-d", "--name", "one", "--network", "private", "--restart", "on-failure:2", "web")
        assert with_only(image, tool, *words, "--", "sh", "-c", "cat /proc/net/route; exit 1").returncode == 0
        assert image.command("wait", "one").code == 1
        assert image.command("logs", "one").out.count("00000000\t0202000A") == 3


def test_a_machine_without_such_a_program_says_what_to_install(image):
    done = with_only(image, "neither", "run", "--network", "private", "web", "--", "true")
    assert (done.returncode, "apt-get install passt" in done.stderr) == (3, True)


@pytest.mark.user
def test_no_network_is_a_loopback_alone(image):
    done = image.command("run", "web", "--", "cat", "/proc/net/dev")
    assert [line.split(":")[0].strip() for line in done.out.splitlines()[2:]] == ["lo"]
    assert json.loads(image.command("ps", "--all", "--format", "json").out) == []

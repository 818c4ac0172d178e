"""Ports of instances on the host, as their clients find them."""

import json
import os
import select
import shutil
import socket
import struct
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from envbuild.errors import UsageError
from envbuild.instances.network.port_traffic import PortTraffic, traffic_of_ports
from envbuild.instances.network.ports import Port, exposed, parse_ports
from envbuild.instances.network.udp_relay import IDLE, MAX_FLOWS, UdpRelay
from tests.conftest import wait_for
from tests.instances.instances import WAITING, own_file, run, state, supervisor_of
from tests.netcat import answer_all, answer_once, ask

pytestmark = pytest.mark.namespaces
SERVER = Path(__file__).parent / "echo_server.py"
PYTHON = ("-v", "/usr:/usr:ro", "-v", "/lib:/lib:ro", *(("-v", "/lib64:/lib64:ro") if os.path.isdir("/lib64") else ()))


@pytest.fixture
def server(image):
    """Starts an instance whose command echoes on the ports 80 and 81, on 86 of IPv6 alone, and datagrams on 53."""
    if not os.path.exists("/usr/bin/python3"):
        pytest.skip("there is no /usr/bin/python3")

    def start(*options: str) -> list[int]:
        shutil.copy(SERVER, image.folder / "server.py")
        words = (*options, *PYTHON, "-v", f"{image.folder}/server.py:/server.py:ro")
        run(image, *words, "web", "--", "/usr/bin/python3", "/server.py")
        ports = [port["port"] for port in state(image)["ports"]]
        assert wait_for(own_file(image, "ready").exists)
        return ports

    return start


def talk(port: int, data: bytes, host: str = "127.0.0.1") -> bytes:
    """What an echoing service answers in all."""
    with socket.create_connection((host, port), timeout=60) as link:

        def send() -> None:
            try:
                link.sendall(data)
                link.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # told where it is received

        sender = threading.Thread(target=send)
        sender.start()
        received = bytearray()
        try:
            while chunk := link.recv(1 << 20):
                received += chunk
        finally:
            sender.join()
    return bytes(received)


def room(link: socket.socket) -> bool:
    """Whether more can be sent, or soon can."""
    return bool(select.select([], [link], [], 0.5)[1])


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


class TestMapping:
    @pytest.mark.parametrize(
        ("text", "ports"),
        [
            ("8080:80", [Port("0.0.0.0", 8080, 80, "tcp")]),
            ("80", [Port("0.0.0.0", 0, 80, "tcp")]),
            ("127.0.0.1::80", [Port("127.0.0.1", 0, 80, "tcp")]),
            ("127.0.0.1:0:53/udp", [Port("127.0.0.1", 0, 53, "udp")]),
            ("[::1]:8080:80", [Port("::1", 8080, 80, "tcp")]),
            ("8000-8001:80-81", [Port("0.0.0.0", 8000, 80, "tcp"), Port("0.0.0.0", 8001, 81, "tcp")]),
            ("80-81/udp", [Port("0.0.0.0", 0, 80, "udp"), Port("0.0.0.0", 0, 81, "udp")]),
        ],
    )
    def test_what_is_written_and_what_it_means(self, text, ports):
        assert list(parse_ports(text)) == ports

    @pytest.mark.parametrize(
        "text",
        [
            "x:80",
            "1:2:3:4:5",
            "80:0",
            "99999:80",
            "80:80/sctp",
            "80:80/",
            "8000-8002:80-81",
            "9-8:80-81",
            "",
            "::1:80:80",
        ],
    )
    def test_nonsense_is_refused(self, text):
        with pytest.raises(UsageError):
            parse_ports(text)

    def test_what_is_exposed_and_not_mapped_yet(self):
        given = parse_ports("8080:80")
        assert exposed(("80", "53/udp", "443/tcp"), given) == (*parse_ports("53/udp"), *parse_ports("443"))


class TestService:
    @pytest.mark.user
    def test_it_answers_on_the_host_until_it_is_stopped(self, image, server):
        (port,) = server("-p", "127.0.0.1:0:80")
        assert talk(port, b"hello") == b"hello"
        image.command("stop", "one")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=1)

    def test_much_goes_both_ways_and_ends_are_passed_on(self, server):
        (port,) = server("-p", "127.0.0.1:0:80")
        data = os.urandom(5_000_000)
        assert talk(port, data) == data

    def test_what_goes_through_counts_while_it_does_and_in_each_start_anew(self, image, server):
        def net() -> tuple[int, int]:
            (row,) = json.loads(image.command("stats", "--format", "json").out)
            return row["received"], row["sent"]

        web, names = server("-p", "0:80", "-p", "0:53/udp")
        assert net() == (0, 0)
        with socket.create_connection(("127.0.0.1", web), timeout=60) as link, link.makefile("rb") as echoed:
            # Copied, for it is one message; and moved without being copied.
            for size, both in ((10, 10), (5_000_000, 5_000_010)):
                sender = threading.Thread(target=link.sendall, args=(b"x" * size,))
                sender.start()
                assert len(echoed.read(size)) == size
                sender.join()
                assert wait_for(lambda both=both: net() == (both, both))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(60)
            client.sendto(b"name", ("127.0.0.1", names))
            assert client.recv(10) == b"NAME"
        assert wait_for(lambda: net() == (5_000_014, 5_000_014))
        folder = f"{image.store}/instances/{state(image)['id']}"
        assert "4.8 MiB / 4.8 MiB" in image.command("stats", "--no-stream").out
        assert image.command("stop", "--time", "0", "one").code == 0
        assert traffic_of_ports(folder) == (5_000_014, 5_000_014)
        assert image.command("start", "one").code == 0
        assert wait_for(lambda: traffic_of_ports(folder) == (0, 0))

    def test_on_ipv6_outside_and_inside(self, server):
        if not os.path.exists("/proc/net/if_inet6"):
            pytest.skip("this machine has no IPv6")
        outside, inside = server("-p", "[::1]:0:80", "-p", "127.0.0.1:0:86")
        assert talk(outside, b"six", "::1") == b"six"
        assert [talk(inside, b"six") for _ in range(3)] == [b"six"] * 3

    def test_a_range(self, server):
        first, second = server("-p", "127.0.0.1::80-81")
        assert (talk(first, b"a"), talk(second, b"b")) == (b"a", b"b")

    def test_nobody_listens_inside(self, server):
        (port,) = server("-p", "127.0.0.1:0:99")
        # One thread alone asks: whichever call comes first is told, and no other.
        with pytest.raises(ConnectionResetError), socket.create_connection(("127.0.0.1", port), timeout=60) as link:
            link.recv(1)

    def test_many_connections_at_once_and_many_in_turn(self, image, server):
        (port,) = server("-p", "127.0.0.1:0:80")
        pid = supervisor_of(image)
        assert talk(port, b"x") == b"x"
        before = descriptors(pid)
        links = [socket.create_connection(("127.0.0.1", port), timeout=60) for _ in range(200)]
        for number, link in enumerate(links):
            link.sendall(str(number).encode())
        assert [link.recv(100) for link in links] == [str(number).encode() for number in range(200)]
        for link in links:
            link.close()
        for _ in range(200):
            with socket.create_connection(("127.0.0.1", port), timeout=60) as link:
                link.sendall(b"x")
                assert link.recv(1) == b"x"
        assert wait_for(lambda: descriptors(pid) <= before + 32)  # the stock of sockets may differ

    def test_a_slow_reader_is_waited_for_and_others_are_served(self, server):
        (port,) = server("-p", "127.0.0.1:0:80")
        with socket.create_connection(("127.0.0.1", port), timeout=60) as slow:
            slow.setblocking(False)
            sent = 0
            while room(slow):
                sent += slow.send(bytes(1 << 16))
            assert talk(port, b"others") == b"others"
            slow.settimeout(60)
            slow.shutdown(socket.SHUT_WR)
            received = 0
            while chunk := slow.recv(1 << 20):
                received += len(chunk)
        assert received == sent

    def test_what_breaks_off_is_reset_on_the_other_side(self, image, server):
        (port,) = server("-p", "127.0.0.1:0:80")
        with socket.create_connection(("127.0.0.1", port), timeout=60) as link:
            link.sendall(b"x")
            assert link.recv(1) == b"x"
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert wait_for(own_file(image, "reset").exists)

    def test_restarts_keep_the_port(self, image):
        command = ("sh", "-c", answer_once("hello", 80))
        run(image, "-p", "127.0.0.1:0:80", "--restart", "always", "web", "--", *command)
        port = state(image)["ports"][0]["port"]
        assert wait_for(lambda: said(port) == b"hello\n")
        assert wait_for(lambda: said(port) == b"hello\n")
        restarted = state(image)
        assert (restarted["restarts"] >= 1, restarted["ports"][0]["port"]) == (True, port)

    def test_in_the_foreground_too(self, image):
        with listening() as number:
            pass
        # A connection that comes too early may be the one that nc answers, and be reset before it reads.
        serving = f"until [ -e /over ]; do {answer_once('hi', 80)}; done"
        process = image.start(
            "run", "--name", "front", "-p", f"127.0.0.1:{number}:80", "web", "--", "sh", "-c", serving
        )
        assert wait_for(lambda: said(number) == b"hi\n")
        image.command("exec", "front", "--", "touch", "/over")
        assert wait_for(lambda: said(number) != b"" or process.poll() is not None)
        assert process.wait(60) == 0


def said(port: int) -> bytes:
    """What a service says by itself; b"" if it is not there."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=60) as link:
            link.shutdown(socket.SHUT_WR)
            return link.recv(100)
    except OSError:
        return b""


@contextmanager
def listening():
    """A port that somebody has."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


class TestDatagrams:
    @pytest.mark.user
    def test_each_sender_gets_its_own_answers(self, server):
        (port,) = server("-p", "127.0.0.1:0:53/udp")
        senders = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(40)]
        for number, sender in enumerate(senders):
            sender.settimeout(60)
            sender.connect(("127.0.0.1", port))
            sender.send(f"from {number}".encode())
        assert [sender.recv(100) for sender in senders] == [f"FROM {number}".encode() for number in range(40)]
        for sender in senders:
            sender.close()

    def test_who_is_silent_or_one_too_many_is_forgotten(self, monkeypatch):
        """Without a sandbox: the sockets inside are plain ones here."""
        now = [1000.0]
        monkeypatch.setattr("time.monotonic", lambda: now[0])
        watched = []
        flows = UdpRelay(
            PortTraffic(""),
            lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
            watched.append,
            watched.remove,
        )
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener, listening() as nobody:
            listener.bind(("127.0.0.1", 0))
            listener.setblocking(False)
            monkeypatch.setattr("envbuild.instances.network.udp_relay.MAX_FLOWS", 3)
            for _ in range(5):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                    sender.sendto(b"x", listener.getsockname())
                    flows.arrive(nobody, listener)
                now[0] += 1
            assert (len(flows), len(watched)) == (3, 3)
            flows.expire()
            assert len(flows) == 3
            now[0] += IDLE - 1.5
            flows.expire()
            assert (len(flows), len(watched)) == (1, 1)
            flows.clear()
        assert MAX_FLOWS > 3


class TestTaken:
    def test_a_port_that_is_taken_is_told_before_anything_starts(self, image):
        with listening() as number:
            for options in (("-d", "--name", "two"), ()):
                done = image.command("run", *options, "-p", f"127.0.0.1:{number}:80", "web", "--", "touch", "/started")
                assert done.code == 1
                assert f"127.0.0.1:{number}/tcp can't be opened: Address already in use" in done.err
                assert "choose another port" in done.err
        assert image.command("ps", "--all", "--format", "json").out == "[]\n"

    def test_none_of_several_is_kept_open(self, image):
        with listening() as first:
            pass
        with listening() as taken:
            words = ("-p", f"127.0.0.1:{first}:80", "-p", f"127.0.0.1:{taken}:81")
            assert image.command("run", "-d", *words, "web", "--", "true").code == 1
        socket.create_server(("127.0.0.1", first)).close()

    def test_an_address_that_is_not_ours(self, image):
        done = image.command("run", "-p", "203.0.113.7:0:80", "web", "--", "true")
        assert (done.code, "this machine has" in done.err) == (1, True)

    def test_with_the_hosts_own_network_it_means_nothing(self, image):
        done = image.command("run", "--network", "host", "-p", "80", "web", "--", "true")
        assert (done.code, "has this machine's ports already" in done.err) == (2, True)

    @pytest.mark.root
    def test_root_may_map_a_port_below_1024(self, image):
        number = next(candidate for candidate in range(1023, 600, -1) if _is_free(candidate))
        run(image, "-p", f"127.0.0.1:{number}:80", "web", "--", "sh", "-c", answer_all("low", 80))
        assert wait_for(lambda: said(number) == b"low\n")


def _is_free(number: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", number)).close()
    except OSError:
        return False
    return True


def test_all_that_an_image_exposes(project, image):
    image.build("from tar:busybox.tar", "expose 80 53/udp", name="ports.env")
    run(image, "-P", "-p", "127.0.0.1:0:80", "ports", "--", "sh", "-c", WAITING)
    ports = [(port["host"], port["inside"], port["protocol"]) for port in state(image)["ports"]]
    assert ports == [("127.0.0.1", 80, "tcp"), ("0.0.0.0", 53, "udp")]
    assert all(port["port"] > 0 for port in state(image)["ports"])


@pytest.mark.user
def test_every_user_may_listen_on_low_ports_and_send_pings_in_a_network_of_its_own(image):
    assert (
        image.build("adduser app uid=1000", "user app", "run cat /proc/sys/net/ipv4/ip_unprivileged_port_start").code
        == 0
    )
    limit = "cat /proc/sys/net/ipv4/ip_unprivileged_port_start"
    script = f"({answer_once('low', 80)}) & {ask('127.0.0.1', 80)}; {limit}"
    done = image.command("run", "web", "--", "sh", "-c", script)
    assert (done.code, done.out) == (0, "low\n0\n")
    group = image.command("run", "web", "--", "cat", "/proc/sys/net/ipv4/ping_group_range").out.split()
    assert group[0] == "0"
    assert int(group[1]) >= 1000 or os.geteuid() != 0


@pytest.mark.user
def test_the_machines_own_network_is_as_it_was(image):
    path = "/proc/sys/net/ipv4/ip_unprivileged_port_start"
    before = Path(path).read_text()
    assert image.command("run", "--network", "host", "web", "--", "cat", path).out == before

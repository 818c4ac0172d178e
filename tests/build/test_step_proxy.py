"""The proxy of a step, asked over real sockets: what passes, what is refused, and what is noted of it."""

import errno
import hashlib
import os
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from envbuild.build.step_network import connect
from envbuild.build.step_network.access import Access
from envbuild.build.step_network.machine import Machine, goes_without, machine_of
from envbuild.build.step_network.proxy import MAX_CONNECTIONS, Proxy
from envbuild.build.step_network.step_proxy import ProxyFailed, StepProxy
from envbuild.build.step_network.traffic import MAX_ANSWERS, MAX_ASKED, Traffic
from envbuild.language.network_hosts import read_rules
from envbuild.sandbox.spec import MAX_DOORS
from envbuild.store.network_record import ANY, LISTED, Answer, NetworkRecord, dump, load
from tests.attacks.servers import Server
from tests.conftest import wait_for

EMPTY = hashlib.sha256(b"").hexdigest()


class Raw:
    """A server on loopback that answers each connection with what it is told, and keeps what it was asked."""

    def __init__(self, answer: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", times: int = 1) -> None:
        self.answer, self.times = answer, times
        self.asked: list[bytes] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with connection:
                try:
                    for _ in range(self.times):
                        asked = connection.recv(1 << 16)
                        while b"chunked" in asked and not asked.endswith(b"0\r\n\r\n"):
                            # Else what is not read resets the connection.
                            more = connection.recv(1 << 16)
                            if not more:
                                break
                            asked += more
                        self.asked.append(asked)
                        connection.sendall(self.answer)
                except OSError:
                    pass

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()


class QuietFiles(SimpleHTTPRequestHandler):
    """Serves files and says nothing of it."""

    def log_message(self, *_: object) -> None:
        pass


class Behind:
    """A client behind the proxy of a step."""

    def __init__(self, rules: str = "", servers: tuple = (), machine: Machine = Machine(), secrets: tuple = ()) -> None:  # noqa: B008
        self.traffic = Traffic(LISTED if rules else ANY, secrets)
        access = Access(read_rules(rules) if rules else None, frozenset(servers))
        self.proxy = StepProxy(access, machine, self.traffic)
        self.ended: list[str] = []
        listening = [socket.create_server(("127.0.0.1", 0), backlog=256) for _ in (None, *self.proxy.doors)]
        self.port, *self.doors = (place.getsockname()[1] for place in listening)
        self.proxy.serve(tuple(place.detach() for place in listening), lambda: self.ended.append("ended"))

    def connect(self, port: int = 0) -> socket.socket:
        made = socket.socket()
        made.settimeout(60)
        made.connect(("127.0.0.1", port or self.port))
        return made

    def ask(self, request: bytes | str) -> bytes:
        """Returns all that comes back for some bytes, until the proxy closes."""
        with self.connect() as client:
            client.sendall(request if isinstance(request, bytes) else request.encode())
            try:
                client.shutdown(socket.SHUT_WR)
            except OSError as error:
                if error.errno != errno.ENOTCONN:
                    raise
                return b"(reset)"  # it closed the connection before that was said
            return rest_of(client)

    def get(self, address: str) -> tuple[int, bytes]:
        answer = self.ask(f"GET {address} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        head, _, content = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), content

    @property
    def record(self) -> NetworkRecord:
        return self.traffic.record


def rest_of(client: socket.socket) -> bytes:
    parts = []
    try:
        while part := client.recv(1 << 16):
            parts.append(part)
    except ConnectionResetError:
        parts.append(b"(reset)")
    return b"".join(parts)


@pytest.fixture
def behind(request):
    made: list = []

    def make(*words, **options) -> Behind:
        made.append(Behind(*words, **options))
        return made[-1]

    yield make
    for server in made:
        server.proxy.close()


@pytest.fixture
def raw():
    made: list = []

    def make(*words, **options) -> Raw:
        made.append(Raw(*words, **options))
        return made[-1]

    yield make
    for server in made:
        server.close()


@pytest.fixture(scope="module")
def the_world():
    server = Server()
    yield server
    server.close()


@pytest.fixture
def world(the_world):
    """A proxy that plays every host of the world."""
    the_world.asked.clear()
    return the_world


def through(server: Server) -> Machine:
    return Machine(proxies=(("http", server.url),))


class TestWhatPasses:
    def test_an_answer_is_passed_on_and_noted_with_its_digest(self, behind, raw):
        server = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Own: 1\r\n\r\nhello")
        client = behind(f"127.0.0.1:{server.port}")
        answer = client.ask(f"GET http://127.0.0.1:{server.port}/a?token=1#x HTTP/1.1\r\nHost: evil\r\nX-Me: 2\r\n\r\n")
        assert answer.endswith(b"\r\n\r\nhello")
        assert b"x-own: 1" in answer
        sent = server.asked[0].decode()
        assert sent.startswith(f"GET /a?token=1 HTTP/1.1\r\nhost: 127.0.0.1:{server.port}\r\n")
        assert "x-me: 2" in sent
        assert "evil" not in sent
        digest = hashlib.sha256(b"hello").hexdigest()
        address = f"http://127.0.0.1:{server.port}/a?..."
        assert client.record.answers == (Answer("GET", address, 200, digest, 5),)
        assert client.record.asked == (f"127.0.0.1:{server.port}",)

    def test_requests_follow_each_other_on_one_connection_also_all_at_once(self, behind, raw):
        server = raw(times=3)
        client = behind(f"127.0.0.1:{server.port}")
        request = f"GET http://127.0.0.1:{server.port}/%d HTTP/1.1\r\nHost: x\r\n\r\n"
        answer = client.ask("".join(request % number for number in range(3)))
        assert answer.count(b"HTTP/1.1 200 OK") == answer.count(b"\r\n\r\nok") == 3
        assert len(client.record.answers) == 3

    def test_a_server_that_closed_a_kept_connection_is_asked_again(self, behind, raw):
        server = raw()  # one answer for each connection, and it doesn't say so
        client = behind(f"127.0.0.1:{server.port}")
        with client.connect() as connection:
            for _ in range(3):
                connection.sendall(f"GET http://127.0.0.1:{server.port}/ HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                answer = b""
                while not answer.endswith(b"ok"):
                    answer += connection.recv(4096)
        assert len(server.asked) == 3

    def test_chunks_in_both_directions_are_of_our_own_making(self, behind, raw):
        server = raw(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nT: 1\r\n\r\n"
        )
        client = behind(f"127.0.0.1:{server.port}")
        answer = client.ask(
            f"POST http://127.0.0.1:{server.port}/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
            "4;ext\r\nwxyz\r\n0\r\n\r\n"
        )
        assert answer.endswith(b"\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        digest = hashlib.sha256(b"abcde").hexdigest()
        assert (client.record.answers[0].sha256, client.record.answers[0].size) == (digest, 5)

    def test_a_body_up_to_the_end_of_the_connection(self, behind, raw):
        server = raw(b"HTTP/1.0 200 OK\r\n\r\nall of it")
        client = behind(f"127.0.0.1:{server.port}")
        assert client.get(f"http://127.0.0.1:{server.port}/")[1] == b"9\r\nall of it\r\n0\r\n\r\n"
        old = client.ask(f"GET http://127.0.0.1:{server.port}/ HTTP/1.0\r\n\r\n")
        assert old.endswith(b"\r\n\r\nall of it")

    def test_a_body_that_breaks_off_is_cut_here_too_and_not_noted(self, behind, raw):
        server = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")
        client = behind(f"127.0.0.1:{server.port}")
        assert not client.get(f"http://127.0.0.1:{server.port}/")[1].endswith(b"0\r\n\r\n")
        assert client.record.answers == ()

    def test_a_tunnel_passes_bytes_both_ways_and_each_end_by_itself(self, behind):
        listening = socket.create_server(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        client = behind(f"127.0.0.1:{port}")
        with client.connect() as connection, listening:
            connection.sendall(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\nHost: x\r\n\r\nearly".encode())
            server, _ = listening.accept()
            with server:
                assert connection.recv(100) == b"HTTP/1.1 200 Connected\r\n\r\n"
                assert server.recv(100) == b"early"
                connection.shutdown(socket.SHUT_WR)
                assert server.recv(100) == b""
                server.sendall(b"late")
                server.shutdown(socket.SHUT_WR)
                assert rest_of(connection) == b"late"

    def test_git_clones_over_http_and_each_answer_is_noted(self, behind, tmp_path):
        git = ["git", "-c", "user.name=t", "-c", "user.email=t@t.test", "-c", "init.defaultBranch=main"]
        (tmp_path / "one").mkdir()
        for words in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "first"], ["update-server-info"]):
            subprocess.run([*git, *words], cwd=tmp_path / "one", check=True)
        handler = partial(QuietFiles, directory=str(tmp_path))
        with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            thread = threading.Thread(target=lambda: server.serve_forever(0.05))
            thread.start()
            client = behind(f"127.0.0.1:{server.server_port}")
            proxy = f"http://127.0.0.1:{client.port}"
            address = f"http://127.0.0.1:{server.server_port}/one/.git"
            environment = {**os.environ, "http_proxy": proxy, "no_proxy": "", "NO_PROXY": ""}
            try:
                subprocess.run([*git, "clone", "-q", address, str(tmp_path / "two")], env=environment, check=True)
            finally:
                server.shutdown()
                thread.join()
        log = subprocess.run([*git, "log", "--format=%s"], cwd=tmp_path / "two", capture_output=True, check=True)
        assert log.stdout == b"first\n"
        assert client.record.refused == ()
        heads = [answer for answer in client.record.answers if answer.address.endswith("/info/refs?...")]
        content = (tmp_path / "one" / ".git" / "info" / "refs").read_bytes()
        assert [(head.status, head.sha256) for head in heads] == [(200, hashlib.sha256(content).hexdigest())]

    def test_a_hundred_megabytes_at_the_cost_of_a_loopback(self, behind):
        """In processor time, against the same over one socket."""
        size = 100 << 20
        piece = os.urandom(1 << 20)

        def serve(listening: socket.socket, waits: bool) -> None:
            connection, _ = listening.accept()
            with connection:
                if waits:
                    connection.recv(100)
                for _ in range(size // len(piece)):
                    connection.sendall(piece)

        def took(port: int, through: str) -> float:
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(through.encode())
                began, got, buffer = time.process_time(), 0, bytearray(1 << 20)
                while count := connection.recv_into(buffer):
                    got += count
                assert got >= size
                return time.process_time() - began

        times = []
        for proxied in (False, True):
            with socket.create_server(("127.0.0.1", 0)) as listening:
                port = listening.getsockname()[1]
                client = behind(f"127.0.0.1:{port}")
                thread = threading.Thread(target=serve, args=(listening, True))
                thread.start()
                words = f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\ngo" if proxied else "go"
                times.append(took(client.port if proxied else port, words))
                thread.join()
        assert times[1] < 20 * times[0] + 1


class TestTheList:
    @pytest.mark.parametrize(
        ("rules", "host", "passes"),
        [
            ("example.org", "http://example.org/", True),
            ("example.org", "http://EXAMPLE.org./", True),
            ("Example.ORG.", "http://example.org:80/", True),
            ("example.org", "http://example.org:8080/", False),
            ("example.org:8080", "http://example.org:8080/", True),
            ("example.org:443", "http://example.org/", False),
            ("*.example.org", "http://a.example.org/", True),
            ("*.example.org", "http://a.b.example.org/", True),
            ("*.example.org", "http://example.org/", False),
            ("*.example.org", "http://evilexample.org/", False),
            ("*.example.org", "http://example.org.evil/", False),
            ("example.org", "http://a.example.org/", False),
            ("192.0.2.1:80", "http://192.0.2.1/", True),
            ("192.0.2.1:80", "http://[::ffff:192.0.2.1]/", True),
            ("[2001:DB8:0::1]:80", "http://[2001:db8::1]/", True),
            ("[2001:db8::1]:80", "http://[2001:db8::2]/", False),
        ],
    )
    def test_what_it_lets_pass(self, behind, world, rules, host, passes):
        client = behind(rules, machine=through(world))
        status, _ = client.get(host)
        assert status == (404 if passes else 403), (rules, host)  # the world knows no address
        assert bool(client.record.refused) != passes
        assert bool(world.asked) == passes

    def test_who_is_refused_is_told_which_host_and_the_failure_names_it(self, behind):
        client = behind("*.example.org")
        answer = client.ask("CONNECT evil.example:443 HTTP/1.1\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 403 evil.example:443 is refused: the step's list of hosts does not have it")
        assert client.record.refused == ("evil.example:443",)
        assert client.record.asked == ()


class TestDoors:
    """Servers of a list that programs connect to by themselves."""

    def test_names_with_a_port_have_one_but_for_those_of_the_web(self):
        rules = "b.example:22, a.example:5432, a.example:22, c.example, d.example:443, *.e.example:22, 192.0.2.1:22"
        doors = Access(read_rules(f"{rules}, localhost:22, [2001:db8::1]:22")).doors
        assert [(door.name, door.address, door.port) for door in doors] == [
            ("a.example", "127.0.0.2", 22),
            ("a.example", "127.0.0.2", 5432),
            ("b.example", "127.0.0.3", 22),
        ]
        assert Access(None).doors == ()
        assert len(Access(read_rules(", ".join(f"n{number}.example:22" for number in range(100)))).doors) == MAX_DOORS

    def test_one_leads_to_its_server_and_is_on_record(self, behind, raw):
        upstream = raw(b"HTTP/1.1 200 Connected\r\n\r\nSSH-2.0-server")
        machine = Machine(proxies=(("https", f"http://127.0.0.1:{upstream.port}"),))
        client = behind("b.example:22, a.example:22", machine=machine)
        with client.connect(client.doors[1]) as link:
            assert rest_of(link) == b"SSH-2.0-server"
        assert upstream.asked[0].startswith(b"CONNECT b.example:22 HTTP/1.1\r\n")
        assert (client.record.asked, client.record.refused) == (("b.example:22",), ())

    def test_one_that_leads_to_this_machine_is_refused(self, behind, raw, monkeypatch):
        server = raw()
        row = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server.port))
        monkeypatch.setattr(connect.socket, "getaddrinfo", lambda *_: [row])
        client = behind(f"rebound.example:{server.port}")
        with client.connect(client.doors[0]) as link:
            assert rest_of(link) == b""
        assert (server.asked, client.record.refused) == ([], (f"rebound.example:{server.port}",))


class TestAddresses:
    """What leads to this machine, however it is written."""

    @pytest.mark.parametrize(
        "host",
        [
            "127.0.0.1", "127.8.8.8", "localhost", "LOCALHOST.", "a.localhost", "0.0.0.0", "[::1]", "[::]",
            "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[2002:7f00:1::]", "[64:ff9b::7f00:1]", "169.254.169.254",
            "[fe80::1]", "[::ffff:169.254.169.254]", "224.0.0.1", "[::127.0.0.1]", "[::a9fe:a9fe]", "168.63.129.16",
            "100.100.100.200", "192.0.0.192", "[fd00:ec2::254]", "[::ffff:100.100.100.200]",
            "[64:ff9b::a83f:8110]", "metadata.google.internal",
        ],
    )  # fmt: skip
    def test_without_a_list_all_but_this_machine_and_what_is_beside_it(self, behind, host):
        client = behind()
        assert client.get(f"http://{host}/")[0] == 403
        assert client.ask(f"CONNECT {host}:443 HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 403 ")
        assert len(client.record.refused) == 2

    @pytest.mark.parametrize(
        "host",
        [
            "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.0.0.01", "1.2.3.4.5", "0x7f.1", "[::1", "::1",
            "[fe80::1%25eth0]", "a..b", "..", "", "exa mple", "ex%61mple.org", "b\xfccher.example", "-a.example",
            "a" * 64 + ".example", "a@127.0.0.1", "127.0.0.1\\@example.org", "example.org..",
        ],
    )  # fmt: skip
    def test_what_is_neither_a_name_nor_an_address_to_every_reader(self, behind, world, host):
        client = behind(machine=through(world))
        for request in (f"GET http://{host}/ HTTP/1.1\r\n\r\n", f"CONNECT {host}:443 HTTP/1.1\r\n\r\n"):
            assert client.ask(request.encode("latin-1")).startswith(b"HTTP/1.1 400 "), request
        assert world.asked == []

    @pytest.mark.parametrize("port", ["0", "65536", "99999999", "-1", "8O", "+80", "80 ", "\u0661"])
    def test_ports_that_are_none(self, behind, world, port):
        client = behind(machine=through(world))
        for request in (f"GET http://a.example:{port}/ HTTP/1.1\r\n\r\n", f"CONNECT a.example:{port} HTTP/1.1\r\n\r\n"):
            assert client.ask(request.encode("utf-8")).startswith(b"HTTP/1.1 400 "), request

    def test_a_name_that_leads_to_this_machine_is_refused_and_what_was_looked_at_is_what_is_connected_to(
        self, behind, raw, monkeypatch
    ):
        server = raw()
        asked: list[str] = []

        def resolve(host: str, port: int, *_: object) -> list:
            # As an attacker's name server: another answer each time.
            asked.append(host)
            address = "127.0.0.1" if len(asked) % 2 else "192.0.2.1"
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

        monkeypatch.setattr(connect.socket, "getaddrinfo", resolve)
        client = behind("rebound.example:*".replace("*", str(server.port)))
        status, content = client.get(f"http://rebound.example:{server.port}/")
        assert (status, server.asked) == (403, [])
        assert content.endswith(b" is refused: its address 127.0.0.1 is a loopback address\n")
        assert asked == ["rebound.example"]

    @pytest.mark.parametrize(
        ("address", "reason"),
        [
            ("::1", "a loopback address"),
            ("::ffff:127.0.0.1", "a loopback address"),
            ("::ffff:169.254.169.254", "a link-local address"),
            ("64:ff9b::a9fe:a9fe", "a link-local address"),
            ("fd00:ec2::254", "a cloud's metadata service"),
            ("::ffff:100.100.100.200", "a cloud's metadata service"),
        ],
    )
    def test_a_name_may_not_lead_inward_by_ipv6_either(self, behind, monkeypatch, address, reason):
        row = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, 80, 0, 0))
        monkeypatch.setattr(connect.socket, "getaddrinfo", lambda *_: [row])
        for rules in ("", "*.example"):
            client = behind(rules)
            status, content = client.get("http://inward.example/")
            assert (status, client.record.refused) == (403, ("inward.example:80",))
            assert content.endswith(f" is refused: its address {address} is {reason}\n".encode())

    def test_a_redirect_leads_no_further_than_a_request(self, behind, raw):
        inner = raw()
        outer = raw(
            f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{inner.port}/\r\nContent-Length: 0\r\n\r\n".encode()
        )
        client = behind(f"127.0.0.1:{outer.port}")
        follower = urllib.request.build_opener(urllib.request.ProxyHandler({"http": f"http://127.0.0.1:{client.port}"}))
        with pytest.raises(urllib.error.HTTPError) as caught, follower.open(f"http://127.0.0.1:{outer.port}/"):
            pass
        with caught.value as refusal:
            assert refusal.read().endswith(b" is refused: the step's list of hosts does not have it\n")
        assert (inner.asked, client.record.refused) == ([], (f"127.0.0.1:{inner.port}",))

    def test_an_address_of_this_machine_is_refused_unless_the_list_has_it(self, behind, raw, monkeypatch):
        own = own_address()
        with socket.create_server((own, 0)) as listening:
            port = listening.getsockname()[1]
            threading.Thread(target=answer_once, args=(listening,), daemon=True).start()
            assert behind().get(f"http://{own}:{port}/")[0] == 403
            monkeypatch.setattr(
                connect.socket, "getaddrinfo", lambda *_: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (own, port))]
            )
            named = behind(f"own.example:{port}")
            assert named.get(f"http://own.example:{port}/")[0] == 403
            assert (
                f"its address {own} is an address of this machine" in dict(named.traffic.refused)[f"own.example:{port}"]
            )
            assert behind(f"{own}:{port}").get(f"http://{own}:{port}/")[0] == 200

    def test_a_server_that_the_machine_is_set_to_use_may_lie_on_its_loopback(self, behind, raw):
        server = raw()
        client = behind(servers=(("127.0.0.1", server.port),))
        assert client.get(f"http://127.0.0.1:{server.port}/")[0] == 200
        assert client.get(f"http://127.0.0.1:{server.port + 1}/")[0] == 403
        assert "127.0.0.1" not in Access(None, frozenset({("127.0.0.1", 1)})).no_proxy
        assert Access(None).no_proxy == "localhost,127.0.0.1,::1"

    def test_a_link_local_address_is_refused_also_where_the_list_has_it(self, behind):
        assert behind("169.254.169.254:80").get("http://169.254.169.254/")[0] == 403


def own_address() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        try:
            asked.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but its loopback")
        return asked.getsockname()[0]


def answer_once(listening: socket.socket) -> None:
    connection, _ = listening.accept()
    with connection:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


class TestTheMachinesOwnProxy:
    def test_it_is_asked_with_its_password_which_the_step_never_sees(self, behind, raw):
        upstream = raw()
        machine = Machine(proxies=(("http", f"http://me:p%40ss@127.0.0.1:{upstream.port}"),))
        client = behind("a.example", machine=machine)
        answer = client.ask("GET http://a.example/x HTTP/1.1\r\nProxy-Authorization: Basic own\r\n\r\n")
        assert answer.endswith(b"ok")
        sent = upstream.asked[0]
        assert sent.startswith(b"GET http://a.example/x HTTP/1.1\r\n")
        assert sent.count(b"proxy-authorization") == 1
        assert b"proxy-authorization: Basic bWU6cEBzcw==" in sent

    def test_it_is_asked_to_connect(self, behind, raw):
        upstream = raw(b"HTTP/1.1 200 Established\r\nX: y\r\n\r\nfrom afar")
        machine = Machine(proxies=(("https", f"127.0.0.1:{upstream.port}"),))
        answer = behind(machine=machine).ask("CONNECT a.example:443 HTTP/1.1\r\n\r\n")
        assert answer == b"HTTP/1.1 200 Connected\r\n\r\nfrom afar"
        assert upstream.asked[0] == b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n"

    def test_what_it_refuses_is_told(self, behind, raw):
        upstream = raw(b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n")
        machine = Machine(proxies=(("https", f"http://127.0.0.1:{upstream.port}"),))
        answer = behind(machine=machine).ask("CONNECT a.example:443 HTTP/1.1\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 502 a.example:443: this machine's proxy answers: 407 Who are you")

    def test_one_of_a_kind_that_is_not_spoken_is_told(self, behind):
        machine = Machine(proxies=(("all", "socks5://127.0.0.1:1"),))
        assert b"socks5://127.0.0.1:1" in behind(machine=machine).ask("CONNECT a.example:443 HTTP/1.1\r\n\r\n")

    def test_it_is_no_way_around_the_rules(self, behind, world):
        client = behind("a.example", machine=through(world))
        assert client.get("http://127.0.0.1/")[0] == 403
        assert behind(machine=through(world)).get("http://169.254.169.254/")[0] == 403
        assert world.asked == []

    @pytest.mark.parametrize(
        ("no_proxy", "host", "without"),
        [
            ("*", "a.example", True), ("example", "a.example", True), (".example", "a.example", True),
            ("ample", "a.example", False), ("a.example:443", "a.example", True), ("a.example:80", "a.example", False),
            ("10.0.0.0/8", "10.1.2.3", True), ("10.0.0.0/8", "a.example", False), ("", "a.example", False),
            ("b, a.example", "a.example", True), ("[2001:db8::1]", "2001:db8::1", True),
        ],
    )  # fmt: skip
    def test_no_proxy(self, no_proxy, host, without):
        assert goes_without(host, 443, no_proxy) == without

    def test_variables_in_lower_case_go_first_and_apt_may_have_its_own(self, tmp_path):
        machine = machine_of((("HTTP_PROXY", "http://upper:1"), ("http_proxy", "http://lower:2")), str(tmp_path))
        assert dict(machine.proxies) == {"http": "http://lower:2"}
        machine = Machine(
            proxies=(("http", "http://all:1"),), apt_proxies=(("http", "http://apt:2"),), apt_hosts=frozenset({"deb"})
        )
        assert [machine.upstream("http", host, 80).host for host in ("deb", "other")] == ["apt", "all"]


class TestHostileClients:
    @pytest.mark.parametrize(
        "request_head",
        [
            "POST {} HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
            "POST {} HTTP/1.1\r\nContent-Length: 5, 5\r\n\r\nhello",
            "POST {} HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "POST {} HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            "POST {} HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
            "POST {} HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
            "POST {} HTTP/1.1\r\nContent-Length: 0x5\r\n\r\nhello",
            "GET {} HTTP/1.1\r\nA: b\r\n c: folded\r\n\r\n",
            "GET {} HTTP/1.1\r\nA : b\r\n\r\n",
            "GET {} HTTP/1.1\r\nA: b\nHost: c\r\n\r\n",
            "GET {} HTTP/1.1\r\nA: b\0\r\n\r\n",
            "GET {} HTTP/1.1\rX: y\r\n\r\n",
            "GET {}  HTTP/1.1\r\n\r\n",
            "GET {} HTTP/2.0\r\n\r\n",
            "GET {} HTTP/1.1 X\r\n\r\n",
            "GET\t{} HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: {}\r\n\r\n",
            "\x16\x03\x01\x02\x00\x01\r\n\r\n",
            "CONNECT a.example HTTP/1.1\r\n\r\n",
            "CONNECT a.example:443 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
            "GET https://a.example/ HTTP/1.1\r\n\r\n",
            "GET ftp://a.example/ HTTP/1.1\r\n\r\n",
            "GET {} HTTP/1.1\r\nA: " + "b" * 70_000 + "\r\n\r\n",
            "GET {} HTTP/1.1\r\n" + "A: b\r\n" * 300 + "\r\n",
            "GET {}" + "a" * 400_000,
        ],
    )
    def test_what_two_readers_could_take_in_two_ways_reaches_nobody(self, behind, raw, request_head):
        server = raw()
        client = behind(f"127.0.0.1:{server.port}, a.example:443")
        answer = client.ask(request_head.format(f"http://127.0.0.1:{server.port}/").encode("latin-1"))
        assert answer.split()[1][:1] in (b"4", b"5"), answer[:100]
        assert server.asked == []
        assert client.ended == []

    def test_a_chunk_without_a_size_ends_the_request(self, behind, raw):
        server = raw()
        client = behind(f"127.0.0.1:{server.port}")
        client.ask(
            f"POST http://127.0.0.1:{server.port}/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
            "zz\r\nGET http://169.254.169.254/ HTTP/1.1\r\n\r\n"
        )
        assert b"169.254" not in b"".join(server.asked)
        assert client.record.refused == ()

    @pytest.mark.parametrize(
        "answer",
        [
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nokk",
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 20_000 + b"\r\n",
            b"SSH-2.0-OpenSSH_9\r\n\r\n",
            b"",
        ],
    )
    def test_an_answer_that_is_none_is_told(self, behind, raw, answer):
        server = raw(answer)
        client = behind(f"127.0.0.1:{server.port}")
        assert client.get(f"http://127.0.0.1:{server.port}/")[0] == 502
        assert client.record.answers == ()

    def test_more_connections_than_there_may_be_are_turned_away_and_the_others_live(self, behind, raw):
        server = raw()
        client = behind(f"127.0.0.1:{server.port}")
        idle = [client.connect() for _ in range(MAX_CONNECTIONS)]
        try:
            assert client.get(f"http://127.0.0.1:{server.port}/")[0] == 503
        finally:
            for connection in idle:
                connection.close()
        assert wait_for(lambda: client.get(f"http://127.0.0.1:{server.port}/")[0] == 200)

    def test_who_is_slow_is_not_waited_for(self, behind, monkeypatch):
        monkeypatch.setattr("envbuild.build.step_network.proxy.HEAD_SECONDS", 0.3)
        client = behind()
        with client.connect() as connection:
            connection.sendall(b"GET http://a.exam")
            assert rest_of(connection) == b""

    def test_a_hundred_thousand_hosts_fill_neither_memory_nor_store(self):
        traffic = Traffic(ANY, ())
        for number in range(100_000):
            traffic.ask(f"h{number}.example", 443)
        for number in range(5_000):
            traffic.refuse(f"r{number}.example", 443, "no")
            traffic.answer("GET", f"http://a.example/{number}{'x' * 5000}", 200, EMPTY, 0)
        record = traffic.record
        assert (len(record.asked), len(record.answers)) == (MAX_ASKED, MAX_ANSWERS)
        assert record.more == 100_000 - MAX_ASKED + 4_800 + 5_000 - MAX_ANSWERS
        assert len(dump(record)) < 1 << 20
        assert load(dump(record)) == record

    def test_secrets_of_the_step_are_in_no_record(self, behind, raw):
        server = raw()
        client = behind(f"127.0.0.1:{server.port}", secrets=(b"s3cret-token", b"pass word"))
        for path in ("s3cret-token/a", "a?t=s3cret-token", "pass%20word"):
            client.get(f"http://127.0.0.1:{server.port}/{path}")
        client.ask("CONNECT s3cret-token.evil.example:443 HTTP/1.1\r\n\r\n")
        text = dump(client.record)
        assert "s3cret" not in text
        assert "pass%20word" not in text
        assert "********" in text


class TestItsEnd:
    def test_what_breaks_in_it_ends_the_step(self, behind, monkeypatch):
        async def broken(*_: object) -> bool:
            raise ZeroDivisionError("here")

        monkeypatch.setattr(Proxy, "_answer", broken)
        client = behind()
        assert client.ask("GET http://a.example/ HTTP/1.1\r\n\r\n") in (b"", b"(reset)")
        client.proxy.close()
        assert client.ended == ["ended"]
        with pytest.raises(ProxyFailed):
            client.proxy.check()

    def test_it_ends_with_connections_that_are_open(self, behind, raw):
        client = behind()
        with client.connect() as connection:
            connection.sendall(b"HEAD http://127.0.0.1/ HTTP/1.1\r\n\r\nGET http://a.ex")
            assert connection.recv(4096).startswith(b"HTTP/1.1 403 ")
            began = time.monotonic()
            client.proxy.close()
            assert time.monotonic() - began < 15  # and does not wait until the client is given up
            assert rest_of(connection) in (b"", b"(reset)")
        client.proxy.check()

    def test_without_a_step_nothing_is_left(self):
        proxy = StepProxy(Access(None), Machine(), Traffic(ANY, ()))
        with proxy:
            pass
        proxy.check()

"""What is fetched: from the web alone, not further inside a network than who names it, and not without end."""

import gzip
import hashlib
import socket

import pytest

from envbuild.http.addresses import BadAddress, WebAddress
from envbuild.http.connections import MAX_PAGE, Connections, Refused, TooLarge
from envbuild.http.reach import Level, level_of, level_of_name
from envbuild.http.transport import Transport
from tests.attacks.test_package_names import PYTHON, answer, fake_python
from tests.packages.wheels import wheel

STRANGER = "http://files.example.test"


@pytest.fixture
def proxied(project, attacker, monkeypatch):
    """A project whose proxy is the attacker's server, which so plays any host of the world."""
    for name in ("no_proxy", "NO_PROXY"):
        project.environment.pop(name, None)
    project.environment |= {"http_proxy": attacker.url, "HTTP_PROXY": attacker.url}
    return attacker


@pytest.mark.namespaces
class TestFetch:
    def test_other_schemes_are_refused_where_they_stand(self, project):
        for url in ("file:///etc/passwd", "file:///proc/self/environ", "ftp://example.test/x", "data:,x"):
            done = project.build(f"fetch {url} -> /x")
            assert done.code == 2, url
            assert "is not a URL that can be fetched" in done.out + done.err, url

    def test_a_server_sends_us_to_no_other_scheme(self, project, attacker):
        for target in ("file:///etc/passwd", "ftp://127.0.0.1:9/x", "gopher://x.test/"):
            attacker.send_on("/x", target)
            done = project.build(f"fetch {attacker.url}/x -> /x")
            assert done.code == 1, target
            assert f"can't fetch '{target}'" in done.out + done.err

    def test_a_public_server_sends_us_nowhere_inside(self, project, proxied):
        for pattern in (
            "http://127.0.0.1:{port}/secret",
            "http://localhost:{port}/secret",
            "http://[::1]:{port}/secret",
            "http://2130706433:{port}/secret",
            "http://169.254.169.254/secret",
            "http://10.0.0.1/secret",
            "http://[::ffff:127.0.0.1]/secret",
            "http://0.0.0.0:{port}/secret",
        ):
            inner = pattern.format(port=proxied.port)
            proxied.asked.clear()
            proxied.send_on(f"{STRANGER}/x", inner)
            for path in (inner, "/secret"):
                proxied.serve(path, b"secret")
            done = project.build(f"fetch {STRANGER}/x -> /x")
            assert done.code == 1, (inner, done.out + done.err)
            assert "may not send us to" in done.out + done.err, inner
            assert proxied.asked == [f"{STRANGER}/x"], inner

    def test_a_recipe_that_names_loopback_itself_is_obeyed(self, project, attacker):
        attacker.send_on("/x", f"{attacker.url}/y")
        attacker.serve("/y", b"y")
        done = project.build(f"fetch {attacker.url}/x -> /x")
        assert done.code == 0, done.out
        assert project.cat("/x") == "y"

    def test_redirects_end(self, project, attacker):
        attacker.send_on("/x", "/x")
        done = project.build(f"fetch {attacker.url}/x -> /x")
        assert done.code == 1
        assert len(attacker.asked) < 20

    def test_a_file_has_a_limit_that_can_be_raised(self, project, attacker):
        attacker.serve("/told", bytes(2_000_000))
        attacker.serve("/untold", bytes(2_000_000), Content_Length="")
        for path in ("told", "untold"):
            done = project.build(f"fetch {attacker.url}/{path} -> /x", ENVBUILD_FETCH_LIMIT="1MB")
            assert done.code == 1
            assert "1,048,576 bytes" in done.out + done.err
            assert "ENVBUILD_FETCH_LIMIT=" in done.out + done.err
        assert project.build(ENVBUILD_FETCH_LIMIT="3MB").code == 0
        done = project.build(ENVBUILD_FETCH_LIMIT="much")
        assert done.code == 2
        assert "is not a valid size" in done.err


@pytest.mark.namespaces
class TestPackages:
    @pytest.fixture
    def index(self, project, attacker):
        project.environment |= {
            "PIP_INDEX_URL": f"{attacker.url}/simple",
            "PIP_EXTRA_INDEX_URL": "",
            "PIP_FIND_LINKS": "",
        }
        fake_python(project)
        content = wheel("alpha", "1.0")
        answer(project, content, f"{STRANGER}/alpha-1.0-py3-none-any.whl")
        return content

    def test_a_page_that_unpacks_to_more_than_we_take(self, project, attacker, index):
        bomb = gzip.compress(bytes(MAX_PAGE + (1 << 20)), 1)
        attacker.serve("/simple/alpha/", bomb, Content_Encoding="gzip", Content_Type="text/html")
        answer(project, index, f"{attacker.url}/files/alpha-1.0-py3-none-any.whl")
        done = project.build(*PYTHON, "pip(into=/v) alpha")
        assert done.code == 1
        assert f"it is larger than {MAX_PAGE} bytes" in done.out + done.err

    def test_a_file_of_a_package_has_the_limit_of_fetch(self, project, attacker, index):
        name = "alpha-1.0-py3-none-any.whl"
        link = f'<a href="/files/{name}#sha256={hashlib.sha256(index).hexdigest()}">{name}</a>'
        attacker.serve("/simple/alpha/", link.encode())
        attacker.serve(f"/files/{name}", bytes(2_000_000))
        answer(project, index, f"{attacker.url}/files/{name}")
        done = project.build(*PYTHON, "pip(into=/v) alpha", ENVBUILD_FETCH_LIMIT="1MB")
        assert done.code == 1
        assert "ENVBUILD_FETCH_LIMIT=" in done.out + done.err
        assert not list((project.store / "packages").iterdir())

    def test_a_public_index_and_its_servers_send_us_nowhere_inside(self, project, proxied, index):
        project.environment["PIP_INDEX_URL"] = f"{STRANGER}/simple"
        name = "alpha-1.0-py3-none-any.whl"
        digest = hashlib.sha256(index).hexdigest()
        inner = f"{proxied.url}/inner/{name}"
        proxied.serve(inner, index)
        link = f'<a href="{inner}#sha256={digest}">{name}</a>'
        proxied.serve(f"{STRANGER}/simple/alpha/", link.encode())
        answer(project, index, inner)
        done = project.build(*PYTHON, "pip(into=/v) alpha")
        assert done.code == 1, done.out + done.err
        assert "may not send us to 127.0.0.1" in done.out + done.err
        proxied.send_on(f"{STRANGER}/{name}", inner)
        proxied.serve(f"{STRANGER}/simple/alpha/", link.replace(inner, f"/{name}").encode())
        done = project.build(*PYTHON, "pip(into=/v) alpha")
        assert done.code == 1, done.out + done.err
        assert "may not send us to 127.0.0.1" in done.out + done.err
        assert inner not in proxied.asked

    def test_a_page_that_is_none(self, project, attacker, index):
        answer(project, index, f"{attacker.url}/files/alpha-1.0-py3-none-any.whl")
        for page in (
            b'{"files": 1}',
            b'{"files": [{"filename": 1}]}',
            b"{" * 100_000,
            b"<a href='http://[x'>x</a>",
            b"<![x[",
            b"\xff" * 99,
        ):
            attacker.serve("/simple/alpha/", page)
            done = project.build(*PYTHON, "pip(into=/v) alpha")
            assert done.code == 1, page[:50]
            assert "can't be fetched" in done.out, page[:50]


class TestReach:
    @pytest.mark.parametrize(
        ("address", "level"),
        [
            ("192.0.2.1", Level.PRIVATE),
            ("8.8.8.8", Level.PUBLIC),
            ("10.1.2.3", Level.PRIVATE),
            ("100.64.0.1", Level.PRIVATE),
            ("fd00:ec2::254", Level.PRIVATE),
            ("169.254.169.254", Level.LINK_LOCAL),
            ("fe80::1%eth0", Level.LINK_LOCAL),
            ("127.0.0.53", Level.LOOPBACK),
            ("0.0.0.0", Level.LOOPBACK),
            ("::", Level.LOOPBACK),
            ("::ffff:169.254.169.254", Level.LINK_LOCAL),
            ("64:ff9b::7f00:1", Level.LOOPBACK),
            ("2002:7f00:1::", Level.LOOPBACK),
            ("224.0.0.1", Level.LOOPBACK),
            ("nonsense", Level.LOOPBACK),
        ],
    )
    def test_where_an_address_lies(self, address, level):
        assert level_of(address) == level

    @pytest.mark.parametrize("host", ["localhost", "a.localhost.", "127.1", "0x7f000001", "2130706433", "017700000001"])
    def test_names_of_loopback(self, host):
        assert level_of_name(host) == Level.LOOPBACK

    def test_a_name_that_resolves_inside_is_refused_before_anything_is_sent(self, attacker, monkeypatch):
        real = socket.getaddrinfo

        def resolve(host, *rest):
            return real("127.0.0.1" if host == "inner.test" else host, *rest)

        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        attacker.serve("/x", b"x")
        connections = Connections(Transport())
        address = f"http://inner.test:{attacker.port}/x"
        with pytest.raises(
            Refused, match=r"a public server may not send us to inner\.test, which is a loopback address"
        ):
            connections.open(address, {}, Level.PUBLIC)
        assert attacker.asked == []
        with connections.open(address, {}) as answer:
            assert (answer.level, answer.page()) == (Level.LOOPBACK, b"x")

    def test_a_page_is_unpacked_within_its_limit(self, attacker):
        attacker.serve("/bomb", gzip.compress(bytes(10_000_000)), Content_Encoding="gzip")
        attacker.serve("/odd", b"x", Content_Encoding="br")
        attacker.serve("/cut", gzip.compress(b"x" * 1000)[:-9], Content_Encoding="gzip")
        connections = Connections(Transport())
        with connections.open(f"{attacker.url}/bomb", {}) as response, pytest.raises(TooLarge):
            response.page(1_000_000)
        for path in ("odd", "cut"):
            with (
                connections.open(f"{attacker.url}/{path}", {}) as response,
                pytest.raises(Exception, match=r"packed|gzip"),
            ):
                response.page()

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "http://",
            "https:///x",
            "http://a b/",
            "http://a\\@b/",
            "http://a:99999/",
            "http://a:0/",
            "//a/",
            "http://[::1/",
        ],
    )
    def test_what_is_no_address(self, text):
        with pytest.raises(BadAddress):
            WebAddress(text)

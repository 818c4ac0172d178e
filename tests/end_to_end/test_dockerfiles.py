"""recipes/dockerfiles/: what many run from Dockerfiles, as recipes. Each is built, runs with a published port until its
health check succeeds, and is asked over that port as its users would."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest

from tests.conftest import Project, wait_for
from tests.store.conftest import tmp_path

RECIPES = Path(__file__).parents[2] / "recipes" / "dockerfiles"
__all__ = ["tmp_path"]  # on a disk: `--here` refuses what would be below an image's own /dev
pytestmark = [pytest.mark.namespaces, pytest.mark.mirror, pytest.mark.nightly]
LONG = 1500
"""Seconds that a build may take where others build beside it, and a start until it is healthy."""


@dataclass(frozen=True)
class Service:
    """A recipe, the port inside that is published, words for `run`, and what is asked: it returns the answer."""

    name: str
    port: str
    ask: Callable[[int], str]
    answer: str
    words: tuple[str, ...] = ()


def page(path: str) -> Callable[[int], str]:
    """Return what asks for a page of a web server."""

    def ask(port: int) -> str:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
            return answer.read().decode()

    return ask


def answer_to(port: int, *lines: bytes) -> str:
    """Send lines, and return what is answered until the end."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as server:
        server.sendall(b"".join(line + b"\r\n" for line in lines))
        with server.makefile("rb") as answer:
            return answer.read().decode()


def ask_memcached(port: int) -> str:
    return answer_to(port, b"set name 0 0 3", b"ada", b"get name", b"quit")


def ask_redis(port: int) -> str:
    return answer_to(port, b"SET name ada", b"GET name", b"QUIT")


def ask_postgres(port: int) -> str:
    """Begin a session as PostgreSQL's protocol (version 3) has it: it asks for the password, by SCRAM."""
    body = (3 << 16).to_bytes(4, "big") + b"user\0ada\0database\0books\0\0"
    with socket.create_connection(("127.0.0.1", port), timeout=30) as server:
        server.sendall((len(body) + 4).to_bytes(4, "big") + body)
        return server.recv(1000).decode(errors="replace")


def ask_stun(port: int) -> str:
    """Ask for the own address, as peers do (RFC 5389): the answer has the type 0x0101 and the question's number."""
    number = os.urandom(12)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(30)
        client.connect(("127.0.0.1", port))
        client.send(b"\x00\x01\x00\x00\x21\x12\xa4\x42" + number)
        answer = client.recv(1000)
    assert answer[8:20] == number
    return answer[:2].hex()


def ask_haproxy(port: int) -> str:
    with pytest.raises(URLError, match="503"):
        page("/backend")(port)
    return page("/")(port)


def ask_healthchecks(port: int) -> str:
    page("/ping/backup")(port)
    return page("/checks/")(port)


def ask_linkding(port: int) -> str:
    assert "Log in" in page("/admin/login/")(port)
    assert "color" in page("/static/admin/css/base.css")(port)
    return page("/api/bookmarks/?tag=linux")(port)


def ask_it_tools(port: int) -> str:
    assert "randomUUID" in page("/tools.js")(port)
    return page("/uuid")(port)


def ask_jupyter(port: int) -> str:
    with pytest.raises(URLError, match="403"):
        page("/api/contents")(port)
    request = Request(f"http://127.0.0.1:{port}/api/kernelspecs", headers={"Authorization": "token s3cret"})
    with urlopen(request, timeout=30) as answer:
        return answer.read().decode()


SERVICES = [
    Service("memcached", "11211", ask_memcached, "STORED\r\nVALUE name 0 3\r\nada\r\nEND\r\n"),
    Service("redis", "6379", ask_redis, "+OK\r\n$3\r\nada\r\n+OK\r\n"),
    Service("nginx", "80", page("/"), "<p>served by nginx</p>"),
    Service(
        "postgres",
        "5432",
        ask_postgres,
        "SCRAM-SHA-256",
        ("-e", "POSTGRES_PASSWORD=s3cret", "-e", "POSTGRES_USER=ada", "-e", "POSTGRES_DB=books"),
    ),
    Service("haproxy", "8000", ask_haproxy, "answered by haproxy\n"),
    Service("healthchecks", "8000", ask_healthchecks, '{"backup": "up"}'),
    Service("linkding", "9090", ask_linkding, '{"results": []}', ("-e", "LD_USER=ada", "-e", "LD_PASSWORD=s3cret")),
    Service("uv", "8000", page("/?name=ada"), '{"greeting":"hello, ada"}'),
    Service("it-tools", "80", ask_it_tools, "A new UUID"),
    Service("uptime-kuma", "3001", page("/"), "Uptime Kuma"),
    Service("express", "3000", page("/?name=ada"), '{"greeting":"hello, ada"}'),
    Service("coturn", "3478/udp", ask_stun, "0101"),
    Service("jupyter", "8888", ask_jupyter, "python3", ("-e", "JUPYTER_TOKEN=s3cret")),
    Service("tomcat", "8080", page("/?name=ada"), "hello, ada"),
    Service("maven", "8080", page("/"), '{"greeting":"hello, world"}'),
    Service("cargo", "8080", page("/ada"), "hello, ada\n"),
]


def given(name: str, folder: Path, store: Path) -> Project:
    """Return a copy of a recipe's folder with a store that has Debian."""
    shutil.copytree(
        RECIPES / name, folder, ignore=shutil.ignore_patterns("*.env.lock", ".gitattributes", "__pycache__")
    )
    return Project(folder, store)


@pytest.fixture
def of_recipe(tmp_path: Path, debian_store: Path) -> Iterator[Callable[[str], Project]]:
    made: list[Project] = []

    def make(name: str) -> Project:
        made.append(given(name, tmp_path / name, debian_store))
        return made[-1]

    yield make
    for project in made:
        for instance in json.loads(project.command("ps", "--all", "--format", "json").out):
            project.command("rm", "--force", "--volumes", instance["id"])


def build(project: Project, *options: str) -> None:
    """Build the one recipe of the folder, which needs no name; nor does `run`."""
    done = project.command("build", *options, timeout=LONG)
    assert done.code == 0, done.err


def only(project: Project, name: str) -> dict:
    (instance,) = [
        entry for entry in json.loads(project.command("ps", "-a", "--format", "json").out) if entry["name"] == name
    ]
    return instance


@pytest.mark.parametrize("service", [pytest.param(entry, id=entry.name) for entry in SERVICES])
def test_a_service_is_built_and_answers_over_its_port(service, of_recipe):
    project = of_recipe(service.name)
    build(project)
    build(project, "--locked=exact")
    run = project.command("run", "-d", "--name", "one", "-p", service.port, *service.words, timeout=LONG)
    assert run.code == 0, run.err

    def healthy() -> bool:
        state = only(project, "one")
        assert state["state"] == "running", project.command("logs", "one").out
        return state["health"] == "healthy"

    assert wait_for(healthy, LONG), (only(project, "one"), project.command("logs", "one").out)
    (port,) = [published["port"] for published in only(project, "one")["ports"]]
    assert service.answer in service.ask(port)
    stopped = project.command("stop", "-t", "60", "one")
    assert stopped.code == 0, stopped.err
    assert only(project, "one")["code"] != 137, "it ends by its stop signal"


def test_what_is_written_outlives_a_stop(of_recipe):
    project = of_recipe("redis")
    build(project)
    assert project.command("run", "-d", "--name", "one", "--", "--appendonly", "yes").code == 0
    assert wait_for(lambda: only(project, "one")["health"] == "healthy", LONG)
    assert project.command("exec", "one", "--", "redis-cli", "SET", "name", "ada").out == "OK\n"
    assert project.command("restart", "one").code == 0
    assert wait_for(lambda: project.command("exec", "one", "--", "redis-cli", "GET", "name").out == "ada\n", LONG)


def test_wordpress_and_its_database_are_a_group(of_recipe):
    project = of_recipe("wordpress")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    up = project.command("up", PORT=str(port), DB_PASSWORD="s3cret", timeout=LONG)
    assert up.code == 0, up.err
    assert "WordPress" in page("/wp-admin/install.php")(port)
    assert project.command("down", "--volumes").code == 0


def test_a_devcontainer_compiles_what_is_in_the_directory(of_recipe):
    project = of_recipe("devcontainer")
    build(project)
    project.write("hello.c", "#include <stdio.h>", 'int main(void) { puts("hello"); return 0; }')
    make = project.command("run", "--here", "--", "sh", "-c", "gcc -o hello hello.c && ./hello && git init -q .")
    assert (make.code, make.out) == (0, "hello\n"), make.err
    assert (project.folder / ".git").is_dir()
    assert project.command("run", "--", "bash", "-c", "whoami; touch /etc/x").out == "dev\n"
    serve = ("python3", "-m", "http.server", "8000", "--directory", "/etc")
    assert project.command("run", "-d", "--name", "one", "-p", "8000", "--", *serve).code == 0
    (port,) = [published["port"] for published in only(project, "one")["ports"]]
    pages: list[str] = []

    def answers() -> bool:
        try:
            pages.append(page("/os-release")(port))
        except OSError:  # nobody listens inside yet
            return False
        return True

    assert wait_for(answers, LONG)
    assert "bookworm" in pages[0]

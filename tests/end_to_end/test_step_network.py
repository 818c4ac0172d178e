"""Steps with `network`, as a user has them: what they reach, what is said of it, and what is kept."""

import hashlib
import json
import shutil
import socket
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.history.conftest import Git

pytestmark = pytest.mark.namespaces


@pytest.fixture
def server(tmp_path: Path):
    """A web server on loopback that serves a folder."""
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "file").write_text("content\n")

    class Handler(SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def __init__(self, *words: object) -> None:
            super().__init__(*words, directory=str(folder))

        def log_message(self, *_: object) -> None:
            pass

    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.daemon_threads = True
    made.folder = folder
    made.place = f"127.0.0.1:{made.server_port}"
    thread = threading.Thread(target=lambda: made.serve_forever(0.05))
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def network_of(project, number: int = 1) -> dict:
    return project.show()["steps"][number - 1]["network"]


def test_what_a_step_fetched_is_on_record_and_a_build_that_asks_more_says_so(project, server):
    fetch = f'run(network="{server.place}") wget -q -O /file http://{server.place}/file?token=1'
    first = project.build(fetch, "run echo without")
    assert first.code == 0, first.out
    record = network_of(project)
    assert (record["mode"], record["asked"], record["refused"]) == ("listed", [server.place], [])
    (answer,) = record["answers"]
    assert answer[:3] == ["GET", f"http://{server.place}/file?...", 200]
    assert answer[4] == 8
    assert "network" not in project.show()["steps"][1]
    assert f"asked    {server.place}" in project.command("show", "web").out

    (server.folder / "file").write_text("changed\n")
    (server.folder / "more").write_text("more\n")
    more = f"{fetch}; wget -q -O /more http://{server.place}/more"
    assert project.build(more, "run echo without").code == 0
    shown = project.command("diff", "web@{1}", "web").out
    assert "another answer" in shown
    assert f"this build also fetched  GET http://{server.place}/more" in " ".join(shown.split("   "))
    report = json.loads(project.command("diff", "web@{1}", "web", "--format", "json").out)
    assert [(request["kind"], request["verb"]) for request in report["network"]] == [
        ("answer", "changed"),
        ("answer", "added"),
    ]
    for form in ("markdown", "html"):
        assert "this build also fetched" in project.command("diff", "web@{1}", "web", "--format", form).out


def test_a_host_that_is_not_in_the_list_fails_the_step_by_name_with_the_option_that_allows_it(project, server):
    done = project.build(f'run(network="a.example, {server.place}") wget -q -O - http://elsewhere.example:8080/')
    assert done.code == 1
    message = done.of("step-failed")[0]["message"]
    assert "the step was refused elsewhere.example:8080" in message
    assert f'network="127.0.0.1:{server.server_port}, a.example, elsewhere.example:8080"' in message


@pytest.mark.user
def test_without_a_list_this_machine_is_out_of_reach_by_any_way(project, server):
    with socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind("\0envbuild-test-network")
        abstract.listen()
        done = project.build(
            "run(network)",
            f"    nc -w 2 127.0.0.1 {server.server_port} </dev/null && echo reached",
            f"    no_proxy= wget -q -O - http://{server.place}/file && echo reached",
            "    no_proxy= wget -q -O - http://169.254.169.254/latest && echo reached",
            "    cat /proc/net/unix | grep -c envbuild-test-network || true",
            "    ls /sys/class/net; cat /proc/net/dev | grep -c :",
        )
    assert (done.code, done.printed.splitlines()[-3:]) == (0, ["0", "lo", "1"])
    assert "reached" not in done.printed
    assert network_of(project)["refused"] == [server.place, "169.254.169.254:80"]


@pytest.mark.user
def test_a_server_of_the_list_is_connected_to_by_its_name(project):
    """As ssh does, which knows of no proxy. The machine's own proxy plays the server here."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            for _ in range(2):
                link, _ = listening.accept()
                with link:
                    while not link.recv(1 << 16).endswith(b"\r\n\r\n"):
                        pass
                    link.sendall(b"HTTP/1.1 200 Connected\r\n\r\nof the server\n")

        listening.settimeout(120)
        thread = threading.Thread(target=answer)
        thread.start()
        proxy = f"http://127.0.0.1:{listening.getsockname()[1]}"
        own = "    10.0.0.1 db"
        done = project.build(
            'run(network="git.example:2222") nc git.example 2222; nc git.example 22 2> /dev/null || echo refused',
            "file /etc/hosts",
            own,
            'run(network="git.example:2222") nc git.example 2222; echo 10.0.0.2 queue >> /etc/hosts',
            https_proxy=proxy,
        )
        thread.join()
    assert (done.code, done.printed) == (0, "of the server\nrefused\nof the server\n")
    assert (network_of(project)["asked"], network_of(project)["refused"]) == (["git.example:2222"], [])
    assert project.cat("/etc/hosts") == "10.0.0.1 db\n10.0.0.2 queue\n"


def test_what_can_not_be_looked_up_is_explained(project):
    done = project.build("run(network) ping -c 1 example.org || nc example.org 80")
    assert done.code == 1
    message = done.of("step-failed")[0]["message"]
    assert "only HTTP and HTTPS pass" in message
    assert 'network="HOST:PORT"' in message
    assert "network=host" in message


def test_the_list_is_part_of_the_key_and_its_order_is_not(project):
    assert project.build('run(network="b.example, A.example:443") true').ran[-1].startswith("run(")
    assert project.build('run(network="a.example:443  b.example.") true').ran == []
    assert len(project.build('run(network="a.example b.example") true').ran) == 1
    assert len(project.build("run(network) true").ran) == 1
    assert len(project.build("run(network=host) true").ran) == 1


@pytest.mark.user
def test_the_whole_network_is_given_only_where_it_is_asked_for_and_said(project, server):
    done = project.build(f"run(network=host) wget -q -O /file http://{server.place}/file")
    assert done.code == 0, done.out
    (note,) = done.of("notice")
    assert note["message"].startswith("web.env:2: with network=host the step reaches all that this machine does")
    assert network_of(project) == {"mode": "machine", "asked": [], "refused": [], "answers": [], "more": 0}
    assert "the whole network of this machine" in project.command("show", "web").out
    assert project.build(f"run wget -q -O /file http://{server.place}/file || echo other > /file").code == 0
    assert "no longer given" in project.command("diff", "web@{1}", "web").out


def test_the_lock_alone_tells_a_colleague_what_a_build_asked_and_binds_nobody_to_the_answers(project, server, tmp_path):
    git = Git(project)
    git("init", "--quiet", "--initial-branch=main")
    fetch = f'run(network="{server.place}") wget -q -O - http://{server.place}/file | grep -q . && echo got > /x'
    assert project.build(fetch).code == 0
    git.commit("one")
    (server.folder / "more").write_text("more\n")
    more = f'run(network="nosuch.invalid, {server.place}") wget -q -O /more http://{server.place}/more'
    assert project.build(fetch, more, "run(network=host) true").code == 0
    git.commit("two")
    lock = project.folder / "web.env.lock"
    text = lock.read_text()
    assert text.count(" reach listed\n") == 2
    assert text.count(" reach machine\n") == 1
    assert (
        f" fetched GET http://{server.place}/more 200 {hashlib.sha256(b'more' + bytes([10])).hexdigest()} 5\n" in text
    )

    theirs = {"ENVBUILD_STORE": str(tmp_path / "theirs")}
    shown = " ".join(project.command("diff", "git:HEAD~1:web.env", "git:HEAD:web.env", **theirs).out.split())
    assert "not in this store" in shown
    assert "this build also had the whole network network=host" in shown
    assert f"this build also fetched GET http://{server.place}/more" in shown
    comment = project.command("git", "check", "HEAD~1..HEAD", **theirs)
    assert (comment.code, comment.out.count("with network=host the step reaches all that this machine does")) == (0, 1)
    assert "`web.env:4: with network=host" in comment.out
    assert "| this build also had the whole network | `network=host` |" in comment.out
    (check,) = json.loads(project.command("git", "check", "HEAD~1..HEAD", "--format", "json", **theirs).out)
    assert [(request["kind"], request["verb"]) for request in check["report"]["network"]] == [
        ("mode", "added"),
        ("answer", "added"),
    ]
    assert len(check["notes"]) == 1
    said = project.command("show", "web.env.lock", **theirs).out
    assert f"  asked {server.place}\n" in said
    assert [request["mode"] for request in project.show("web.env.lock")["network"]].count("machine") == 1
    project.command("git", "install", **theirs)
    assert "! this build also had the whole network network=host\n" in git("diff", "HEAD~1", "--", "web.env.lock")

    # Another answer, and the same tree.
    (server.folder / "file").write_text("other\n")
    locked = project.build(options=("--locked=exact",), **theirs)
    assert (locked.code, len(locked.ran)) == (0, 4)
    assert len(locked.of("notice")) == 1  # of network=host
    assert project.build(**theirs).code == 0
    assert lock.read_text() == text
    # A line that somebody took out is told, and comes back.
    lock.write_text("".join(line for line in text.splitlines(True) if " asked " not in line))
    notices = [notice["message"] for notice in project.build(options=("--locked",), **theirs).of("notice")]
    assert len(notices) == 2
    assert all(f"also asked {server.place}, which " in message for message in notices)
    assert project.build(**theirs).code == 0
    assert lock.read_text() == text


def test_proxies_of_the_machine_are_used_and_the_step_sees_none_of_them(project, server):
    proxy = f"http://me:secret@{server.place}"
    done = project.build(
        "run(network) wget -q -O - http://far.example/file || true; env | grep -i proxy | sort",
        http_proxy=proxy,
        https_proxy=proxy,
        all_proxy=proxy,
    )
    assert done.code == 0, done.out
    assert "secret" not in done.printed
    assert "http_proxy=http://127.0.0.1:31280" in done.printed
    assert "all_proxy" not in done.printed
    assert network_of(project)["asked"] == ["far.example:80"]


@pytest.mark.user
def test_a_step_that_ends_or_is_ended_leaves_no_proxy_that_is_waited_for(project, server):
    hanging = f"nc {' '.join(('127.0.0.1', '31280'))} & sleep 0.2; echo over"
    done = project.build(f"run(network, timeout=20s) {hanging}", f"run(network, timeout=1s) {hanging}; sleep 60")
    assert done.code == 1
    assert "took longer than timeout=1s" in done.of("step-failed")[0]["message"]


def test_steps_without_a_network_load_nothing_of_it(project):
    project.write("web.env", "from tar:busybox.tar", "run true")
    names = ("envbuild.build.sandbox_actions", "envbuild.build.step_network", "asyncio")
    done = subprocess.run(
        [sys.executable, Path(__file__).parents[1] / "cli" / "loaded_modules.py", " ".join(names), "build", "web.env"],
        cwd=project.folder,
        env=project.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "0 ['envbuild.build.sandbox_actions']"


@pytest.mark.root
@pytest.mark.skipif(shutil.which("ip") is None, reason="iproute2 is not installed")
def test_names_lead_to_other_machines_and_never_to_this_one(project, tmp_path):
    """In a network of the test's own, where /etc/hosts plays the name server: a neighbour, and two lies."""
    hosts = tmp_path / "hosts"
    hosts.write_text(
        "10.99.0.2 near.example\n127.0.0.1 loop.example\n10.99.0.1 own.example\n169.254.169.254 meta.example\n"
    )
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "file").write_text("from near\n")
    project.write(
        "web.env",
        "from tar:busybox.tar",
        'run(network="*.example:8000")',
        "    wget -q -O - http://near.example:8000/file",
        "    for name in loop own meta; do",
        "        wget -q -O - http://$name.example:8000/file && echo reached $name || true",
        "    done",
    )
    script = f"""
set -eu
mount --bind {hosts} /etc/hosts
ip link set lo up
serve='exec {sys.executable} -m http.server 8000 --directory {tmp_path}/served'
unshare --net sh -c "echo ready; read go; $serve >/dev/null" <{tmp_path}/go >{tmp_path}/ready 2>/dev/null &
near=$!
exec 3>{tmp_path}/go
read ready <{tmp_path}/ready
ip link add v0 type veth peer name v1 netns $near
ip addr add 10.99.0.1/24 dev v0
ip link set v0 up
nsenter --net=/proc/$near/ns/net sh -c 'ip addr add 10.99.0.2/24 dev v1; ip link set v1 up'
sh -c "$serve" >/dev/null 2>&1 &
own=$!
echo go >&3
trap "kill $near $own" EXIT
connect='import socket; socket.create_connection(("10.99.0.2", 8000), 1)'
for try in $(seq 100); do {sys.executable} -c "$connect" 2>/dev/null && break; sleep 0.3; done
{sys.executable} -m envbuild build web.env --progress json
"""
    for pipe in ("go", "ready"):
        subprocess.run(["mkfifo", str(tmp_path / pipe)], check=True)
    done = subprocess.run(
        ["unshare", "--net", "--mount", "bash", "-c", script],
        cwd=project.folder,
        env=project.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "from near" in done.stdout
    assert "reached" not in "".join(
        json.loads(line).get("data", "") for line in done.stdout.splitlines() if line.startswith("{")
    )
    record = network_of(project)
    assert record["refused"] == ["loop.example:8000", "meta.example:8000", "own.example:8000"]
    assert [answer[1] for answer in record["answers"]] == ["http://near.example:8000/file"]

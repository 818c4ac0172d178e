"""Mapped ports against this machine's own loopback: throughput, and what is added to a round trip.

The same programs on both sides, measured in turn in one run: the service runs once on the machine itself and once in an
instance on the busybox image that has the machine's /usr. Needs python3, and iperf3 for the throughput.
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from benchmarks.bench import ENVBUILD, Bench
from benchmarks.peers import Missing

IPERF = "/usr/bin/iperf3"
"""The same path inside, where the machine's /usr is mounted."""
ROUND_TRIPS = 20_000
SECONDS = 4
ECHO = """
import socket, sys
listener = socket.create_server((sys.argv[1], int(sys.argv[2])))
print(listener.getsockname()[1], flush=True)
while True:
    link, _ = listener.accept()
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while data := link.recv(65536):
        link.sendall(data)
"""


def measure(bench: Bench) -> None:
    """All rows of this file."""
    if not os.path.exists("/usr/bin/python3"):
        raise Missing("/usr/bin/python3 is not installed")
    rates = os.path.exists(IPERF)
    if not rates:
        bench.leave_out("throughput of a mapped port", "iperf3 is not installed")
    (bench.folder / "echo.py").write_text(ECHO)
    bench.call([*ENVBUILD, "build", bench.recipe("ports", ["run mkdir -p /usr /lib /lib64 /srv"])])
    script = "exec /usr/bin/python3 /srv/echo.py 0.0.0.0 7"
    if rates:
        script = f"{IPERF} --server > /dev/null & {script}"
    folders = [f"{path}:{path}:ro" for path in ("/usr", "/lib", "/lib64") if os.path.isdir(path)]
    mounts = [word for mount in (*folders, f"{bench.folder}/echo.py:/srv/echo.py:ro") for word in ("-v", mount)]
    ports = ["-p", "127.0.0.1:0:5201", "-p", "127.0.0.1:0:7"]
    bench.call([*ENVBUILD, "run", "-d", "--name", "served", *mounts, *ports, "ports", "--", "/bin/sh", "-c", script])
    try:
        with _services(bench) as own:
            mapped = _ports_of(bench, "served")
            _wait_for(mapped if rates else mapped[1:])
            if rates:
                _compare_rates(bench, own[0], mapped[0])
            _compare_round_trips(bench, own[1], mapped[1])
    finally:
        bench.call([*ENVBUILD, "rm", "-f", "served"])


def _compare_rates(bench: Bench, own: int, mapped: int) -> None:
    taken = bench.in_turn({"own": lambda: _throughput(own), "mapped": lambda: _throughput(mapped)}, 3)
    plain, through = statistics.median(taken["own"]), statistics.median(taken["mapped"])
    print(f"throughput on the loopback {plain / 1e9:.1f} Gbit/s, through a mapped port {through / 1e9:.1f} Gbit/s")
    bench.report("times as long for the same bytes through a mapped port", plain / through, unit="times", target=2)


def _compare_round_trips(bench: Bench, own: int, mapped: int) -> None:
    taken = bench.in_turn({"own": lambda: _round_trip(own), "mapped": lambda: _round_trip(mapped)}, 3)
    direct, longer = statistics.median(taken["own"]), statistics.median(taken["mapped"])
    print(f"round trip on the loopback {direct * 1e6:.0f} us, through a mapped port {longer * 1e6:.0f} us")
    bench.report("what a mapped port adds to a round trip of one byte", (longer - direct) * 1e6, unit="us", target=100)


@contextmanager
def _services(bench: Bench) -> Iterator[tuple[int, int]]:
    """The two services on the machine itself: their ports."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        number = free.getsockname()[1]
    quiet = subprocess.DEVNULL
    words = [sys.executable, str(bench.folder / "echo.py"), "127.0.0.1", "0"]
    echo = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    services = [echo]
    if os.path.exists(IPERF):
        services.append(subprocess.Popen([IPERF, "--server", "--port", str(number)], stdout=quiet))
    try:
        assert echo.stdout is not None
        yield number, int(echo.stdout.readline())
    finally:
        for process in services:
            process.kill()
            process.wait()


def _ports_of(bench: Bench, name: str) -> tuple[int, int]:
    words = [*ENVBUILD, "ps", "--format", "json"]
    done = subprocess.run(words, env=bench.environment, capture_output=True, text=True, check=True)
    found = next(one for one in json.loads(done.stdout) if one["name"] == name)
    first, second = (one["port"] for one in found["ports"])
    return first, second


def _wait_for(ports: Sequence[int]) -> None:
    for port in ports:
        for _ in range(100):
            with socket.create_connection(("127.0.0.1", port)) as link:
                link.settimeout(0.2)
                try:
                    if link.send(b"x") and link.recv(1):
                        break
                except TimeoutError:
                    break  # it listens, and has nothing to say to that
                except OSError:
                    time.sleep(0.1)


def _throughput(port: int) -> float:
    """Bits each second."""
    words = [IPERF, "--client", "127.0.0.1", "--port", str(port), "--time", str(SECONDS), "--json"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Missing(f"iperf3: {done.stdout[-200:]}")
    return float(json.loads(done.stdout)["end"]["sum_received"]["bits_per_second"])


def _round_trip(port: int) -> float:
    """Seconds, the median of many."""
    taken = []
    with socket.create_connection(("127.0.0.1", port)) as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(ROUND_TRIPS):
            started = time.perf_counter()
            link.send(b"x")
            link.recv(1)
            taken.append(time.perf_counter() - started)
    return statistics.median(taken)

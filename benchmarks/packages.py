"""Declared packages against a Dockerfile that installs the same ones: Debian with python3, git and curl, a virtual
environment with flask and requests, and an application copied in. All files are at hand for all: envbuild has them in
its package cache, the peers in a folder of packages and one of wheels, so that no network is timed."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Callable

from benchmarks.bench import ENVBUILD, Bench
from benchmarks.peers import BUILDERS, Missing, Peer

RECIPE = """\
from debian:bookworm
apt python3 python3-venv git curl
pip(into=/opt/venv) flask requests
copy app/ -> /srv/app/
"""
DOCKERFILE = (
    "RUN --mount=type=bind,source=debs,target=/debs echo 'deb [trusted=yes] file:/debs ./' > /etc/apt/sources.list "
    "&& apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "
    "python3 python3-venv git curl && rm -rf /var/lib/apt/lists/*",
    "RUN --mount=type=bind,source=wheels,target=/wheels python3 -m venv /opt/venv "
    "&& /opt/venv/bin/pip install --no-index --find-links /wheels flask requests",
    "COPY app /srv/app",
)


def measure(bench: Bench) -> None:
    _write_context(bench)
    bench.envbuild("build", "app.env", runs=1)
    _copy_packages(bench)
    peers = {name: peer for name, peer in bench.peers.items() if name in BUILDERS and _has_debian(bench, peer)}
    context = bench.folder / "app-context"

    def compare(what: str, runs: int, edit: Callable[[], None], *, cache: bool, target: float | None = None) -> None:
        """All in turn, again and again: a machine that is slower for a while is so for each of them."""
        own: list[float] = []
        found: dict[str, list[float]] = {}
        for _ in range(runs + 1):
            edit()
            own.append(bench.call([*ENVBUILD, "build", "app.env", *([] if cache else ["--no-cache"])]))
            for name, peer in list(peers.items()):
                base, peer.base = peer.base, "debian"
                edit()
                try:
                    words = peer.build(DOCKERFILE, context, cache=cache, name="app")
                    found.setdefault(name, []).append(bench.call(words, peer))
                except Missing as reason:
                    print(f"{name}: {reason}", flush=True)
                    del peers[name]
                finally:
                    peer.base = base
        bench.report(what, own[1:], {name: times[1:] for name, times in found.items()}, target)

    number = itertools.count()

    def edit() -> None:
        (context / "app/main.py").write_text(f"VERSION = {next(number)}\n")

    compare("Debian, apt, pip and an application: all steps", max(2, bench.runs), lambda: None, cache=False)
    compare("the same, nothing changed", bench.runs, lambda: None, cache=True)
    compare("the same, after an edit of the application", bench.runs, edit, cache=True, target=150)


def _write_context(bench: Bench) -> None:
    folder = bench.folder / "app-context/app"
    folder.mkdir(parents=True)
    for number in range(20):
        (folder / f"module{number}.py").write_text(f"NUMBER = {number}\n" * 50)
    os.symlink("app-context/app", bench.folder / "app")
    (bench.folder / "app.env").write_text(RECIPE)


def _copy_packages(bench: Bench) -> None:
    """The files that the build fetched, as a folder of packages and one of wheels."""
    from envbuild.debian.deb import index_of
    from envbuild.lockfile import lock_file as lock

    path = bench.folder / "app.env.lock"
    (stage,) = lock.parse(path.read_text(), str(path)).stages
    cache = bench.folder / "store/packages"
    for step, name in zip(stage.installs, ("debs", "wheels"), strict=False):
        folder = bench.folder / "app-context" / name
        folder.mkdir()
        pairs = [(one, str(cache / one.hash.replace(":", "-"))) for one in step.packages]
        for one, source in pairs:
            os.link(source, folder / one.origin.rpartition("/")[2])
        if name == "debs":
            (folder / "Packages").write_bytes(index_of(pairs))


def _has_debian(bench: Bench, peer: Peer) -> bool:
    """Gives a peer the same Debian, as an image of that name."""
    archive = bench.folder / "debian.tar"
    if not archive.exists():
        words = ["mmdebstrap", "--variant=minbase", "--format=tar", "bookworm", str(archive)]
        subprocess.run(words, capture_output=True, check=True)
    try:
        peer.import_archive(archive, "debian")
    except Missing as reason:
        bench.leave_out(f"{peer.name} with Debian", reason)
        return False
    return True

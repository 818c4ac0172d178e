"""Images that leave the store and come back: export, import, push and pull, against docker, buildah, skopeo and umoci.

Content is what programs are made of: the files of this machine's /usr. All start from a cold store: nothing was
compressed, pushed or pulled before, and what the peers keep of an image is removed before each run.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from benchmarks.bench import ENVBUILD, Bench
from benchmarks.peers import BUILDERS, Missing
from benchmarks.registry import Registry, Relay

IMAGE, ARCHIVE = 400 << 20, 128 << 20
_SOURCES = ("/usr/lib/x86_64-linux-gnu", "/usr/lib/python3", "/usr/bin", "/usr/share", "/usr/lib")
_LARGEST = 32 << 20
_CHANGED = 1 << 20
Commands = dict[str, Callable[[], float]]


def measure_export(bench: Bench) -> None:
    """Report the first export of an image of 400 MB."""
    _build(bench, "big", "files", [])
    target = bench.folder / "exported"

    def own() -> float:
        shutil.rmtree(bench.folder / "store/blobs", ignore_errors=True)
        _remove(target)
        return bench.call([*ENVBUILD, "export", "big", "-o", str(target)])

    commands: Commands = {"own": own}
    for name in BUILDERS:
        peer = bench.peers.get(name)
        if peer is not None and peer.save("big", target) is not None:

            def save(peer=peer) -> float:  # type: ignore[no-untyped-def]
                _remove(target)
                return bench.call(peer.save("big", target), peer)

            commands[_save_name(name)] = save
    taken = bench.in_turn(commands, min(bench.runs, 3))
    _report(bench, "first `export` of 400 MB", taken, 0.7)
    _remove(target)


def measure_import(bench: Bench) -> None:
    """Report the import of what `docker save` wrote of an image of 128 MB."""
    docker = bench.peers.get("BuildKit")
    if docker is None:
        raise Missing("needs docker, whose archive it is")
    _fill(bench.folder / "small", ARCHIVE)
    _build(bench, "saved", "small", [])
    archive = bench.folder / "saved.tar"
    docker.call(["/usr/bin/docker", "save", "saved", "-o", str(archive)])

    def own() -> float:
        store = bench.folder / "importing"
        shutil.rmtree(store, ignore_errors=True)
        return bench.call(["env", f"ENVBUILD_STORE={store}", *ENVBUILD, "import", str(archive)])

    commands: Commands = {"own": own}
    for name in BUILDERS:
        if peer := bench.peers.get(name):

            def load(peer=peer) -> float:  # type: ignore[no-untyped-def]
                peer.forget("saved", "localhost/saved", "docker.io/library/saved")
                return bench.call(peer.load(archive), peer)

            commands[name] = load
    taken = bench.in_turn(commands, min(bench.runs, 5))
    _report(bench, "`import` of a docker archive of 128 MB", taken, 0.7)


def measure_push(bench: Bench) -> None:
    """Report a push after one file of an application was changed, with what went over the wire."""
    registry = Registry(bench.folder / "registry-push")
    try:
        _push(bench, registry)
    finally:
        registry.close()


def _push(bench: Bench, registry: Registry) -> None:
    app = bench.folder / "app"
    app.mkdir()
    source = next(
        path for path in sorted(Path("/usr/bin").iterdir()) if path.stat().st_size > 4 * _CHANGED
    ).read_bytes()
    for number in range(20):
        (app / f"part{number}").write_bytes(source[number << 14 :][: _CHANGED // 8])
    changed = app / "changed"
    changes = iter(range(10_000))
    relay = Relay(registry.port)

    def change() -> None:
        shift = next(changes) << 8
        changed.write_bytes(source[shift:][:_CHANGED])

    change()
    _build(bench, "pushed", "files", ["app"])
    pushes: dict[str, tuple[str, Callable[[str], list[str]]]] = {
        "own": ("", lambda host: [*ENVBUILD, "push", "pushed", f"{host}/own:1"])
    }
    if docker := bench.peers.get("BuildKit"):
        pushes["docker"] = ("BuildKit", lambda host: docker.push("pushed", f"{host}/docker:1") or [])
    if buildah := bench.peers.get("buildah"):
        pushes["buildah"] = ("buildah", lambda host: buildah.push("pushed", f"{host}/buildah:1") or [])
        if shutil.which("skopeo"):
            storage = f"[overlay@{buildah.folder / 'storage'}+{buildah.folder / 'run'}]"
            words = ["skopeo", "copy", "-q", "--dest-tls-verify=false"]
            image = f"containers-storage:{storage}localhost/pushed:latest"
            pushes["skopeo"] = ("buildah", lambda host: [*words, image, f"docker://{host}/skopeo:1"])

    def pushing(name: str, host: str) -> float:
        tool, words = pushes[name]
        change()
        _rebuild(bench, "pushed", "files", ["app"], tool)
        return bench.call(words(host), bench.peers.get(tool))

    commands: Commands = {name: lambda name=name: pushing(name, registry.host) for name in pushes}  # type: ignore[misc]
    taken = bench.in_turn(commands, min(bench.runs, 5))
    _report(bench, "`push` after a change of one file", taken, 1, most=500)
    sent: dict[str, float] = {}
    for name in pushes:
        pushing(name, relay.host)  # what is known of the registry under its other name
        before = relay.sent
        pushing(name, relay.host)
        sent[name] = (relay.sent - before) / 1000
    relay.close()
    bench.report("bytes of such a push on the wire", sent.pop("own"), dict(sent), unit="kB")
    bench.report("the changed file, compressed", _compressed(changed) / 1000, unit="kB")


def measure_pull(bench: Bench) -> None:
    """Report pulls into an empty store, and of the next version."""
    registry = Registry(bench.folder / "registry-pull")
    try:
        _pull(bench, registry)
    finally:
        registry.close()


def _pull(bench: Bench, registry: Registry) -> None:
    host = registry.host
    docker = bench.peers.get("BuildKit")
    if docker:
        docker.forget("big", "pushed")  # they have the same layer
    for version in ("1", "2"):
        if version == "2":
            _change_a_hundredth(bench.folder / "files")
        _build(bench, "pulled", "files", [])
        bench.call([*ENVBUILD, "push", "pulled", f"{host}/own:{version}"])
        if docker:
            bench.call(docker.push("pulled", f"{host}/docker:{version}") or [], docker)
            docker.forget("pulled", f"{host}/docker:{version}")
    store, copy = bench.folder / "pulling", bench.folder / "copied"

    def pull(name: str, version: str) -> float:
        return bench.call(["env", f"ENVBUILD_STORE={store}", *ENVBUILD, "pull", f"{host}/{name}:{version}"])

    def own(name: str = "own") -> float:
        shutil.rmtree(store, ignore_errors=True)
        return pull(name, "1")

    def docker_pull(version: str = "1") -> float:
        assert docker is not None
        docker.forget(f"{host}/docker:{version}")
        return bench.call(docker.pull(f"{host}/docker:{version}") or [], docker)

    commands: Commands = {"own": own}
    if docker:
        commands["envbuild, of docker's"] = lambda: own("docker")
        commands["docker"] = docker_pull
        if shutil.which("skopeo") and shutil.which("umoci"):
            source = f"skopeo copy -q --src-tls-verify=false docker://{host}/docker:1 oci:{copy}/layout:1"
            words = ["sh", "-c", f"{source} && umoci unpack --image {copy}/layout:1 {copy}/bundle"]

            def skopeo() -> float:
                _remove(copy)
                copy.mkdir()
                return bench.call(words)

            commands["skopeo and umoci"] = skopeo
    taken = bench.in_turn(commands, min(bench.runs, 3))
    _report(bench, "`pull` of 400 MB into an empty store", taken, 0.8)
    _remove(copy)

    def own_next() -> float:
        own()
        return pull("own", "2")

    commands = {"own": own_next}
    if docker:
        docker_pull("1")
        commands["docker"] = lambda: docker_pull("2")
    taken = bench.in_turn(commands, min(bench.runs, 3))
    _report(bench, "`pull` of the next version, 1 % changed", taken, 0.1)
    relay = Relay(registry.port)
    own()
    words = ["env", f"ENVBUILD_STORE={store}", *ENVBUILD, "pull", f"{relay.host}/own:2"]
    bench.call(words)
    bench.report("bytes of such a pull on the wire", relay.came / 1e6, unit="MB")
    relay.close()


def _report(bench: Bench, what: str, taken: dict[str, list[float]], share: float, most: float = 0) -> None:
    """Report a row whose target is a share of the fastest other tool, or `most` milliseconds."""
    own = taken.pop("own")
    others = [sorted(values)[len(values) // 2] for name, values in taken.items() if not name.startswith("envbuild")]
    bench.report(what, own, dict(taken), most or (share * min(others) * 1000 if others else None))


def _build(bench: Bench, name: str, folder: str, more: list[str]) -> None:
    """Build an image of a folder's files, and of more folders, with all tools."""
    if folder == "files":
        _fill(bench.folder / folder, IMAGE)
    for tool in ("", *BUILDERS):
        _rebuild(bench, name, folder, more, tool)


def _rebuild(bench: Bench, name: str, folder: str, more: list[str], tool: str) -> None:
    if not tool:
        bench.call([*ENVBUILD, "build", bench.recipe(name, [f"copy {it}/ -> /{it}/" for it in (folder, *more)])])
    elif peer := bench.peers.get(tool):
        context = bench.folder / f"{name}-context"
        context.mkdir(exist_ok=True)
        for it in (folder, *more):
            _mirror(bench.folder / it, context / it)
        bench.call(peer.build([f"COPY {it} /{it}" for it in (folder, *more)], context, name=name), peer)


def _mirror(source: Path, target: Path) -> None:
    """Make a folder the same as another one, by hard links: a build's context has only what it copies."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, copy_function=os.link)


def _fill(folder: Path, size: int) -> None:
    """Copy this machine's programs, until there are so many bytes."""
    if folder.exists():
        return
    left = size
    for source in _SOURCES:
        for where, folders, names in os.walk(source):
            folders.sort()
            for name in sorted(names):
                path = f"{where}/{name}"
                if os.path.islink(path) or not os.path.isfile(path) or os.path.getsize(path) > min(_LARGEST, left):
                    continue
                target = folder / path.lstrip("/")
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
                left -= os.path.getsize(path)
    if left > size // 20:
        raise Missing(f"this machine's /usr has not the {size >> 20} MB of files that this needs")


def _change_a_hundredth(folder: Path) -> None:
    """Change files that make up a hundredth of all bytes, here and there in the folder."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    left = IMAGE // 100
    for path in paths[:: max(1, len(paths) // 97)] * 2:
        size = path.stat().st_size
        if 0 < size <= left:
            content = path.read_bytes()
            path.unlink()  # it may be linked from contexts
            path.write_bytes(os.urandom(min(size, 64)) + content[64:])
            left -= size


def _compressed(path: Path) -> int:
    import zstandard

    return len(zstandard.ZstdCompressor(level=3).compress(path.read_bytes()))


def _save_name(name: str) -> str:
    return "docker save | zstd" if name == "BuildKit" else f"{name} push oci: (zstd)"


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)

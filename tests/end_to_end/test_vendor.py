"""`vendor`, `vendor --check`, `build --vendor` and `build --offline`, with files of a server on loopback."""

import hashlib
import json
import os
import subprocess

import pytest

from envbuild.build.fetch import content_of
from envbuild.lockfile import lock_file
from envbuild.lockfile.results import NO_RESULTS
from envbuild.store.store import Store
from tests.conftest import Project
from tests.packages.conftest import Server, server

pytestmark = pytest.mark.namespaces
__all__ = ["server"]
TOOL = hashlib.sha256(b"tool").hexdigest()


@pytest.fixture
def fetching(project, server: Server):
    """A recipe with a lock that pins two files of a server."""
    server.files |= {"/tool": b"tool", "/data": b"data"}
    lines = (f"fetch {server.address}/tool -> /usr/bin/", f"fetch {server.address}/data -> /data")
    done = project.build("from scratch", *lines)
    assert done.code == 0, done.err
    project.image = done.image
    return project


def on_an_empty_machine(project: Project) -> Project:
    """The same folder, with a store that has nothing."""
    return Project(project.folder, project.store.parent / "empty")


def vendored(project: Project) -> set[str]:
    return {str(path.relative_to(project.folder / "v")) for path in (project.folder / "v").rglob("*") if path.is_file()}


def check(project: Project, *words: str, **variables: str) -> tuple[int, list[dict]]:
    done = project.command("vendor", "--check", "--format", "json", *words, **variables)
    return done.code, json.loads(done.out)


def test_a_vendored_recipe_is_built_offline_on_an_empty_machine(fetching, server):
    done = fetching.command("vendor", "-o", "v")
    assert done.code == 0, done.err
    assert done.out == "v: 2 files, 8 B (2 from the store)\n"
    assert f"sha256/{TOOL}" in vendored(fetching)
    server.close()
    built = on_an_empty_machine(fetching).build(options=("--locked", "--offline", "--vendor", "v"))
    assert built.code == 0, built.err
    assert built.image == fetching.image


def test_files_are_fetched_where_the_store_lacks_them_and_good_ones_stay(fetching, server):
    empty = on_an_empty_machine(fetching)
    assert empty.command("vendor", "web.env", "-o", "v").out == "v: 2 files, 8 B (2 fetched)\n"
    tool = fetching.folder / "v/sha256" / TOOL
    mine = fetching.write("v/sha256/notes.txt", "mine")
    damaged = fetching.folder / "v/sha256" / hashlib.sha256(b"data").hexdigest()
    damaged.write_bytes(b"damaged")
    before = tool.stat()
    assert empty.command("vendor", "-o", "v").out == "v: 2 files, 8 B (1 there already, 1 fetched)\n"
    assert (tool.stat().st_ino, tool.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert (mine.read_text(), damaged.read_bytes()) == ("mine\n", b"data")


def test_a_place_is_asked_before_the_origin_and_a_lying_one_costs_a_warning(fetching, server):
    assert fetching.command("vendor", "-o", "v").code == 0
    (fetching.folder / "v/sha256" / TOOL).write_bytes(b"another tool")
    server.asked.clear()
    places = f"{fetching.folder}/v {server.address}/nothing"
    built = on_an_empty_machine(fetching).build(options=("--locked",), ENVBUILD_PLACES=places)
    assert built.image == fetching.image
    assert [path for path, _ in server.asked if "nothing" not in path] == ["/tool"]
    (warning,) = [event["message"] for event in built.of("notice") if event["level"] == "warning"]
    assert f"{TOOL}: it is another file than its name says" in warning


def test_places_that_are_down_cost_a_warning_and_never_the_build(fetching):
    built = on_an_empty_machine(fetching).build(ENVBUILD_PLACES="http://127.0.0.1:9 gone file:///not%20there")
    assert (built.code, built.image) == (0, fetching.image)
    warnings = [event["message"] for event in built.of("notice") if event["level"] == "warning"]
    assert len(warnings) == 3
    assert "/not there is left out: No such file" in warnings[2]
    # A build that needs no file asks no place.
    assert fetching.build(ENVBUILD_PLACES="http://127.0.0.1:9").of("notice") == []


def test_an_offline_build_names_what_it_lacks_before_anything_runs(fetching, server):
    server.asked.clear()
    empty = on_an_empty_machine(fetching)
    refused = empty.build(options=("--offline",))
    assert refused.code == 1
    assert refused.ran == []
    assert f"web.env:2: fetch {server.address}/tool -> /usr/bin/: sha256:{TOOL}" in refused.err
    assert "envbuild vendor web.env -o DIR" in refused.err
    assert empty.build(options=("--offline",), ENVBUILD_PLACES=server.address).code == 1
    assert server.asked == []


def test_an_offline_build_runs_no_networked_step_but_takes_its_result(project):
    lines = ("run echo 1 > /a", "run(network) echo 2 > /b")
    project.write("web.env", "from tar:busybox.tar", *lines)
    refused = project.build(options=("--offline",))
    assert (refused.code, refused.ran) == (1, [])
    assert "web.env:3: run(network) echo 2 > /b: it uses the network" in refused.err
    assert project.build().code == 0
    assert project.build(options=("--offline",)).code == 0
    # Its text has run before, and not on this tree.
    edited = project.build("run echo 3 > /a", lines[1], options=("--offline",))
    assert edited.code == 1
    assert "it uses the network" in edited.out + edited.err


def test_an_offline_build_without_a_lock_says_so(project, server):
    refused = project.build(f"fetch {server.address}/tool -> /a", options=("--offline",))
    assert refused.code == 1
    assert "neither the recipe nor the lock has its sha256" in refused.err


def test_the_check_says_where_each_file_would_come_from(fetching, server):
    assert fetching.command("vendor", "-o", "v").code == 0
    (fetching.folder / "v/sha256" / TOOL).unlink()
    code, (lock,) = check(fetching)
    assert (code, {file["from"] for file in lock["files"]}, lock["rebuildable"]) == (0, {"store"}, True)
    empty = on_an_empty_machine(fetching)
    server.asked.clear()
    code, (lock,) = check(empty, "-o", "v")
    assert (code, {file["name"]: file["from"] for file in lock["files"]}) == (0, {"tool": "origin", "data": "place"})
    assert server.asked == [("/tool", "bytes=0-0")]  # after HEAD, which this server does not know
    del server.files["/tool"]
    code, (lock,) = check(empty, ENVBUILD_PLACES=str(fetching.folder / "v"))
    assert (code, lock["rebuildable"]) == (1, False)
    (lost,) = [file for file in lock["files"] if file["from"] == "nowhere"]
    assert "404" in lost["reasons"][0]
    shown = empty.command("vendor", "--check")
    assert shown.code == 1
    assert "web.env.lock: can't be rebuilt on an empty machine: 2 files (1 nowhere, 1 origin)" in shown.out


def test_what_machines_of_other_architectures_need_is_vendored_too(fetching, server):
    path = fetching.folder / "web.env.lock"
    lock = lock_file.parse(path.read_text(), "web.env.lock")
    server.files["/tool-arm"] = b"tool for arm64"
    arm = hashlib.sha256(b"tool for arm64").hexdigest()
    data = hashlib.sha256(b"data").hexdigest()
    pins = ((f"{server.address}/data", data), (f"{server.address}/tool-arm", arm))
    other = lock.own.replace(architecture="arm64", fetched=pins, results=NO_RESULTS)
    path.write_text(lock_file.dump(lock.replace(others=(other,))))
    assert fetching.command("vendor", "-o", "v").out == "v: 3 files, 22 B (2 from the store, 1 fetched)\n"
    assert f"sha256/{arm}" in vendored(fetching)
    code, (checked,) = check(on_an_empty_machine(fetching))
    own = lock.own.architecture
    assert (code, checked["architectures"]) == (0, [own, "arm64"])
    assert {file["name"]: file["architectures"] for file in checked["files"]} == {
        "data": [own, "arm64"],
        "tool": [own],
        "tool-arm": ["arm64"],
    }
    assert {file["name"] for file in check(fetching, "--arch", "arm64")[1][0]["files"]} == {"data", "tool-arm"}
    del server.files["/tool-arm"]
    shown = on_an_empty_machine(fetching).command("vendor", "--check")
    assert (shown.code, "tool-arm - (arm64): nowhere" in shown.out) == (1, True)
    assert on_an_empty_machine(fetching).command("vendor", "--check", "--arch", own).code == 0
    refused = fetching.command("vendor", "--check", "--arch", "riscv64")
    assert (refused.code, "pins nothing for riscv64" in refused.err) == (2, True)
    # What a recipe is built from has to be pinned for the same machines.
    done = fetching.build("from recipe:web.env", "env TOP=1", name="top.env")
    assert done.code == 0, done.err
    top = fetching.folder / "top.env.lock"
    lock = lock_file.parse(top.read_text(), "top.env.lock")
    top.write_text(lock_file.dump(lock.replace(others=(lock.own.replace(architecture="armhf"),))))
    code, (below, _) = check(fetching, "top.env", "--arch", own)
    assert (code, below["not_files"]) == (0, [])
    server.files["/tool-arm"] = b"tool for arm64"
    code, (below, _) = check(fetching, "top.env")
    (item,) = below["not_files"]
    assert (code, item["architectures"], item["lost"]) == (1, ["armhf"], True)


def test_an_image_is_verified_with_the_files_of_a_directory(fetching, server):
    assert fetching.command("vendor", "-o", "v").code == 0
    with Store.open(str(fetching.store)) as store:
        os.unlink(content_of(store, TOOL))
    server.close()
    assert "tool" in fetching.command("verify", "web").err
    verified = fetching.command("verify", "web", "--vendor", "v")
    assert (verified.code, fetching.image in verified.out) == (0, True), verified.err


def test_one_file_that_is_gone_keeps_no_other_from_the_directory(fetching, server):
    del server.files["/tool"]
    done = on_an_empty_machine(fetching).command("vendor", "-o", "v")
    assert done.code == 1
    assert "/tool: 404" in done.err
    assert len(vendored(fetching)) == 1


def test_recipes_that_others_start_from_are_vendored_with_them(project, server):
    server.files |= {"/tool": b"tool", "/data": b"data"}
    assert project.build(f"fetch {server.address}/tool -> /tool", name="base.env").code == 0
    done = project.build("from recipe:base.env", f"fetch {server.address}/data -> /data")
    assert done.code == 0, done.err
    assert project.command("vendor", "web.env", "-o", "v").code == 0
    server.close()
    built = on_an_empty_machine(project).build(options=("--locked", "--offline", "--vendor", "v"))
    assert (built.code, built.image) == (0, done.image)


def test_what_is_no_file_is_named(project):
    assert project.build("run true", name="other.env").code == 0
    assert project.build("from image:other", "run(network) echo 1 > /a").code == 0
    done = project.command("vendor", "web.env", "-o", "v")
    assert done.code == 0
    assert "note: web.env: not vendored: web.env:2: run(network) echo 1 > /a" in done.err
    assert "image:other (sha256:" in done.err
    code, (lock,) = check(on_an_empty_machine(project), "web.env")
    assert (code, [item["lost"] for item in lock["not_files"]]) == (1, [False, True])


def test_files_can_be_read_by_whom_the_umask_lets(fetching):
    before = os.umask(0o077)
    try:
        assert fetching.command("vendor", "-o", "v", ENVBUILD_TESTS_REAL_START="1").code == 0
    finally:
        os.umask(before)
    modes = {path.stat().st_mode & 0o777 for path in (fetching.folder / "v").rglob("*") if path.is_file()}
    assert modes == {0o600}


def test_a_link_in_the_directory_is_not_written_through(fetching):
    victim = fetching.write("victim", "mine")
    (fetching.folder / "v/sha256").mkdir(parents=True)
    (fetching.folder / f"v/sha256/{TOOL}.part").symlink_to(victim)
    done = fetching.command("vendor", "-o", "v")
    assert done.code == 2
    assert "not a plain file" in done.err
    assert victim.read_text() == "mine\n"
    elsewhere = fetching.folder / "elsewhere"
    elsewhere.mkdir()
    (fetching.folder / "w").mkdir()
    (fetching.folder / "w/sha256").symlink_to(elsewhere)
    assert "it is not a directory" in fetching.command("vendor", "-o", "w").err
    assert list(elsewhere.iterdir()) == []


def test_a_recipe_that_asks_for_more_than_its_lock_has_is_told(fetching, server):
    fetching.write(
        "web.env", *(fetching.folder / "web.env").read_text().splitlines(), "apt less", "fetch http://h/x -> /x"
    )
    code, (lock,) = check(fetching)
    assert (code, lock["rebuildable"]) == (1, False)
    assert [item["text"].partition(": ")[2] for item in lock["not_files"]] == [
        "apt less: the lock does not say which packages it means: build it",
        "fetch http://h/x -> /x: the lock does not have its sha256: build it",
    ]
    # What the recipe pins itself is a file like those of the lock.
    server.files["/more"] = b"more"
    digest = hashlib.sha256(b"more").hexdigest()
    fetching.write("web.env", "from tar:busybox.tar", f"fetch(sha256={digest}) {server.address}/more -> /more")
    assert fetching.command("vendor", "-o", "v").code == 0
    assert f"sha256/{digest}" in vendored(fetching)


@pytest.mark.parametrize("address", ["\\u0007", "file:///etc/passwd"])
def test_a_lock_that_names_no_address_is_refused(fetching, address):
    path = fetching.folder / "web.env.lock"
    line = f'"{address}": sha256:{"0" * 64}'
    before, key, after = path.read_text().partition("fetched:\n")
    margin = len(before) - len(before.rstrip(" "))
    path.write_text(f"{before}{key}{' ' * (margin + 2)}{line}\n{after}")
    done = fetching.command("vendor", "-o", "v")
    assert done.code in (1, 2)
    assert "can't fetch" in done.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("vendor",), "no directory to fill"),
        (("vendor", "-o", "v"), "there is no recipe with a lock in this directory"),
        (("vendor", "web.env", "-o", "v"), "web.env.lock: there is no lock yet"),
        (("vendor", "web.env", "-o", "web.env"), "web.env"),
        (("build", "web.env", "--vendor", "gone"), "--vendor: gone: there is no such directory"),
        (("build", "web.env", "--offline", "--vendor", "http://127.0.0.1:9"), "that is on the network"),
        (("build", "web.env", "--vendor", "ftp://host/x"), "--vendor: 'ftp://host/x' is not a valid"),
    ],
)
def test_mistakes(project, words, message):
    project.write("web.env", "from scratch")
    done = project.command(*words)
    assert done.code == 2
    assert message in done.err


def test_an_index_can_be_checked_and_its_signature_too(fetching):
    key, folder = fetching.folder / "key", fetching.folder / "v"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    done = fetching.command("vendor", "-o", "v", "--sums")
    assert done.out.splitlines()[1] == "v: SHA256SUMS"
    assert subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=folder).returncode == 0
    assert f"{TOOL}  sha256/{TOOL}\n" in (folder / "SHA256SUMS").read_text()

    assert fetching.command("vendor", "-o", "v", "--sign", "key").out.splitlines()[1] == "v: SHA256SUMS, SHA256SUMS.sig"
    (fetching.folder / "signers").write_text(f"me {(fetching.folder / 'key.pub').read_text()}")
    verify = ["ssh-keygen", "-Y", "verify", "-f", "../signers", "-I", "me", "-n", "envbuild-vendor"]

    def is_signed() -> bool:
        with (folder / "SHA256SUMS").open() as index:
            done = subprocess.run([*verify, "-s", "SHA256SUMS.sig"], cwd=folder, stdin=index, capture_output=True)
        return done.returncode == 0

    assert is_signed()
    (folder / "sha256" / TOOL).write_text("changed")
    assert subprocess.run(["sha256sum", "--check", "--status", "SHA256SUMS"], cwd=folder).returncode == 1
    (folder / "SHA256SUMS").write_text("")
    assert not is_signed()
    # A signature of an index of before is not left beside the new one.
    fetching.command("vendor", "-o", "v", "--sums")
    assert not (folder / "SHA256SUMS.sig").exists()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--sign", "nokey"), 3, "SHA256SUMS is not signed: "),
        (("--sign", "web.env"), 3, "SHA256SUMS is not signed: "),
        (("--sums", "--check"), 2, "vendor --check with --sums or --sign"),
    ],
)
def test_an_index_that_can_not_be_signed_is_told(fetching, words, code, message):
    done = fetching.command("vendor", "-o", "v", *words)
    assert done.code == code
    assert message in done.err
    assert "Traceback" not in done.err
    assert not (fetching.folder / "v" / "SHA256SUMS.sig").exists()

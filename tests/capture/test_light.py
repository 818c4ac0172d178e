"""`capture --light`: contents that packages have stay with the packages."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.capture.conftest import Machine
from tests.packages.conftest import Server
from tests.packages.repository import Repository

pytestmark = [
    pytest.mark.namespaces,
    pytest.mark.skipif(shutil.which("apt-get") is None, reason="apt is not installed"),
]

TEXT = "/usr/share/jq/text"


class Packaged:
    """A machine on which packages are installed, which a repository has."""

    def __init__(self, machine: Machine, repository: Repository, settings: Path) -> None:
        self.machine = machine
        self.repository = repository
        self.settings = settings
        self._status = ""

    def install(self, name: str, version: str, files: dict[str, str], *, offered: bool = True) -> None:
        """Put a package on the machine, as dpkg would, and in apt's lists if it is `offered`."""
        sums = ""
        for path, text in files.items():
            self.machine.write(path, text)
            sums += f"{hashlib.md5(text.encode()).hexdigest()}  {path}\n"
        self.machine.write(f"/var/lib/dpkg/info/{name}.md5sums", sums)
        stanza = f"Package: {name}\nVersion: {version}\nArchitecture: all\n"
        self._status += f"{stanza}Status: install ok installed\nMaintainer: A\nDescription: {name}\n\n"
        self.machine.write("/var/lib/dpkg/status", self._status)
        if offered:
            self.machine.write("/var/lib/apt/lists/mirror_dists_stable_main_binary-all_Packages", f"{stanza}\n")
            self.repository.add(name, version, files=files)

    def update(self) -> None:
        """Have this test's own apt know what the repository has."""
        subprocess.run(
            ["apt-get", "-o", "APT::Sandbox::User=", "update"],
            env={"APT_CONFIG": str(self.settings), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            check=True,
            capture_output=True,
        )


@pytest.fixture
def packaged(machine: Machine, tmp_path: Path) -> Iterator[Packaged]:
    server, folder = Server(), tmp_path / "apt"
    repository = Repository(server, tmp_path / "mirror")
    for name in ("state/lists/partial", "cache/archives/partial", "parts"):
        (folder / name).mkdir(parents=True)
    (folder / "status").touch()
    (folder / "sources.list").write_text(f"{repository.source}\n")
    settings = folder / "apt.conf"
    places = {"State": "state", "State::status": "status", "Cache": "cache", "Etc::sourcelist": "sources.list"}
    places |= {"Etc::sourceparts": "parts", "Etc::preferencesparts": "parts"}
    settings.write_text("".join(f'Dir::{name} "{folder}/{place}";\n' for name, place in places.items()))
    machine.project.environment["APT_CONFIG"] = str(settings)
    yield Packaged(machine, repository, settings)
    server.close()


def contents(machine: Machine) -> set[bytes]:
    """What the store of these tests has in its pool."""
    pool = Path(machine.project.store) / "objects"
    return {path.read_bytes() for path in pool.glob("*/*")}


@pytest.mark.user
def test_a_content_that_a_package_has_comes_from_there_when_it_is_needed(packaged: Packaged):
    packaged.install("jq", "1:1.6-2", {TEXT[1:]: "1:1.6-2\n"})
    captured = packaged.machine.capture("--light")
    assert captured["left"] == {"files": 1, "size": 8, "packages": 1, "kept": 0}
    assert b"1:1.6-2\n" not in contents(packaged.machine)
    packaged.update()
    read = packaged.machine.project.command("cat", "laptop", TEXT)
    assert read.out == "1:1.6-2\n"
    assert read.err == "note: fetching what a light capture left in jq 1:1.6-2\n"
    assert packaged.machine.project.command("cat", "laptop", TEXT).err == ""


def test_it_is_the_same_image_as_a_capture_with_all_contents(packaged: Packaged):
    packaged.install("jq", "1.6-2", {TEXT[1:]: "1.6-2\n"})
    light = packaged.machine.capture("--light")
    whole = packaged.machine.capture()
    assert (whole["image"], whole["same"]) == (light["image"], True)
    assert b"1.6-2\n" in contents(packaged.machine)
    assert packaged.machine.output("cat", "laptop", TEXT) == "1.6-2\n"


def test_what_was_changed_and_what_apt_can_not_get_is_stored(packaged: Packaged):
    packaged.install("jq", "1.6-2", {TEXT[1:]: "1.6-2\n", "usr/share/jq/other": "other\n"})
    packaged.install("own", "1", {"usr/share/own/text": "of an archive that is nowhere\n"}, offered=False)
    packaged.machine.write(TEXT, "changed by hand\n")
    captured = packaged.machine.capture("--light")
    assert captured["left"] == {"files": 1, "size": 6, "packages": 1, "kept": 1}
    assert packaged.machine.output("cat", "laptop", TEXT) == "changed by hand\n"
    assert packaged.machine.output("cat", "laptop", "/usr/share/own/text") == "of an archive that is nowhere\n"


def test_a_promise_is_sound_is_kept_by_gc_and_is_said_where_it_can_not_be_had(packaged: Packaged):
    packaged.install("jq", "1.6-2", {TEXT[1:]: "1.6-2\n"})
    packaged.machine.capture("--light")
    assert "0 problems" in packaged.machine.output("fsck")
    packaged.machine.output("gc")
    failed = packaged.machine.project.command("cat", "laptop", TEXT)
    assert failed.code == 1
    assert f"left the content of {TEXT} in jq 1.6-2, which can't be had" in failed.err
    assert "put jq_1.6-2_all.deb into /var/cache/apt/archives" in failed.err
    packaged.update()
    assert packaged.machine.output("cat", "laptop", TEXT) == "1.6-2\n"


def test_all_of_it_is_brought_before_it_runs_and_before_it_leaves(packaged: Packaged, busybox: Path, tmp_path: Path):
    subprocess.run(["tar", "xf", busybox, "-C", packaged.machine.root], check=True)
    packaged.install("jq", "1.6-2", {TEXT[1:]: "1.6-2\n", "usr/share/jq/more": "more\n"})
    packaged.machine.capture("--light")
    packaged.update()
    packaged.machine.output("export", "laptop", "--format", "tar", "-o", str(tmp_path / "laptop.tar"))
    listed = subprocess.run(["tar", "xOf", tmp_path / "laptop.tar", TEXT[1:]], capture_output=True, check=True).stdout
    assert listed == b"1.6-2\n"
    assert packaged.machine.output("run", "laptop", "--", "cat", TEXT, "/usr/share/jq/more") == "1.6-2\nmore\n"


def test_bisect_and_restore_bring_what_they_need(packaged: Packaged, busybox: Path):
    subprocess.run(["tar", "xf", busybox, "-C", packaged.machine.root], check=True)
    packaged.install("jq", "1.6-2", {TEXT[1:]: "1.6-2\n"})
    packaged.machine.capture("--light")
    packaged.machine.write(TEXT, "broken\n")
    packaged.machine.write("/etc/hostname", "desktop\n")
    packaged.machine.capture("--light")
    packaged.update()
    answer = packaged.machine.output("bisect", "laptop@{1}", "laptop", "--", "grep", "-q", "1.6", TEXT)
    assert answer.startswith(f"{TEXT} (changed")
    packaged.machine.output("restore", "laptop@{1}", TEXT, "--yes", "--root", str(packaged.machine.root))
    assert (packaged.machine.root / TEXT[1:]).read_text() == "1.6-2\n"

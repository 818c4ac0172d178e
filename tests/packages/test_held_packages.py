"""What stays when a recipe or a mirror changes: each package that a statement asks for, and all that an update is not
asked to move. On repositories whose states the tests make."""

from pathlib import Path

import pytest

from tests.conftest import installs_of
from tests.packages.repository import Repository

pytestmark = [pytest.mark.namespaces, pytest.mark.mirror, pytest.mark.slow, pytest.mark.usefixtures("small_mirror")]
READY = "from image:python"


@pytest.fixture
def own(server, tmp_path) -> Repository:
    return Repository(server, tmp_path / "own")


@pytest.fixture
def apt(own) -> str:
    return f'apt(source="{own.source}")'


def versions(project, name: str = "web.env", step: int = 0) -> dict[str, str]:
    install = installs_of(Path(project.folder / f"{name}.lock"))[step]
    return {package["name"]: package["version"] for package in install["packages"]}


def test_what_the_base_has_and_what_the_mirror_dropped_stay_when_a_neighbour_is_added(debian, own, apt):
    for name in ("own-tz", "own-less"):
        own.add(name, "1.0")
    assert debian.build(READY, f"{apt} own-tz", name="low.env").code == 0
    assert debian.build("from image:low", f"{apt} own-tz own-less").code == 0
    assert versions(debian) == {"own-tz": "1.0", "own-less": "1.0"}
    assert 'from: "installed/own/pool/own-tz_1.0_all.deb"' in (debian.folder / "web.env.lock").read_text()
    for name in ("own-tz", "own-less", "own-nano"):
        own.add(name, "2.0")
    own.remove("own-less", "1.0")
    done = debian.build("from image:low", f"{apt} own-tz own-less own-nano")
    assert done.code == 0, done.out
    assert versions(debian) == {"own-tz": "1.0", "own-less": "1.0", "own-nano": "2.0"}
    assert debian.cat("/usr/share/own-tz/text") == "1.0\n"
    again = debian.build(options=("--locked", "--no-cache"))
    assert (again.code, again.image) == (0, done.image)


def test_an_update_of_one_package_moves_it_and_what_it_must(debian, own, apt):
    for version in ("1.0", "2.0"):
        if version == "2.0":
            assert debian.build(READY, f"{apt} own-tz own-less", name="low.env").code == 0
            done = debian.build("from recipe:low.env", f"{apt} own-tz own-node own-yarn")
            assert done.code == 0, done.out
            low = (debian.folder / "low.env.lock").read_text()
        own.add("own-tz", version)
        own.add("own-less", version)
        own.add("own-deep", version)
        own.add("own-libnode", version, f"own-deep (= {version})")
        own.add("own-node", version, f"own-libnode (= {version}), own-less")
        own.add("own-yarn", version, "own-tz, own-libnode")
    done = debian.command("update", "web.env", "own-node")
    assert done.code == 0, done.err
    moved = {"own-node", "own-libnode", "own-deep"}
    assert versions(debian) == {name: "2.0" if name in moved else "1.0" for name in ("own-tz", "own-yarn", *moved)}
    assert (debian.folder / "low.env.lock").read_text() == low
    reasons = {line.split()[3]: line.split("2.0", 1)[1].strip() for line in done.out.splitlines() if "2.0" in line}
    place = f"; from {own.source.split()[2]}, not this machine's mirror"
    assert reasons == {
        "own-node": f"named{place}",
        "own-libnode": f"own-node 2.0 needs it (= 2.0){place}",
        "own-deep": f"own-libnode 2.0 needs it (= 2.0){place}",
    }

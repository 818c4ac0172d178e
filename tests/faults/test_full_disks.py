"""Disks that are full or broken, and too many open files: a clear error, and the old state whole."""

import shutil
import subprocess
import sys

import pytest

from tests.faults import faulty
from tests.faults.kept import digest_in

pytestmark = pytest.mark.namespaces

OLD = ("from tar:busybox.tar", "run echo old > /a")
SHARES = {"ENOSPC": 1, "EIO": 8, "EMFILE": 4}
NEW = (*OLD, "copy app/ -> /app/", "run echo new > /b; ln -s b /c; mkdir /d", "file /etc/motd", "    hello")


def build_with_error(project, name: str, number: int, **variables: str):
    return project.call(faulty.main, name, str(number), "build", "web.env", "--progress", "plain", **variables)


def old_before_new(project) -> None:
    """Makes a store with an old image, and a recipe that goes on from it; the file `new` has what that will give."""
    project.write("app/one", "1")
    project.write("app/two", "2")
    new = project.build(*NEW, ENVBUILD_STORE=str(project.folder / "other"))
    assert new.code == 0, new.err
    project.write("new", new.image)
    (project.folder / "web.env.lock").unlink()
    old = project.build(*OLD)
    assert old.code == 0
    project.write("web.env", *NEW)


@pytest.fixture
def prepared(project, made_once, tmp_path):
    """Both images, and how to have the state before the new one again."""
    with made_once.again(project, old_before_new, tmp_path / "made"):
        project.old, project.new = digest_in(project), (project.folder / "new").read_text().strip()
        project.old_lock = (project.folder / "web.env.lock").read_text()
        subprocess.run(["cp", "-a", project.store, tmp_path / "kept"], check=True)

        def again() -> None:
            shutil.rmtree(project.store)
            subprocess.run(["cp", "-a", tmp_path / "kept", project.store], check=True)
            (project.folder / "web.env.lock").write_text(project.old_lock)

        project.again = again
        yield project


def check_after(project, done, what: str) -> None:
    """After a build that met trouble: nothing half, and the next build goes on."""
    assert done.returncode in (0, 1, 2, 3), f"{what}: exit {done.returncode}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    if done.returncode:
        assert "error:" in done.stderr, f"{what}: {done.stderr}"
        assert "hint:" in done.stderr or "Too many open files" in done.stderr, f"{what}: {done.stderr}"
    assert digest_in(project) in (project.old, project.new), what
    lock = (project.folder / "web.env.lock").read_text()
    assert lock == project.old_lock or f" image {project.new} " in lock, what
    assert not [path for path in project.folder.iterdir() if path.name.endswith(".new")], what
    again = project.build()
    assert again.code == 0, f"{what}: {again.err}"
    assert again.image == project.new, what
    checked = project.command("fsck")
    assert checked.code == 0, f"{what}: {checked.out}"
    assert list((project.store / "work").iterdir()) == [], what


@pytest.mark.parametrize("name", ["ENOSPC", "EIO", "EMFILE"])
@pytest.mark.parametrize(
    "every", [pytest.param(False, id="once a place"), pytest.param(True, id="each", marks=pytest.mark.nightly)]
)
def test_an_error_at_a_write_loses_nothing(prepared, tmp_path, name, every):
    """Each call that writes fails in turn (nightly). Daily, of those that the same lines make the first, and a share of
    these for the other errors, which differ in their words."""
    listing = tmp_path / "sites"
    assert build_with_error(prepared, name, 0, FAULTY_SITES=str(listing)).returncode == 0
    sites = listing.read_text().splitlines()
    assert len(sites) > 50
    numbers = [number for number, site in enumerate(sites, 1) if every or site not in sites[: number - 1]]
    if not every:
        numbers = numbers[:: SHARES[name]]
    failed = 0
    for number in numbers:
        prepared.again()
        done = build_with_error(prepared, name, number)
        failed += done.returncode != 0
        check_after(prepared, done, f"{name} at write {number} of {len(sites)}, {sites[number - 1]}")
    assert failed > len(numbers) / 2


@pytest.mark.root
@pytest.mark.parametrize("free", [0, 60, 1000, *(pytest.param(free, marks=pytest.mark.nightly) for free in (20, 200))])
def test_a_store_on_a_small_disk_that_is_full(prepared, tmp_path, free):
    """`free` KiB are left when the build starts."""
    disk = tmp_path / "disk"
    disk.mkdir()
    prepared.write("app/big", "x" * 300_000)
    python = sys.executable
    script = f"""
        mount -t tmpfs -o size=8m small {disk} && cp -a {prepared.store}/. {disk}/ || exit 99
        export ENVBUILD_STORE={disk}
        dd if=/dev/zero of={disk}/filler bs=1k 2>/dev/null
        truncate -s $(($(stat -c %s {disk}/filler) - {free} * 1024)) {disk}/filler
        {python} -m envbuild build web.env --progress plain; echo "build $?"
        {python} -m envbuild run web -- cat /a; echo "run $?"
        rm {disk}/filler
        {python} -m envbuild build web.env --progress plain > /dev/null 2>&1; echo "again $?"
        {python} -m envbuild run web -- cat /b /app/one; {python} -m envbuild fsck > /dev/null; echo "fsck $?"
    """
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script],
        cwd=prepared.folder,
        env=prepared.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stdout.splitlines()
    assert "again 0" in lines, done.stdout + done.stderr
    assert lines[-3:] == ["new", "1", "fsck 0"], done.stdout + done.stderr
    assert lines[0] in ("build 3", "build 0"), done.stdout + done.stderr
    if lines[0] == "build 3":
        assert "free some space on its disk (envbuild gc)" in done.stderr
    if free < 200:
        assert lines[0] == "build 3", done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert "this is a bug" not in done.stderr

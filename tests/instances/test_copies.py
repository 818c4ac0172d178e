"""`cp`: docker's rules, whose the copies are, and trees that mean harm."""

import io
import os
import stat
import struct
import tarfile

import pytest

from tests.conftest import call, wait_for
from tests.instances.instances import WAITING, own_file, run

pytestmark = pytest.mark.namespaces


BOTH = pytest.mark.parametrize("holder", ["running", "over"], indirect=True)
"""For what is done in other ways to an instance that runs and to one that is over."""


@pytest.fixture
def holder(request, image):
    """An instance called `one`, with files of its own."""
    script = "mkdir -p /d/e; echo a > /d/a; echo b > /d/e/b; ln -s a /d/link; ln /d/a /d/hard; touch /ready"
    run(image, "web", "--", "sh", "-c", f"{script}; {WAITING}")
    assert wait_for(own_file(image, "ready").exists)
    if getattr(request, "param", "running") == "over":
        assert image.command("stop", "one").code == 0
    return image


def cp(project, *words: str, stdin: bytes | None = None, code: int = 0):
    done = project.command("cp", *words, stdin=stdin)
    assert done.code == code, done.err
    return done


def inside(project, *paths: str) -> list[str]:
    """What these files have, read by a copy of each."""
    probes = []
    for path in paths:
        cp(project, f"one:{path}", "./probe")
        probes.append((project.folder / "probe").read_text())
        (project.folder / "probe").unlink()
    return probes


class TestOut:
    @BOTH
    def test_a_file_to_a_name_and_into_a_folder(self, holder):
        cp(holder, "one:/d/a", "new")
        cp(holder, "one:d/e/b", ".")
        assert [(holder.folder / name).read_text() for name in ("new", "b")] == ["a\n", "b\n"]
        assert (holder.folder / "new").stat().st_uid == os.getuid()
        assert [name for name in os.listdir(holder.folder) if name.startswith(".envbuild")] == []

    @BOTH
    def test_a_folder_by_its_name_its_contents_and_onto_nothing(self, holder):
        (holder.folder / "there").mkdir()
        cp(holder, "one:/d", "there")
        cp(holder, "one:/d/.", "there")
        cp(holder, "one:/d", "new")
        for where in ("there/d", "there", "new"):
            assert (holder.folder / where / "e" / "b").read_text() == "b\n"
            assert os.readlink(holder.folder / where / "link") == "a"
            names = [(holder.folder / where / name).stat().st_ino for name in ("a", "hard")]
            assert names[0] == names[1]

    @BOTH
    def test_a_link_as_such_or_followed(self, holder):
        cp(holder, "one:/d/link", "as-such")
        cp(holder, "-L", "one:/d/link", "followed")
        assert os.readlink(holder.folder / "as-such") == "a"
        assert (holder.folder / "followed").read_text() == "a\n"

    def test_what_makes_no_sense_is_told(self, holder):
        holder.write("file", "mine")
        for source, target, message in (
            ("one:/none", ".", "there is no one:/none"),
            ("one:/d/a", "none/", "there is no directory none/"),
            ("one:/d/a", "none/x", "there is no none"),
            ("one:/d", "file", "file is a file"),
            ("one:/d/a/", ".", "uses a file as a directory"),
            ("nobody:/d", ".", "there is no instance 'nobody'"),
            ("one:/d", "one:/e", "both sides are instances"),
            ("file", "other", "neither side is an instance"),
        ):
            assert message in cp(holder, source, target, code=2).err
        assert (holder.folder / "file").read_text() == "mine\n"

    @pytest.mark.user
    @BOTH
    def test_modes_and_times_are_kept_but_not_the_right_to_be_somebody_else(self, holder):
        path = holder.write("program", "x")
        path.chmod(0o4755)
        os.utime(path, ns=(5, 1_000_000_000_123_456_789))
        cp(holder, "-a", "program", "one:/program")
        cp(holder, "one:/program", "again")
        cp(holder, "-a", "one:/program", "whole")
        again, whole = (holder.folder / "again").stat(), (holder.folder / "whole").stat()
        assert stat.S_IMODE(again.st_mode) == 0o755
        assert stat.S_IMODE(whole.st_mode) == 0o4755
        assert again.st_mtime_ns == 1_000_000_000_123_456_789

    @pytest.mark.user
    @pytest.mark.root
    def test_access_lists_name_the_same_users(self, holder):
        """Whose numbers an instance of root has under others outside (linux/posix_acl_xattr.h has the form)."""
        entries = ((0x01, 6, -1), (0x02, 4, 33), (0x04, 4, -1), (0x08, 6, 44), (0x10, 6, -1), (0x20, 0, -1))
        value = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
        (holder.folder / "listed").write_text("x")
        os.setxattr(holder.folder / "listed", "system.posix_acl_access", value)
        cp(holder, "-a", "listed", "one:/listed")
        cp(holder, "-a", "one:/listed", "back")
        assert os.getxattr(holder.folder / "back", "system.posix_acl_access") == value
        assert holder.command("stop", "one", "--time", "0").code == 0
        cp(holder, "-a", "one:/listed", "again")
        assert os.getxattr(holder.folder / "again", "system.posix_acl_access") == value

    @BOTH
    def test_holes_stay_holes(self, holder):
        with open(holder.folder / "sparse", "wb") as file:
            file.seek(50_000_000)
            file.write(b"end")
        cp(holder, "sparse", "one:/sparse")
        cp(holder, "one:/sparse", "back")
        back = (holder.folder / "back").stat()
        assert back.st_size == 50_000_003
        assert back.st_blocks * 512 < 1_000_000
        assert (holder.folder / "back").read_bytes().endswith(b"\0end")

    def test_as_a_tar_archive(self, holder):
        done = call(holder.entry, ("cp", "one:/d", "-"), holder.folder, holder.environment)
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
            assert archive.getnames() == ["d", "d/a", "d/e", "d/e/b", "d/hard", "d/link"]
            assert archive.extractfile("d/e/b").read() == b"b\n"


class TestIn:
    @pytest.mark.user
    @BOTH
    def test_a_file_and_a_folder_that_belong_to_root_inside(self, holder):
        holder.write("mine/x/y", "text")
        os.chmod(holder.folder / "mine", 0o750)
        cp(holder, "mine", "one:/etc")
        cp(holder, "mine/x/y", "one:/etc/passwd-")
        cp(holder, "mine/.", "one:/new")
        assert inside(holder, "/etc/mine/x/y", "/etc/passwd-", "/new/x/y") == ["text\n"] * 3
        holder.command("start", "one")
        done = holder.command("exec", "one", "--", "stat", "-c", "%u:%g %a", "/etc/mine", "/etc/mine/x/y")
        assert done.out == "0:0 750\n0:0 644\n"

    @BOTH
    def test_a_link_in_the_instance_leads_within_it(self, holder):
        (holder.folder / "secret").write_text("outside\n")
        holder.command("start", "one")
        holder.command("exec", "one", "--", "ln", "-s", f"{holder.folder}", "/out")
        holder.command("exec", "one", "--", "ln", "-s", "/../../d/a", "/up")
        holder.command("exec", "one", "--", "ln", "-s", "/proc/1/root/etc/passwd", "/magic")
        assert "there is no one:/out/secret" in cp(holder, "one:/out/secret", ".", code=2).err
        cp(holder, "-L", "one:/up", "up")
        assert (holder.folder / "up").read_text() == "a\n"
        cp(holder, "-L", "one:/magic", "magic", code=2)
        cp(holder, "secret", "one:/up")
        assert inside(holder, "/d/a") == ["outside\n"]
        cp(holder, "secret", "one:/out/secret", code=2)

    @pytest.mark.user
    @BOTH
    def test_nothing_goes_through_a_link_of_the_folder_that_it_is_copied_onto(self, holder):
        (holder.folder / "elsewhere").mkdir()
        (holder.folder / "there" / "d").mkdir(parents=True)
        (holder.folder / "there" / "d" / "e").symlink_to(holder.folder / "elsewhere")
        (holder.folder / "there" / "d" / "a").symlink_to(holder.folder / "elsewhere" / "a")
        done = cp(holder, "one:/d", "there", code=1)
        assert "is a directory, and a link is in its way" in done.err
        assert os.listdir(holder.folder / "elsewhere") == []
        assert (holder.folder / "there" / "d" / "a").read_text() == "a\n"

    @BOTH
    def test_a_tar_archive_whose_members_go_through_its_own_links(self, holder):
        def archive(*members: tuple[str, str]) -> bytes:
            made = io.BytesIO()
            with tarfile.open(fileobj=made, mode="w") as file:
                for name, target in members:
                    info = tarfile.TarInfo(name)
                    info.type, info.linkname = (tarfile.SYMTYPE, target) if target else (tarfile.REGTYPE, "")
                    info.size = 0 if target else 4
                    file.addfile(info, None if target else io.BytesIO(b"text"))
            return made.getvalue()

        cp(holder, "-", "one:/d", stdin=archive(("x/y", ""), ("x/l", "/etc")))
        assert inside(holder, "/d/x/y") == ["text"]
        assert "through a link" in cp(holder, "-", "one:/d", stdin=archive(("z", "/etc"), ("z/passwd", "")), code=1).err
        assert ".." in cp(holder, "-", "one:/d", stdin=archive(("../up", "")), code=2).err
        assert "ends in the middle" in cp(holder, "-", "one:/d", stdin=archive(("x/y", ""))[:700], code=2).err
        assert "there is no one:/none" in cp(holder, "-", "one:/none", stdin=b"", code=2).err

    def test_what_is_no_file_is_left_out_and_told(self, holder):
        os.mkdir(holder.folder / "odd")
        os.mkfifo(holder.folder / "odd" / "fifo")
        holder.write("odd/file", "text")
        done = cp(holder, "odd", "one:/")
        assert "odd/fifo is left out: it is a named pipe" in done.err
        assert inside(holder, "/odd/file") == ["text\n"]


@pytest.mark.user
def test_to_whom_copies_belong(image):
    build = image.build("adduser app uid=1234", "run true", "env GREETING=hello")
    assert build.code == 0
    run(image, "web", "--", "sh", "-c", WAITING)
    image.write("mine", "text")
    assert image.command("cp", "--user", "app", "mine", "one:/mine").code == 0
    ids = image.command("exec", "one", "--", "stat", "-c", "%u:%g", "/mine").out
    assert ids == ("0:0\n" if single() else "1234:1234\n")
    assert "no user 'nobody-here'" in image.command("cp", "--user", "nobody-here", "mine", "one:/mine").err
    assert image.command("cp", "one:/mine", "back").code == 0
    assert (image.folder / "back").stat().st_uid == os.getuid()


def single() -> bool:
    from envbuild.linux.subids import has_single_id

    return has_single_id(os.getuid())


@pytest.mark.user
def test_volumes_and_what_is_mounted(image):
    (image.folder / "shown").mkdir()
    run(image, "-v", "data:/data", "-v", "./shown:/shown", "web", "--", "sh", "-c", WAITING)
    image.write("mine", "text")
    assert image.command("cp", "mine", "one:/data").code == 0
    assert image.command("cp", "mine", "one:/shown").code == 0
    assert (image.folder / "shown" / "mine").read_text() == "text\n"
    # A folder that the instance shows, into itself: ends.
    done = image.command("cp", "shown", "one:/shown/inner")
    assert (done.code, "the copy itself" in done.err) == (0, True)
    assert image.command("exec", "one", "--", "cat", "/data/mine").out == "text\n"
    image.command("stop", "one")
    # Volumes are there without it; what is the host's is not.
    assert image.command("cp", "mine", "one:/data/x").code == 0
    assert image.command("cp", "one:/data/x", "back").code == 0
    assert (image.folder / "back").read_text() == "text\n"
    assert sorted(os.listdir(image.store / "volumes/data/data")) == ["mine", "x"]
    over = image.command("cp", "mine", "one:/shown/x")
    assert (over.code, "only while it runs" in over.err) == (2, True)


def test_a_link_in_the_place_of_a_volume_leads_nowhere(image, tmp_path):
    run(image, "-v", "data:/data", "-v", "kept:/kept:ro", "web", "--", "sh", "-c", WAITING)
    image.command("stop", "one")
    (tmp_path / "outside").mkdir()
    (upper,) = (image.store / "instances").glob("*/upper")
    (upper / "data").symlink_to(tmp_path / "outside")
    image.write("mine", "text")
    assert image.command("cp", "mine", "one:/data/x").code != 0
    assert image.command("cp", "mine", "one:/kept/x").code != 0
    assert os.listdir(tmp_path / "outside") == []


def test_what_the_system_refuses_is_told(image):
    run(image, "--read-only", "--tmpfs", "/t:1m", "web", "--", "sh", "-c", WAITING)
    image.write("mine", "text")
    image.write("big", "x" * 2_000_000)
    for source, target, message in (
        ("mine", "one:/etc/mine", "Read-only file system"),
        ("one:/file", "/proc/file", "it can't be copied"),
        ("mine", "one:/proc/version", "it can't be copied"),
        ("one:/file", "x" * 300, "File name too long"),
        ("one:/dev/null", "null", ""),
    ):
        done = image.command("cp", source, target)
        assert (done.code in (0, 1, 2), message in done.err) == (True, True), done.err
    full = image.command("cp", "big", "one:/t")
    assert (full.code, "No space left" in full.err) == (3, True)
    assert image.command("exec", "one", "--", "ls", "-A", "/t").out == ""
    assert sorted(os.listdir(image.folder)) == ["base", "big", "busybox.tar", "mine", "web.env", "web.env.lock"]


def test_a_whole_instance_without_what_the_kernel_shows(image):
    run(image, "web", "--", "sh", "-c", WAITING)
    assert image.command("cp", "one:/", "all").code == 0
    assert {"bin", "etc", "file"} <= set(os.listdir(image.folder / "all"))
    assert not {"proc", "sys", "dev"} & set(os.listdir(image.folder / "all"))
    assert image.command("cp", "one:/proc/self/status", "status").code == 2
    assert image.command("cp", "one:/proc/version", "version").code == 0
    assert "Linux" in (image.folder / "version").read_text()


@pytest.mark.user
def test_an_instance_that_changes_its_folders_into_links_meanwhile_leads_nowhere_else(image):
    (image.folder / "outside").mkdir()
    swap = f"while :; do mkdir -p /t/x; touch /t/x/f; rm -rf /t/x; ln -s {image.folder}/outside /t/x; rm /t/x; done"
    run(image, "web", "--", "sh", "-c", f"mkdir /t; {swap}")
    image.write("mine/x/f", "text")
    for _ in range(3):
        assert image.command("cp", "mine/.", "one:/t").code in (0, 1, 2)
        assert image.command("cp", "one:/t/.", "back").code in (0, 1, 2)
    assert os.listdir(image.folder / "outside") == []

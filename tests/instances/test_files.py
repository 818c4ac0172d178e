"""What of the host, of volumes and of memory an instance sees, and what may be written."""

import json
import os
import threading

import pytest

from tests.conftest import wait_for
from tests.instances.instances import WAITING, printed, run, with_single_id

pytestmark = pytest.mark.namespaces


def sh(project, script: str, *options: str, code: int = 0) -> str:
    """What a shell in a throw-away instance prints, with its errors."""
    done = project.command("run", *options, "web", "--", "sh", "-c", f"{{ {script}; }} 2>&1")
    assert done.code == code, done.out + done.err
    return done.out


class TestBinds:
    @pytest.mark.user
    def test_a_folder_to_write_to_and_one_to_read(self, image):
        image.write("data/file", "mine")
        assert sh(image, "cat /data/file; echo theirs > /data/new", "-v", "./data:/data") == "mine\n"
        made = image.folder / "data" / "new"
        assert (made.read_text(), made.stat().st_uid) == ("theirs\n", os.getuid())
        printed = sh(image, "cat /data/file; echo no > /data/new; rm /data/file", "-v", "./data:/data:ro", code=1)
        assert printed.startswith("mine\n")
        assert "Read-only file system" in printed
        assert made.read_text() == "theirs\n"

    @pytest.mark.user
    def test_a_single_file_also_where_the_image_has_none(self, image):
        image.write("conf", "first")
        options = ("-v", "./conf:/etc/deep/app.conf", "-v", "./conf:/file:ro")
        assert sh(image, "cat /file; echo second > /etc/deep/app.conf; cat /file", *options) == "first\nsecond\n"
        assert (image.folder / "conf").read_text() == "second\n"

    def test_mounts_within_mounts_whatever_their_order(self, image):
        image.write("outer/file", "outer")
        image.write("inner/file", "inner")
        (image.folder / "outer" / "in").mkdir()
        options = ("-v", "./inner:/t/a/in:ro", "-v", "./outer:/t/a", "--tmpfs", "/t:1m")
        assert sh(image, "cat /t/a/file /t/a/in/file; touch /t/own; ls /t", *options) == "outer\ninner\na\nown\n"
        assert os.listdir(image.folder / "outer" / "in") == []

    def test_a_link_is_resolved_before_and_not_inside(self, image):
        image.write("data/file", "mine")
        (image.folder / "link").symlink_to("data")
        assert sh(image, "cat /x/file", "-v", "./link:/x:ro") == "mine\n"

    @pytest.mark.parametrize(
        ("option", "message"),
        [
            ("./none:/x", "does not exist"),
            ("./x", "not a valid HOST:ENV"),
            ("./x:y", "not a valid HOST:ENV"),
            (".:/", "not a valid mount target"),
            ("a/../..:/x:rx", "not a valid HOST:ENV"),
            ("-bad:/x", "-bad"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, image, option, message):
        done = image.command("run", f"--volume={option}", "web", "--", "true")
        assert (done.code, message in done.err) == (2, True), done.err
        assert image.command("ps", "--all", "--format", "json").out == "[]\n"

    def test_two_things_in_one_place_are_refused(self, image):
        done = image.command("run", "-v", ".:/x", "--tmpfs", "/x/", "web", "--", "true")
        assert (done.code, "two mounts have the target /x" in done.err) == (2, True)


class TestVolumes:
    def test_one_outlives_instances_and_is_shared_by_them(self, image):
        run(image, "-v", "data:/data", "web", "--", "sh", "-c", f"echo one >> /data/log; {WAITING}")
        assert sh(image, "echo two >> /other/log", "-v", "data:/other") == ""
        assert image.command("exec", "one", "--", "cat", "/data/log").out == "one\ntwo\n"
        assert image.command("rm", "--force", "one").code == 0
        assert sh(image, "cat /data/log; echo no >> /data/log", "-v", "data:/data:ro", code=1).startswith("one\ntwo\n")
        image.command("untag", "web")
        os.unlink(image.folder / "web.env.lock")
        assert image.command("gc").code == 0
        assert [entry["name"] for entry in json.loads(image.command("volume", "ls", "--format", "json").out)] == [
            "data"
        ]

    @pytest.mark.user
    def test_a_new_one_begins_as_what_the_image_has_there(self, image):
        lines = (
            "run mkdir -p /srv/db/in; echo first > /srv/db/file; ln -s file /srv/db/link",
            "run chown -R 1234:50 /srv/db; chmod 2750 /srv/db/in; chmod 700 /srv/db",
        )
        assert image.build(*lines).code == 0
        look = "cat /srv/db/link; stat -c '%u:%g %a' /srv/db /srv/db/in /srv/db/file"
        in_image = sh(image, look)
        assert sh(image, look, "-v", "db:/srv/db") == in_image
        assert sh(image, "echo second > /srv/db/file", "-v", "db:/srv/db") == ""
        assert sh(image, look, "-v", "db:/srv/db") == in_image.replace("first", "second")
        assert sh(image, look) == in_image

    def test_many_that_make_one_at_a_time_get_the_same(self, image):
        codes = []

        def touch(number: int) -> None:
            codes.append(image.command("run", "-v", "new:/bin2", "web", "--", "touch", f"/bin2/{number}").code)

        threads = [threading.Thread(target=touch, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert codes == [0] * 4
        assert sh(image, "ls /x", "-v", "new:/x") == "0\n1\n2\n3\n"
        assert os.listdir(image.store / "volumes") == ["new"]
        assert os.listdir(image.store / "work") == []

    def test_one_that_is_used_is_not_removed(self, image):
        run(image, "-v", "data:/data", "web", "--", "sh", "-c", WAITING)
        shown = json.loads(image.command("volume", "show", "data", "--format", "json").out)
        assert [(user["name"], user["target"], user["running"]) for user in shown["used_by"]] == [
            ("one", "/data", True)
        ]
        for options in ((), ("--force",)):
            done = image.command("volume", "rm", *options, "data")
            assert (done.code, "data is used by one" in done.err) == (1, True)
        image.command("stop", "one")
        assert image.command("volume", "rm", "data").code == 1
        assert image.command("volume", "rm", "--force", "data").out == "data\n"
        assert image.command("start", "one").code == 0
        assert sorted(os.listdir(image.store / "volumes")) == ["data"]

    def test_they_are_made_listed_and_removed_by_name(self, image):
        assert image.command("volume", "create", "data").out == "data\n"
        assert image.command("volume", "create", "data").code == 1
        assert image.command("volume", "create", "../up").code == 2
        sh(
            image,
            "mkdir /v/own; head -c 2000000 /dev/zero > /v/own/big; chown -R 7 /v/own; chmod 0 /v/own",
            "-v",
            "data:/v",
        )
        (listed,) = json.loads(image.command("volume", "ls", "--format", "json").out)
        assert listed["size"] >= 2_000_000
        assert listed["used_by"] == []
        assert image.command("volume", "ls").out.splitlines()[1].split()[0] == "data"
        assert "did you mean 'data'?" in image.command("volume", "show", "dta").err
        used = json.loads(image.command("du", "--format", "json").out)
        assert used["volumes"] >= 2_000_000
        assert [volume["name"] for volume in used["each_volume"]] == ["data"]
        assert image.command("fsck").code == 0
        assert image.command("volume", "rm", "data").code == 0
        assert os.listdir(image.store / "volumes") == []
        assert image.command("volume", "rm", "data").code == 2

    @pytest.mark.user
    def test_a_copy_has_owners_links_attributes_and_holes(self, image):
        script = (
            "cd /v; echo a > a; ln a b; ln -s a c; mkfifo p; chmod 4755 a; mkdir -m 1777 d; chown 7:8 d;"
            "dd if=/dev/zero of=hole bs=1 count=1 seek=30000000 2>/dev/null; touch -d '2001-02-03 04:05:06' d a"
        )
        run(
            image,
            "-v",
            "data:/v",
            "web",
            "--",
            "sh",
            "-c",
            f"[ -e /v/ready ] || {{ {script}; touch /v/ready; }}; {WAITING}",
        )
        look = "cd /v; stat -c '%n %u:%g %a %h %Y %F' *; readlink c; du -k hole | cut -f 1"
        assert wait_for((image.store / "volumes/data/data/ready").exists)
        done = image.command("clone", "--name", "two", "one")
        assert done.code == 0, done.err
        first, second = (image.command("exec", name, "--", "sh", "-c", look).out for name in ("one", "two"))
        assert first == second
        assert "a 0:0 4755 2" in first


class TestReadOnly:
    @pytest.mark.user
    def test_only_what_is_mounted_can_be_written(self, image):
        (image.folder / "data").mkdir()
        options = ("--read-only", "-v", "./data:/data", "-v", "vol:/vol", "--tmpfs", "/scratch")
        script = "for d in /data /vol /scratch /tmp /dev/shm; do touch $d/x && echo $d; done; touch /x /etc/x"
        printed = sh(image, script, *options, code=1)
        assert printed.splitlines()[:5] == ["/data", "/vol", "/scratch", "/tmp", "/dev/shm"]
        assert printed.count("Read-only file system") == 2
        assert image.command("run", *options, "--keep", "--name", "one", "web", "--", "true").code == 0
        image.write("mine", "x")
        assert "can't be written (--read-only)" in image.command("cp", "mine", "one:/x").err


class TestTmpfs:
    @pytest.mark.user
    def test_it_is_as_large_as_it_was_asked_for_and_gone_in_the_end(self, image):
        script = "dd if=/dev/zero of=/t/big bs=100000 count=30; stat -c %a /t; rm /t/big; echo small > /t/x; cat /t/x"
        printed = sh(image, script, "--tmpfs", "/t:2m")
        assert "No space left on device" in printed
        assert printed.splitlines()[-2:] == ["1777", "small"]
        assert image.command("run", "--tmpfs", "/t:much", "web", "--", "true").code == 2

    def test_each_start_finds_it_empty(self, image):
        run(image, "--tmpfs", "/t", "web", "--", "sh", "-c", f"ls /t; touch /t/x; echo looked; {WAITING}")
        shown = lambda: printed(image).replace("bye", "").split()  # noqa: E731
        for number in range(1, 4):
            # Only then is the file there, for the next start to find.
            assert wait_for(lambda expected=["looked"] * number: shown() == expected), shown()
            image.command("stop", "one")
            if number < 3:
                image.command("start", "one")


@pytest.mark.user
def test_copies_with_a_single_id(image):
    image.write("mine/x", "text")
    words = ("run", "--keep", "--name", "one", "web", "--", "sh", "-c", "echo theirs > /theirs")
    done = with_single_id(image, *words)
    assert done.returncode == 0, done.stderr
    for words in (("-a", "mine", "one:/new"), ("--user", "7:7", "mine/.", "one:/new2"), ("one:/theirs", "theirs")):
        done = with_single_id(image, "cp", *words)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert (image.folder / "theirs").stat().st_uid == os.getuid()

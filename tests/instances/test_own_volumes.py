"""The volumes that an image declares: fresh for each instance that is kept, and longer there than it."""

import json
import os

import pytest

from envbuild.instances.config import BIND, VOLUME, Mount, Settings
from envbuild.instances.own_volumes import MAX_VOLUMES, with_own_volumes
from envbuild.plan.image_config import Facts
from tests.conftest import wait_for
from tests.instances.instances import WAITING, printed, run, with_single_id


@pytest.fixture
def table(image):
    """An image with a volume that has a file, and one that is not there yet."""
    made = image.build(
        "run mkdir -p /data/in && echo begin > /data/rows && chown 50:50 /data/rows && chmod 750 /data",
        "volume /data /var/new",
    )
    assert made.code == 0, made.err
    return image


def volumes(project) -> list[str]:
    path = project.store / "volumes"
    return sorted(os.listdir(path)) if path.is_dir() else []


@pytest.mark.namespaces
class TestInstances:
    @pytest.mark.user
    def test_data_outlives_stop_and_rm_and_goes_with_rm_volumes(self, table):
        run(table, "web", "--", "sh", "-c", WAITING)
        first = volumes(table)
        assert [name[: -len("-01234567")] for name in first] == ["one-data", "one-var-new"]
        listed = "cat /data/rows; stat -c %u:%a /data/rows /data; ls -A /var/new"
        assert table.command("exec", "one", "--", "sh", "-c", listed).out == "begin\n50:644\n0:750\n"
        table.command("exec", "one", "--", "sh", "-c", "echo more >> /data/rows; echo x > /var/new/x")
        assert table.command("stop", "one").code == 0
        assert table.command("start", "one").code == 0
        assert table.command("exec", "one", "--", "cat", "/data/rows", "/var/new/x").out == "begin\nmore\nx\n"
        removed = table.command("rm", "--force", "one")
        assert [f"note: the volume {name} stays; envbuild volume rm {name}" for name in first] == (
            removed.err.splitlines()
        )
        assert volumes(table) == first
        assert table.command("volume", "rm", *first).code == 0
        run(table, "web", "--", "sh", "-c", WAITING)
        assert table.command("exec", "one", "--", "cat", "/data/rows").out == "begin\n"
        assert table.command("rm", "--force", "--volumes", "one").err == ""
        assert volumes(table) == []

    def test_one_that_goes_with_its_command_leaves_none(self, table):
        assert table.command("run", "web", "--", "sh", "-c", "echo 1 > /data/x; cat /data/rows").out == "begin\n"
        # A root that can't be written has them for that time: a volume can.
        script = "echo 1 > /data/rows; cat /data/rows; ls /var/new; touch /no"
        done = table.command("run", "--read-only", "web", "--", "sh", "-c", script)
        assert (done.code, done.out) == (1, "1\n")
        run(table, "--rm", "--read-only", "web", "--", "sh", "-c", WAITING)
        assert len(volumes(table)) == 2
        table.command("stop", "one")
        assert wait_for(lambda: volumes(table) == [])

    def test_other_mounts_come_first_and_a_failed_start_leaves_none(self, table):
        (table.folder / "own").mkdir()
        words = ("-v", "./own:/data", "-v", "named:/var/new/deep", "web", "--", "sh", "-c", WAITING)
        run(table, *words)
        table.command("exec", "one", "--", "sh", "-c", "echo 1 > /data/x; echo 2 > /var/new/y; touch /var/new/deep/z")
        assert os.listdir(table.folder / "own") == ["x"]
        assert [name.partition("-")[0] for name in volumes(table)] == ["named", "one"]
        before = volumes(table)
        assert table.command("run", "-d", "web", "--", "not-there").code != 0
        for instance in json.loads(table.command("ps", "--all", "--format", "json").out):
            if instance["name"] != "one":
                table.command("rm", "--volumes", instance["name"])
        assert volumes(table) == before

    @pytest.mark.user
    def test_a_clone_has_copies_of_its_own_or_shares_them(self, table):
        run(table, "web", "--", "sh", "-c", WAITING)
        table.command("exec", "one", "--", "sh", "-c", "echo 1 > /data/rows")
        cloned = table.command("clone", "one", "--name", "two")
        assert "/data is a copy of its volume, one-data-" in cloned.err
        shared = table.command("clone", "one", "--name", "three", "--share")
        assert "/data is shared with one: the volume one-data-" in shared.err
        table.command("exec", "two", "--", "sh", "-c", "echo 2 > /data/rows")
        table.command("exec", "three", "--", "sh", "-c", "echo 3 > /data/rows")
        assert table.command("exec", "one", "--", "cat", "/data/rows").out == "3\n"
        # Who shares a volume keeps it; whose own it is takes it along.
        assert "stays: three uses it" in table.command("rm", "-f", "-v", "one").err
        assert table.command("rm", "-f", "-v", "two").code == 0
        assert len(volumes(table)) == 2
        assert table.command("exec", "three", "--", "cat", "/data/rows").out == "3\n"

    def test_an_instance_of_before_keeps_its_data_in_its_own_files(self, table):
        """One that an earlier envbuild started has no mount there."""
        run(table, "--rm", "web", "--", "sh", "-c", WAITING)
        table.command("exec", "one", "--", "sh", "-c", "echo old > /data/rows")
        assert table.command("clone", "one", "--name", "two").code == 0
        assert table.command("exec", "two", "--", "cat", "/data/rows").out == "old\n"
        assert len(volumes(table)) == 2

    @pytest.mark.user
    def test_with_a_single_id(self, table):
        done = with_single_id(table, "run", "-d", "--name", "one", "web", "--", "sh", "-c", "cat /data/rows; sleep 9")
        assert done.returncode == 0, done.stderr
        assert wait_for(lambda: printed(table) == "begin\n")


class TestMounts:
    def test_a_deeper_one_is_mounted_later(self):
        given = (Mount(BIND, "/h", "/srv/data/conf"), Mount(VOLUME, "v", "/srv"))
        settings = with_own_volumes(Settings(("x",), mounts=given), Facts("amd64", 0, volumes=("/srv/data/",)), "web")
        assert [mount.target for mount in settings.mounts] == ["/srv", "/srv/data", "/srv/data/conf"]
        assert settings.own_volumes == (settings.mounts[1].source,)

    def test_what_an_image_says_is_not_relied_upon(self):
        odd = (
            "/",
            "//",
            "/proc",
            "/sys/fs",
            "/dev/../proc/1",
            "/x/../../dev",
            "../etc",
            "/é/" + "a" * 300,
            "/a//b/",
            "/n\0",
        )
        settings = with_own_volumes(Settings(("x",)), Facts("amd64", 0, volumes=odd), "é" * 300)
        assert {mount.target for mount in settings.mounts} == {"/etc", "/é/" + "a" * 300, "/a/b"}
        assert all(name.isascii() and len(name) < 200 for name in settings.own_volumes)
        many = Facts("amd64", 0, volumes=tuple(f"/{number}" for number in range(10_000)))
        assert len(with_own_volumes(Settings(("x",)), many, "web").mounts) == MAX_VOLUMES

"""What happens at one moment, or in the wrong order of time: races, clocks that go back, numbers used again."""

import json
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from envbuild.errors import WorkFailed
from envbuild.instances.init_process import kill_first, start_time
from envbuild.instances.records import Instances, State
from envbuild.linux.rmtree import remove
from tests.attacks import killed_while_mapping
from tests.conftest import wait_for
from tests.faults import after_a_reboot
from tests.faults.test_damage import flip
from tests.instances.instances import WAITING, run, state, with_image

FORK = multiprocessing.get_context("fork")


@pytest.fixture
def image(project, made_once, tmp_path):
    with with_image(project, made_once, tmp_path):
        yield project


def at_once(*work) -> None:
    """Runs functions in processes of their own; all have to succeed."""
    processes = [FORK.Process(target=task) for task in work]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * len(processes)


def fill(folder: str) -> None:
    for number in range(6):
        os.makedirs(f"{folder}/{number}/deep/down")
        for name in range(8):
            Path(f"{folder}/{number}/deep/f{name}").touch()


class TestRemoval:
    @pytest.mark.user
    def test_several_remove_one_folder(self, tmp_path):
        paths = [str(tmp_path / f"folder{number}") for number in range(150)]
        for path in paths:
            fill(path)
        at_once(*[lambda: [remove(path) for path in paths]] * 4)
        assert os.listdir(tmp_path) == []

    def test_tidying_does_not_mind_what_others_finish(self, tmp_path):
        instances = Instances(str(tmp_path / "instances"))
        os.makedirs(instances.path)
        end = time.monotonic() + 1

        def come_and_go() -> None:
            number = 0
            while time.monotonic() < end:
                number += 1
                for suffix in ("new", "gone"):
                    path = f"{instances.path}/{os.getpid()}x{number}.{suffix}"
                    os.mkdir(path)
                    os.rmdir(path)

        def tidy() -> None:
            while time.monotonic() < end:
                instances.tidy()

        at_once(come_and_go, come_and_go, tidy, tidy)

    def test_a_name_that_a_crash_left_is_taken_by_one_alone(self, tmp_path):
        instances = Instances(str(tmp_path / "instances"))
        os.makedirs(f"{instances.path}/.names")
        won = tmp_path / "won"
        won.mkdir()

        def take() -> None:
            for number in range(300):
                link = f"{instances.path}/.names/n{number}"
                try:
                    os.symlink("dead", link)
                except FileExistsError:
                    pass
                try:
                    made, _ = instances.create(f"n{number}", "a" * 64, "web", "b" * 64, "{}", "{}", temporary=True)
                except WorkFailed:
                    continue
                (won / f"{number}.{made.identity}").touch()

        at_once(take, take, take)
        taken = sorted(path.name.partition(".")[0] for path in won.iterdir())
        assert taken == sorted(map(str, range(300)))

    def test_an_instance_without_a_name_never_meets_a_taken_one(self, tmp_path):
        instances = Instances(str(tmp_path / "instances"))
        for number in range(1, 600):
            _, lock = instances.create(None, "a" * 64, "web", "b" * 64, "{}", "{}", temporary=True)
            os.close(lock)
            assert len(os.listdir(f"{instances.path}/.names")) == number

    @pytest.mark.user
    @pytest.mark.namespaces
    def test_who_only_looks_keeps_nobody_from_starting(self, image):
        run(image, "web", "--", "true")
        assert wait_for(lambda: state(image)["state"] == "exited")
        instances = Instances(str(image.store / "instances"))
        end = time.monotonic() + 2

        def look() -> None:
            record = instances.find("one")
            while time.monotonic() < end:
                instances.is_supervised(record)

        def start() -> None:
            while time.monotonic() < end:
                done = image.command("start", "one")
                assert done.code == 0, done.err
                assert image.command("wait", "one").code == 0

        at_once(look, look, start)


@pytest.mark.namespaces
class TestClocks:
    def later(self, image, table: str, column: str) -> None:
        """Has the store think that something was done in an hour, as before the clock was set back."""
        with sqlite3.connect(image.store / "store.db") as database:
            database.execute(f"UPDATE {table} SET {column} = ?", (time.time_ns() + 3600 * 10**9,))
        database.close()

    def in_layers(self, image, name: str) -> Path:
        return next((image.store / "layers").rglob(name))

    def test_damage_that_looks_older_than_the_last_check_is_noticed(self, image):
        assert image.command("run", "web", "--", "cat", "/file").out == "in the image\n"
        self.later(image, "stacks", "checked")
        flip(self.in_layers(image, "file"))
        done = image.command("run", "web", "--", "cat", "/file")
        assert "damaged" in done.err or "put aside" in done.err
        assert done.out in ("", "in the image\n")
        assert image.build().code == 0
        assert image.command("run", "web", "--", "cat", "/file").out == "in the image\n"

    def test_a_clock_that_went_back_is_no_damage_and_all_is_read_once(self, image):
        self.later(image, "stacks", "checked")
        done = image.command("run", "web", "--", "cat", "/file")
        assert (done.out, done.err) == ("in the image\n", "")
        with sqlite3.connect(image.store / "store.db") as database:
            (latest,) = database.execute("SELECT max(checked) FROM stacks").fetchone()
        database.close()
        assert latest < time.time_ns()

    def test_files_that_a_loss_of_power_left_empty_are_noticed_although_the_last_sync_is_to_come(self, image):
        for path in (image.store / "objects").rglob("*"):
            if path.is_file() and path.read_bytes() == b"in the image\n":
                os.truncate(path, 0)
        done = image.call(after_a_reboot.count_lost_files)
        assert done.stdout.strip() == "1", done.stdout + done.stderr


@pytest.mark.user
@pytest.mark.namespaces
class TestNumbers:
    def test_a_number_of_another_process_is_not_what_stats_measures(self, image):
        run(image, "web", "--", "sh", "-c", WAITING)
        path = next((image.store / "instances").glob("*/state.json"))
        plain = json.loads(path.read_text())
        assert plain["begun"] == start_time(plain["pid"])
        listed = json.loads(image.command("stats", "--format", "json").out)
        assert [entry["name"] for entry in listed] == ["one"]
        path.write_text(json.dumps({**plain, "begun": plain["begun"] - 1}))
        assert json.loads(image.command("stats", "--format", "json").out) == []

    def test_a_number_of_another_process_is_not_killed(self):
        other = subprocess.Popen(["sleep", "100"])
        try:
            begun = start_time(other.pid)
            assert not kill_first(State("running", pid=other.pid, begun=begun - 1))
            assert not kill_first(State("running", pid=0))
            assert other.poll() is None
            assert kill_first(State("running", pid=other.pid, begun=begun))
            assert other.wait(10) == -signal.SIGKILL
            assert not kill_first(State("running", pid=other.pid, begun=begun))
        finally:
            other.kill()
            other.wait()

    def test_a_member_of_a_network_whose_number_is_another_process_is_not_entered(self, image):
        run(image, "--network", "inner", "web", "--", "sh", "-c", WAITING)
        network = image.store / "networks" / "inner"
        (member,) = [path for path in network.iterdir() if path.name != "hosts"]
        plain = json.loads(member.read_text())
        text = json.dumps({**plain, "begun": plain["begun"] - 1})
        with open(member, "r+") as file:
            file.write(text.ljust(len(member.read_text())))
        done = image.command("run", "--network", "inner", "web", "--", "true")
        assert done.code == 1
        assert "can't be joined" in done.err

    def test_a_member_whose_record_is_damaged_is_told(self, image):
        run(image, "--network", "inner", "web", "--", "sh", "-c", WAITING)
        (member,) = [path for path in (image.store / "networks" / "inner").iterdir() if path.name != "hosts"]
        os.truncate(member, 0)
        done = image.command("run", "--network", "inner", "web", "--", "true")
        assert (done.code, "damaged" in done.err) == (1, True)


@pytest.mark.user
@pytest.mark.namespaces
def test_a_process_that_is_killed_while_it_sets_up_ids_is_no_bug_of_ours(project):
    project.write("web.env", "from tar:busybox.tar", "run true")
    done = project.call(killed_while_mapping.main, "build", "web.env")
    assert done.returncode == 3, done.stderr
    assert "gives a user namespace its ids was ended" in done.stderr


@pytest.mark.user
@pytest.mark.root
@pytest.mark.namespaces
class TestSomebodyElsesStore:
    COMMANDS = (("ps",), ("images",), ("run", "web", "--", "true"), ("fsck", "--repair"), ("gc",), ("kill", "one"))

    def test_it_is_refused_and_left_as_it_is(self, image):
        listing = sorted(os.listdir(image.store / "layers"))
        for path in (image.store, *image.store.rglob("*")):
            os.chown(path, 12345, 12345, follow_symlinks=False)
        try:
            for words in (*self.COMMANDS, ("build", "web.env")):
                done = image.command(*words)
                assert done.code == 3, f"{words}: {done.out}{done.err}"
                assert "belongs to the user 12345" in done.err
                assert "damaged" not in done.err
            assert sorted(os.listdir(image.store / "layers")) == listing
            assert not (image.store / "damaged").exists()
        finally:
            for path in (image.store, *image.store.rglob("*")):
                os.chown(path, 0, 0, follow_symlinks=False)

    def test_a_folder_of_others_may_hold_a_store_of_ones_own(self, project):
        project.store.mkdir()
        os.chown(project.store, 12345, 12345)
        assert project.build("run true").code == 0
        assert project.command("ps").code == 0

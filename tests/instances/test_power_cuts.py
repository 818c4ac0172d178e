"""A loss of power while instances are started and end: their records are whole or not there, and nothing fails.

What was synced (fsync(2)) is there. Of other files the content may be lost while their names are there, as ext4 and
its like do it; a folder may be as it was at any moment after it was last synced.
"""

import json
import os
import random
import shutil
from pathlib import Path

import pytest

from envbuild.instances.record import settle
from envbuild.instances.records import InstanceDamaged, Instances
from tests.conftest import wait_for
from tests.instances import recorded
from tests.instances.instances import folder_of, printed, run, state

pytestmark = pytest.mark.namespaces


def damage(content: str, randomness: random.Random) -> str:
    return randomness.choice([content, "", "\0" * len(content), content[: len(content) // 2]])


def leave(events: list, at: int, instances: Path, randomness: random.Random) -> None:
    """Makes the folder what a loss of power right after the event `at` may leave."""
    synced: dict[int, str] = {}
    for kind, number, event in events[: at + 1]:
        if kind == "sync":
            synced.update({inode: text for what, text, inode in event.values() if what == "file" and inode == number})
    shutil.rmtree(instances, ignore_errors=True)
    instances.mkdir(mode=0o700)
    for inner, (what, text, number) in sorted(events[at][2].items()):
        path = instances / inner
        path.parent.mkdir(exist_ok=True)
        if what == "folder":
            path.mkdir(exist_ok=True)
        elif what == "link":
            path.symlink_to(text)
        else:
            path.write_text(text if synced.get(number) == text else damage(text, randomness))


@pytest.mark.parametrize("options", [("-d", "--name", "one"), ("-d", "--rm", "--name", "one"), ()])
def test_power_lost_at_any_moment_of_a_run(image, tmp_path, options):
    file = tmp_path / "events"
    command = ("sleep 30",) if options else ("true",)
    done = image.call(recorded.main, str(file), "run", *options, "web", "--", "sh", "-c", *command)
    assert done.returncode == 0, done.stderr
    if "--rm" not in options and options:
        assert image.command("stop", "--time", "0", "one").code == 0
    for instance in json.loads(image.command("ps", "--all", "--format", "json").out):
        assert image.command("rm", "--force", instance["id"]).code == 0
    events = [json.loads(line) for line in file.read_text().splitlines()]
    assert [kind for kind, _, _ in events].count("rename") > 2
    instances = Instances.of(str(image.store))
    for at in range(len(events)):
        what = f"event {at}: {events[at][0]}"
        leave(events, at, image.store / "instances", random.Random(what))
        # What is to stay counts with a whole record, or not at all.
        assert instances.damaged() == [], what
        standing = [instance.name for instance in instances.all()]
        if at % 5 == 0:
            by_commands(image, what, standing)
        instances.tidy()
        for instance in instances.all():
            instances.remove(instance)
        # Its name is free.
        made, lock = instances.create("one", "a" * 64, "web", "b" * 64, "{}", "{}")
        os.close(lock)
        assert [each.name for each in instances.all()] == ["one"], what
        instances.remove(made)


def by_commands(image, what: str, standing: list[str]) -> None:
    """Sees that commands take what is there as it is, and can take it away."""
    listed = image.command("ps", "--all", "--format", "json")
    assert [entry["name"] for entry in json.loads(listed.out)] == standing, f"{what}: {listed.out}{listed.err}"
    for words in (("gc",), ("run", "--name", "other", "web", "--", "true"), ("fsck",)):
        done = image.command(*words)
        assert done.code == 0, f"{what}: {words}: {done.out}{done.err}"
    left = [entry["name"] for entry in json.loads(image.command("ps", "--all", "--format", "json").out)]
    if left:
        assert image.command("rm", *left).code == 0, what
    assert image.command("ps", "--all", "--format", "json").out.strip() == "[]", what
    assert image.command("run", "--name", "one", "web", "--", "true").code == 0, what


def broken(image, name: str, content: bytes) -> Path:
    """The folder of an instance whose record is this."""
    run(image, "web", "--", "true", name=name)
    assert wait_for(lambda: state(image, name)["state"] == "exited")
    folder = folder_of(image, name)
    (folder / "config.json").write_bytes(content)
    return folder


def test_an_instance_with_a_damaged_record_is_listed_and_can_be_removed(image):
    folder = broken(image, "one", b"")
    (folder / "upper" / "data").write_text("mine")
    listed = json.loads(image.command("ps", "--format", "json").out)
    assert [(entry["name"], entry["state"]) for entry in listed] == [("one", "damaged")]
    assert "damaged: config.json" in image.command("ps").out
    for words in (("gc",), ("du",), ("run", "web", "--", "true"), ("build", "web.env"), ("volume", "ls"), ("stats",)):
        done = image.command(*words)
        assert done.code == 0, f"{words}: {done.err}"
    for words in (("start", "one"), ("logs", "one"), ("exec", "one", "--", "true"), ("diff", "one"), ("stop", "one")):
        done = image.command(*words)
        assert done.code in (1, 2), f"{words}: {done.err}"
        assert "damaged" in done.err
        assert "envbuild rm one" in done.err
    assert image.command("fsck").code == 1
    taken = image.command("run", "--name", "one", "web", "--", "true")
    assert (taken.code, "there is an instance 'one' already" in taken.err) == (1, True)
    removed = image.command("rm", "one")
    assert (removed.code, removed.out) == (0, "one\n"), removed.err
    assert not folder.exists()
    assert image.command("run", "--name", "one", "web", "--", "true").code == 0


def test_whatever_damage_a_record_has(tmp_path):
    instances = Instances(str(tmp_path))
    for content in (None, b"", b"\0" * 300, b"{", b"[]", b"{}", b"\xff\xfe", b"[" * 100_000, b'{"name": 5}'):
        made, lock = instances.create("one", "a" * 64, "web", "b" * 64, "{}", "{}")
        os.close(lock)
        settle(made.path)
        record = Path(made.path, "config.json")
        record.unlink()
        if content is not None:
            record.write_bytes(content)
        case = repr(content)[:30]
        assert instances.all() == [], case
        (damaged,) = instances.damaged()
        assert (damaged.name, "config.json" in damaged.reason) == ("one", True), case
        with pytest.raises(InstanceDamaged):
            instances.find("one")
        instances.remove(instances.find_any("one"))
        assert (instances.damaged(), os.path.exists(made.path)) == ([], False), case


def test_fsck_puts_a_damaged_instance_aside_with_what_it_wrote(image):
    folder = broken(image, "one", b"")
    (folder / "upper" / "data").write_text("mine")
    repaired = image.command("fsck", "--repair")
    assert repaired.code == 0, repaired.out + repaired.err
    assert "config.json is empty" in repaired.out
    assert image.command("fsck").code == 0
    (kept,) = (image.store / "damaged").glob("*/upper/data")
    assert kept.read_text() == "mine"


def test_a_running_instance_with_a_damaged_record_keeps_its_layers_and_is_stopped_by_force(image):
    run(image, "web", "--", "sleep", "100")
    path = next((image.store / "instances").glob("*/config.json"))
    path.write_bytes(b"")
    assert image.command("untag", "web").code == 0
    assert image.command("gc", "--keep", "0").code in (0, 2)
    refused = image.command("rm", "one")
    assert (refused.code, "one is running" in refused.err) == (1, True)
    assert image.command("rm", "--force", "one").code == 0


def test_a_damaged_state_is_a_lost_instance(image):
    run(image, "web", "--", "true")
    assert wait_for(lambda: state(image)["state"] == "exited")
    for content in (b"[]", b'{"status": 7}', b'{"status": "running", "ports": [5]}', b"\0\0", b""):
        (folder_of(image) / "state.json").write_bytes(content)
        assert state(image)["state"] == "lost", content
    assert "lost" in image.command("ps", "--all").out
    assert image.command("start", "one").code == 0


def test_a_log_with_what_a_loss_of_power_left_in_it_is_read(image):
    run(image, "web", "--", "echo", "printed")
    assert wait_for(lambda: "printed" in printed(image))
    log = next((image.store / "instances").glob("*/log"))
    log.write_bytes(b"\0" * 50 + log.read_bytes() + b"no time here\n" + b"17")
    done = image.command("logs", "one")
    assert done.code == 0, done.err
    assert "printed" in done.out
    assert "no time here" in done.out
    assert os.path.getsize(log) > 0

"""What an instance has now, as `diff` shows it."""

import json
import os
import socket

import pytest

pytestmark = pytest.mark.namespaces


@pytest.mark.user
def test_each_kind_of_change_shows(hands):
    hands.start()
    hands.change(
        "echo new > /new; echo longer > /srv/app/a; rm /srv/app/b; rm -r /srv/app/old; ln -sfn b /srv/app/link;"
        "mkfifo /pipe; chmod 4755 /file; mkdir /etc/again; rm -r /var/log; mkdir /var/log"
    )
    changes = hands.diff("one")
    assert {
        path: (change["verb"], change["kind"]) for path, change in changes.items() if change["what"] != ["time"]
    } == {
        "/etc/again": ("added", "directory"),
        "/file": ("changed", "file"),
        "/new": ("added", "file"),
        "/pipe": ("added", "named pipe"),
        "/srv/app/a": ("changed", "file"),
        "/srv/app/b": ("removed", "file"),
        "/srv/app/link": ("changed", "link"),
        "/srv/app/old": ("removed", "directory"),
    }
    assert "mode" in changes["/file"]["what"]


def test_a_folder_that_was_made_anew_hides_what_it_held(hands):
    hands.start()
    hands.change("rm -r /srv/app; mkdir /srv/app; echo c > /srv/app/c")
    changes = hands.diff("one")
    assert {path for path, change in changes.items() if change["verb"] == "removed"} == {
        *("/srv/app/a", "/srv/app/b", "/srv/app/link", "/srv/app/old")
    }
    assert changes["/srv/app/c"]["verb"] == "added"


@pytest.mark.user
def test_owners_are_those_of_the_instance(hands):
    hands.start()
    hands.change("touch /mine; chown 1234:50 /mine; chown -h 7:7 /srv/app/link")
    changes = hands.diff("one")
    single = "ids: one" in hands.project.command("doctor").out
    if single:
        pytest.skip("with a single id owners are answered and not kept")
    assert (changes["/mine"]["new"]["uid"], changes["/mine"]["new"]["gid"]) == (1234, 50)
    assert changes["/srv/app/link"]["new"]["uid"] == 7


@pytest.mark.user
def test_what_is_mounted_and_sockets_are_no_part_of_it(hands, monkeypatch):
    outside = hands.project.folder / "outside"
    outside.mkdir()
    hands.start("web", "one", "-v", f"{outside}:/mnt/outside", "-v", f"{outside}:/data")
    hands.change("echo x > /mnt/outside/x; echo y > /data/y; echo z > /tmp/z; mkdir -p /srv/in; touch /srv/in/s")
    listed = json.loads(hands.project.command("ps", "--format", "json").out)
    monkeypatch.chdir(hands.project.store / "instances" / listed[0]["id"] / "upper/srv/in")
    os.unlink("s")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
        changes = hands.diff("one")
    assert {path for path, change in changes.items() if change["what"] != ["time"]} == {"/srv/in"}


def test_a_file_that_it_goes_on_writing_is_not_the_stores(hands):
    hands.start()
    hands.change("echo first > /written")
    first = hands.diff("one")["/written"]["new"]["digest"]
    hands.change("echo second >> /written")
    assert hands.diff("one")["/written"]["new"]["digest"] != first
    assert hands.project.command("fsck").code == 0


def test_it_is_read_while_files_come_and_go(hands):
    hands.start()
    script = (
        "while :; do mkdir -p /srv/t/d; echo x > /srv/t/d/f; mv /srv/t/d /srv/t/e; rm -r /srv/t; ln -s /bin /srv/t;"
    )
    hands.change(f"({script} rm /srv/t; done) > /dev/null 2>&1 &")
    for _ in range(5):
        assert "/bin/sh" not in hands.diff("one")
    done = hands.project.command("drift", "web")
    assert done.err == ""


def test_two_instances_and_an_image_against_one(hands):
    hands.start(name="one")
    hands.start(name="two")
    assert hands.project.command("diff", "one", "two").code == 0
    hands.change("echo 1 > /left", "one")
    hands.change("echo 2 > /right", "two")
    changes = hands.diff("one", "two")
    assert (changes["/left"]["verb"], changes["/right"]["verb"]) == ("removed", "added")
    assert hands.project.command("diff", "one", "two").code == 1
    assert "/right" in hands.diff("web", "two")


@pytest.mark.user
def test_one_that_never_ran_and_one_that_is_over(hands):
    hands.start()
    assert hands.project.command("diff", "one").code == 0
    hands.change("echo 1 > /left")
    hands.project.command("stop", "one")
    assert "/left" in hands.diff("one")


def test_an_instance_goes_before_an_image_of_the_same_name(hands):
    hands.start(name="web")
    hands.change("echo 1 > /left", "web")
    assert "/left" in hands.diff("web")
    assert "/left" in hands.diff("web:latest", "web")
    listed = json.loads(hands.project.command("ps", "--format", "json").out)
    assert "/left" in hands.diff(listed[0]["id"][:6])

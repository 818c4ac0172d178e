"""The recipe of a captured machine: its lines give what the machine has, but for what is said."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from tests.capture.conftest import Machine

pytestmark = pytest.mark.namespaces


def write_recipe(machine: Machine, *words: str) -> dict[str, Any]:
    """Capture the machine, have its recipe written on `base`, and return what is said of it."""
    machine.capture()
    return json.loads(machine.output("recipe", "laptop", "--from", "image:base", "--format", "json", *words))


def lines(machine: Machine, path: str = "laptop.env") -> list[str]:
    """The lines of a recipe without its comments."""
    text = (machine.project.folder / path).read_text()
    return [line for line in text.splitlines() if not line.startswith("#")]


def left(machine: Machine, written: dict[str, Any], recipe: str = "laptop.env") -> set[str]:
    """Build the recipe, and return the paths that still differ from the machine and are not named."""
    done = machine.project.command("build", recipe, "--no-cache")
    assert done.code == 0, done.err
    name = lines(machine, recipe)[0].partition(" ")[2]
    said = {row["path"] for row in written["not_expressed"]}
    done = machine.project.command("diff", "laptop", name, "--files", "--format", "json")
    differing = {row["path"] for row in json.loads(done.out)["files"] if row["what"] != ["time"]}
    return {path for path in differing - said if not path.startswith("/var/lib/envbuild")}


@pytest.mark.root  # whose files the machine's are: who unpacks them else owns them
def test_lines_give_what_the_machine_has_but_for_what_is_said(router):
    router.write("/etc/app/app.conf", "a=1\n", 0o640)
    router.write("/usr/local/bin/job", "#!/bin/sh\n", 0o755)
    (router.root / "etc/localtime").symlink_to("/usr/share/zoneinfo/Europe/Berlin")
    router.write("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nada:x:1000:1000::/home/ada:/bin/sh\n")
    router.write("/etc/group", "root:x:0:\nstaff:x:50:ada\nada:x:1000:\n")
    written = write_recipe(router)
    text = lines(router)
    assert text[:3] == ["recipe laptop-recipe", "from image:base", "adduser ada uid=1000 groups=staff"]
    assert "copy(mode=0640) laptop.files/etc/app/app.conf -> /etc/app/app.conf" in text
    assert "    rm -rf -- /etc/app/gone" in text
    assert "    ln -sfn -- /usr/share/zoneinfo/Europe/Berlin /etc/localtime" in text
    assert {row["path"] for row in written["not_expressed"] if row["why"] == "machine"} == {"/etc/hostname"}
    assert {path for path in left(router, written) if not path.startswith(("/tmp", "/var", "/home/ada"))} == set()


@pytest.mark.root  # whose files the machine's are: who unpacks them else owns them
def test_what_the_capture_does_not_say_is_not_removed(router):
    """The base has something in a home, of which the capture has only the directory."""
    done = router.project.build("from tar:busybox.tar", "file /root/x/y", "  1", name="base.env")
    assert done.code == 0, done.err
    (router.root / "root").mkdir(exist_ok=True)
    router.write("/root/x/z", "2\n")
    written = write_recipe(router)
    assert not any("/root" in line for line in lines(router))
    assert written["left_out"] > 0
    assert "#   a home (--home takes it): /home/* /root/*\n" in (router.project.folder / "laptop.env").read_text()


def test_secrets_are_named_and_stay_where_they_are(router):
    router.write("/etc/app/id_rsa", "-----BEGIN RSA PRIVATE KEY-----\nsecret\n", 0o600)
    written = write_recipe(router)
    assert {row["why"] for row in written["not_expressed"] if row["path"] == "/etc/app/id_rsa"} == {"secret"}
    assert "secret\n" not in "".join(
        path.read_text() for path in (router.project.folder / "laptop.files").rglob("*") if path.is_file()
    )


def test_a_file_with_a_secret_taken_out_is_not_copied(router):
    """What stands for the secret in the capture would be a wrong password on the new machine."""
    router.write("/etc/wpa_supplicant/home.conf", 'network={\n  ssid="home"\n  psk="swordfish-1234"\n}\n', 0o600)
    router.write("/etc/app/plain", "psk\n")
    written = write_recipe(router)
    assert {row["why"] for row in written["not_expressed"] if row["path"] == "/etc/wpa_supplicant/home.conf"} == {
        "secret"
    }
    assert not any("wpa_supplicant" in line for line in lines(router) if line.startswith("copy"))
    assert not (router.project.folder / "laptop.files/etc/wpa_supplicant").exists()
    assert any("laptop.files/etc/app/plain" in line for line in lines(router))


def test_mount_points_of_the_kernel_are_left_as_they_are(router):
    """A step that changed their modes would fail, and all else in the script with it."""
    for name in ("proc", "sys", "dev"):
        (router.root / name).mkdir(exist_ok=True)
        (router.root / name).chmod(0o555)
    (router.root / "etc/link").symlink_to("hostname")
    written = write_recipe(router)
    assert written["dropped"] == []
    assert "    ln -sfn -- hostname /etc/link" in lines(router)


def test_what_is_large_is_named_in_a_comment(router):
    router.write("/opt/tool/data/big", "x" * 2000)
    router.write("/opt/tool/small", "x")
    router.write("/opt/other", "x" * 500)
    write_recipe(router, "--max-size", "1k")
    text = (router.project.folder / "laptop.env").read_text()
    assert "#   copy laptop.files/opt/tool/ -> /opt/tool/  # 2.0 KiB\n" in text
    assert not (router.project.folder / "laptop.files/opt/tool").exists()
    assert (router.project.folder / "laptop.files/opt/other").exists()


def test_a_build_of_the_recipe_leaves_the_capture_its_name(router):
    write_recipe(router)
    before = router.output("log", "laptop", "--format", "json")
    assert router.project.command("build", "laptop.env").code == 0
    assert router.output("log", "laptop", "--format", "json") == before


def test_the_place_and_the_base_are_checked_before_anything_is_built(router):
    router.capture()
    for words, said in (
        (("--from", "tar:busybox.tar"), "can't be the base"),
        (("-o", "laptop"), "can't name a recipe"),
        (("-o", "nowhere/laptop.env"), "there is no directory"),
        (("--max-size", "much"), "is not a size"),
        ((), "no base is known"),
    ):
        done = router.project.command("recipe", "laptop", *words)
        assert done.code == 2, done.err
        assert said in done.err
    router.write("/x", "y")
    (router.project.folder / "laptop.env").write_text("from scratch\n")
    done = router.project.command("recipe", "laptop", "--from", "image:base")
    assert done.code == 2
    assert "exists already" in done.err
    assert sorted(os.listdir(router.project.folder)) == [
        "base",
        "base.env",
        "base.env.lock",
        "busybox.tar",
        "laptop.env",
    ]

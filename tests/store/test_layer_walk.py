"""The program that looks for changes in layers."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from envbuild.store import layer_check, layer_walk
from envbuild.store.layer_walk import LayerWalk

pytestmark = pytest.mark.skipif(
    os.uname().machine not in ("x86_64", "aarch64"), reason="there is no program for this machine"
)
AFTERWARDS = layer_check.CLOCK_STEP + 1
LONG = "name" * 50
"""A hundred of these are more than the program takes at once."""


@pytest.fixture
def layer(tmp_path):
    """A layer with some depth, a directory of many names, and a link to something outside that changes."""
    layer = tmp_path / "layers" / "layer"
    deep = layer / "/".join(["d"] * 100)
    deep.mkdir(parents=True)
    (deep / "file").write_text("1")
    (layer / "many").mkdir()
    for number in range(200):
        (layer / "many" / f"{LONG}{number}").touch()
    (layer / ".hidden").mkdir()
    (layer / "..odd").touch()
    (layer / "link").symlink_to(tmp_path)
    return layer


def newest(folder: Path) -> int:
    paths = [folder, *folder.rglob("*")]
    return max(path.lstat().st_ctime_ns for path in paths)


def is_sound(layer: Path, since: int) -> bool:
    walk = LayerWalk.start(str(layer.parent), {layer.name: since + layer_check.CLOCK_STEP})
    assert walk is not None
    return walk.sound_layers() == {layer.name}


def test_nothing_was_changed_after_the_last_change(layer):
    last = newest(layer)
    assert is_sound(layer, last)
    assert not is_sound(layer, last - 1)


def test_a_change_anywhere_is_seen(layer):
    deep = "/".join(["d"] * 100)
    for path in (".", "many", f"many/{LONG}199", f"{deep}/file", ".hidden", "..odd"):
        last = newest(layer)
        assert is_sound(layer, last)
        while (layer / path).lstat().st_ctime_ns <= last:
            os.utime(layer / path, ns=(0, 0))
        assert not is_sound(layer, last), path


def test_of_several_layers_each_has_its_own_time(layer):
    other = layer.parent / "other"
    other.mkdir()
    times = {layer.name: newest(layer), other.name: newest(other)}
    times = {name: time + layer_check.CLOCK_STEP for name, time in times.items()}
    walk = LayerWalk.start(str(layer.parent), times)
    assert walk is not None
    assert walk.sound_layers() == {"layer", "other"}
    walk = LayerWalk.start(str(layer.parent), {**times, "other": times["other"] - 1})
    assert walk is not None
    assert walk.sound_layers() == frozenset()


def test_what_can_not_be_walked_over_is_not_called_sound(layer):
    last = newest(layer)
    shutil.rmtree(layer)
    assert not is_sound(layer, last)
    layer.symlink_to(layer.parent.parent)
    assert not is_sound(layer, 1 << 62)


def test_without_a_program_for_the_machine_nothing_is_started(layer, monkeypatch):
    monkeypatch.setattr(layer_walk, "_CODE", {})
    assert LayerWalk.start(str(layer.parent), {layer.name: 1 << 62}) is None


def test_a_walk_can_be_ended(layer):
    walk = LayerWalk.start(str(layer.parent), {layer.name: 1 << 62})
    assert walk is not None
    walk.end()


@pytest.mark.parametrize(("machine", "prefix"), [("x86_64", ""), ("aarch64", "aarch64-linux-gnu-")])
def test_the_program_is_what_its_source_assembles_to(tmp_path, machine, prefix):
    if machine == os.uname().machine:
        prefix = ""
    if shutil.which(f"{prefix}as") is None:
        pytest.skip(f"needs binutils for {machine}")
    source = Path(layer_walk.__file__).with_name(f"layer_walk_{machine}.S")
    subprocess.run([f"{prefix}as", source, "-o", "walk.o"], cwd=tmp_path, check=True)
    subprocess.run([f"{prefix}objcopy", "-O", "binary", "-j", ".text", "walk.o", "walk"], cwd=tmp_path, check=True)
    assert layer_walk.program(machine, ()).endswith((tmp_path / "walk").read_bytes())

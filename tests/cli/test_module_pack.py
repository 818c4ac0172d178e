"""The pack of a command's modules: it changes nothing but how long a start takes."""

import marshal
import os
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import envbuild
from envbuild import module_pack, module_pack_writer

COUNTED = Path(__file__).parent / "counted_modules.py"


class Package:
    """A copy of the package, whose modules may be changed."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "site" / "envbuild"
        # With bytecode: else each test compiles what its first command loads.
        self.root.parent.mkdir(parents=True)
        subprocess.run(["cp", "-a", Path(envbuild.__file__).parent, self.root], check=True)
        for pack in self.packs():
            pack.unlink()
        self.environment = {**os.environ, "PYTHONPATH": str(self.root.parent), "ENVBUILD_STORE": str(folder / "store")}
        self.environment.pop("PYTHONDONTWRITEBYTECODE", None)

    def run(self, *words: str, **variables: str) -> str:
        done = subprocess.run(
            [sys.executable, str(COUNTED), *words],
            env=self.environment | variables,
            cwd=self.root.parent,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert not done.stderr
        return done.stdout

    def packs(self) -> list[Path]:
        return sorted(self.root.glob("__pycache__/*.pack*"))

    def index(self) -> dict:
        content = self.packs()[0].read_bytes()
        start = content.index(b"\0") + 1
        size = int.from_bytes(content[start + 8 : start + 16], "little")
        return marshal.loads(content[start + 16 : start + 16 + size])[0]


@pytest.fixture
def package(tmp_path):
    return Package(tmp_path)


def test_the_second_start_takes_all_modules_from_the_pack(package):
    code, packed, others = package.run("ps").split()[-3:]
    assert (code, packed) == ("0", "0")
    assert [path.name for path in package.packs()] == [f"ps.{sys.implementation.cache_tag}.pack"]
    assert package.run("ps").split()[-3:] == ["0", others, "0"]


def test_modules_that_go_together_are_seen_once_and_kept(package):
    package.run("ps")
    package.run("ps")
    content = package.packs()[0].read_bytes()
    needed = package.index()["envbuild.cli.main"][7]
    assert {"envbuild.record", "envbuild.errors"} <= set(needed)
    assert needed.index("envbuild.record") < needed.index("envbuild.errors")
    package.run("ps")
    assert package.packs()[0].read_bytes() == content


def test_two_commands_that_learn_at_once_keep_what_both_learned(package):
    learned = ("digest", "record")
    script = (
        "from envbuild import module_pack as pack, module_pack_writer as writer, {module}\n"
        "pack.use('ps', '1'); print(flush=True); input(); writer.write_pack('ps', '1')"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", script.format(module=module)],
            env=package.environment,
            cwd=package.root.parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for module in learned
    ]
    for process in running:
        assert process.stdout.readline() == b"\n"
    for process in running:
        process.communicate(b"\n")
        assert process.returncode == 0
    assert {f"envbuild.{module}" for module in learned} <= set(package.index())


def test_expressions_are_compiled_once(package):
    text = "[A-Za-z_][A-Za-z0-9_]*"
    module = package.root / "cli" / "commands" / "ps.py"
    module.write_text(
        module.read_text()
        + f"\nfrom envbuild.text.pattern import Pattern\nprint(Pattern({text!r}).fullmatch('a1')[0])\n"
        + "from envbuild import module_pack\nprint(module_pack.new_patterns)\n"
    )
    assert package.run("ps").splitlines()[:2] == ["a1", f"[{text!r}]"]
    assert package.run("ps").splitlines()[:2] == ["a1", "[]"]


def test_a_changed_module_is_loaded_from_its_source_and_packed_again(package):
    package.run("ps")
    main = package.root / "cli" / "commands" / "ps.py"
    state = main.stat()
    text = main.read_text()
    assert "def run(" in text
    main.write_text(text + "\nprint('edited')\n")
    first = package.run("ps")
    assert "edited" in first
    assert first.split()[-1] == "1"
    assert package.run("ps").split()[-1] == "0"
    main.write_text(text)
    os.utime(main, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert "edited" not in package.run("ps")


@pytest.mark.parametrize("damage", ["empty", "cut", "garbage", "zeros", "bit", "other"])
def test_a_damaged_pack_costs_no_more_than_time(package, damage):
    package.run("ps")
    pack = package.packs()[0]
    content = pack.read_bytes()
    start = content.index(b"\0") + 1
    pack.write_bytes(
        {
            "empty": b"",
            "cut": content[: len(content) // 2],
            "garbage": content[: start + 16] + b"T" + os.urandom(2000),
            "bit": content[:-9000] + bytes([content[-9000] ^ 1]) + content[-8999:],
            "zeros": content[: content.rindex(b"envbuild") - 20_000] + bytes(40_000),
            "other": content.replace(b"envbuild modules ", b"envbuild modules 9"),
        }[damage]
    )
    assert package.run("ps").split()[-3] == "0"


def test_no_pack_is_written_where_python_writes_no_bytecode(package):
    package.run("ps", PYTHONDONTWRITEBYTECODE="1")
    package.run("ps", PYTHONPYCACHEPREFIX=str(package.root.parent / "elsewhere"))
    assert not package.packs()


def test_a_pack_of_another_place_is_not_used(package, tmp_path):
    package.run("ps")
    moved = Package(tmp_path / "moved")
    shutil.copytree(package.root / "__pycache__", moved.root / "__pycache__", dirs_exist_ok=True)
    assert moved.run("ps").split()[-2] == "0"


def test_no_pack_has_a_name_that_the_command_line_made_up(package):
    for word in ("--version", "-h"):
        package.run(word)
    assert not package.packs()


def test_a_process_that_loaded_modules_without_a_pack_writes_one_of_them(tmp_path, monkeypatch):
    """What the tests above do in processes of their own, in one that is measured."""
    path = str(tmp_path / "ps.pack")
    names = ["envbuild.digest", "envbuild.errors", "envbuild.text"]
    modules = [import_module(name) for name in names]
    monkeypatch.setattr(module_pack, "loaded", lambda: modules)
    monkeypatch.setattr(module_pack_writer, "loaded", lambda: modules)
    monkeypatch.setattr(module_pack_writer, "pack_path", lambda command: path)
    monkeypatch.setattr(module_pack_writer, "new_patterns", ["a(?P<inner>b+)"])
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    assert module_pack.is_incomplete("ps")
    module_pack_writer.write_pack("ps", "1")
    pack = module_pack.open_pack(path, "1")
    assert sorted(pack.entries()) == names
    assert module_pack.from_program("a(?P<inner>b+)", pack.programs()["a(?P<inner>b+)"]).match("abb")["inner"] == "bb"
    assert module_pack.open_pack(path, "2") is None
    spec = pack.find_spec("envbuild.digest")
    assert spec.origin == modules[0].__file__
    assert spec.loader.get_code("envbuild.digest").co_filename == modules[0].__file__
    # One that knows more adds it to what another knew.
    before = Path(path).read_bytes()
    module_pack_writer.write_pack("ps", "1")
    assert Path(path).read_bytes() == before
    modules.append(import_module("envbuild.contexts"))
    module_pack_writer.write_pack("ps", "1")
    assert sorted(module_pack.open_pack(path, "1").entries()) == sorted([*names, "envbuild.contexts"])

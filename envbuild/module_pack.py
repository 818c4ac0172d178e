"""The bytecode of the modules that a command loads, in one file beside those that Python keeps for each.

A rebuild with nothing to do loads a hundred small modules. For each of them Python searches a directory and opens,
reads and checks a file, which takes as long as running what is in them. Of the pack the index is read, and then what a
module needs, which costs a look at its source beside. The index also knows which modules a module was seen to load
while it was run itself: when it is asked for, they are run before it, without Python's machinery of locks, searches and
callbacks for each of them. What `re` made of their regular expressions is kept as well (text/pattern.py).

It is a cache like Python's own, in the same directory and trusted as those files are: a module is taken from it only if
its source has the size and time of change that it had then, and whatever is not in it is left to Python. A command that
had to load modules in the ordinary way writes it anew at its end (module_pack_writer.py), where Python may write too.
What a lost write or a failing disk made of it is seen by checksums: marshal must not be given what it did not write.
"""

from __future__ import annotations

import marshal
import os
import sys
from _imp import source_hash
from _thread import _count as count_threads

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec, SourceFileLoader
    from types import CodeType, ModuleType

    Entry = tuple[str, bool, int, int, int, int, bytes, tuple[str, ...]]
    """A module's source below the package's directory, whether it is a package, the source's size and time of change,
    where its bytecode begins and ends, its checksum, and the modules to run before it, in order."""

    Program = tuple[int, list[int], int, dict[str, int], tuple[str | None, ...]]
    """What `re` made of a regular expression, for the module `_sre`: flags, code, how many groups it has, and their
    names."""
else:
    from _frozen_importlib import ModuleSpec  # importlib.machinery would load more than it has
    from _frozen_importlib_external import SourceFileLoader

PACKAGE = __name__.partition(".")[0]
ROOT = os.path.dirname(__file__)
SUFFIX = ".pack"
MAX_INDEX = 1 << 20
"""Bytes. That of a thousand modules has a quarter of them; only a damaged pack says more."""


def pack_path(command: str) -> str:
    """Return where a command's pack for this interpreter lies."""
    return f"{ROOT}/__pycache__/{command}.{sys.implementation.cache_tag}{SUFFIX}"


def heading(version: str) -> bytes:
    """Return what a pack begins with that this interpreter and this version of the package can use."""
    return f"envbuild modules 5\n{version}\n{sys.version}\n{sys.flags.optimize}\n{ROOT}\n\0".encode()


def checksum(content: bytes | memoryview) -> bytes:
    """Return the eight bytes by which a pack knows its index and each code again, as Python takes them of sources."""
    return source_hash(0, content)


def state_of(source: str) -> tuple[int, int] | None:
    """Return the size and time of change of a module's source, None where there is none."""
    try:
        status = os.stat(source)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


class PackedLoader(SourceFileLoader):
    """Python's own loader of a module, but for where the bytecode comes from."""

    def __init__(self, name: str, path: str, code: CodeType, running: list[list[str]]) -> None:
        """`running` has a list for each module that is being run now: which ones were run meanwhile."""
        super().__init__(name, path)
        self._code: CodeType | None = code
        self._running = running
        self.nested: list[str] = []
        """What was loaded through Python's machinery while the module was run."""

    def get_code(self, fullname: str) -> CodeType | None:
        """Return the module's code. Asked a second time, as inspect may, Python reads its own file."""
        code, self._code = self._code, None
        return code if code is not None else super().get_code(fullname)

    def exec_module(self, module: ModuleType) -> None:
        """Run the module, and note what it loads, unless other threads load modules too."""
        if count_threads():
            super().exec_module(module)
            return
        running = self._running
        running.append(self.nested)
        try:
            super().exec_module(module)
        finally:
            running.pop()
        if running:
            running[-1] += [*self.nested, module.__name__]


class PackFinder:
    """Finds the package's modules in the pack, for `sys.meta_path`."""

    def __init__(self, path: str, index: bytes | memoryview, begin: int) -> None:
        """`begin` is where the modules' bytecode begins in the pack at `path`."""
        self._path = path
        self._entries: dict[str, Entry]
        self._place_of_programs: tuple[int, int, bytes]
        self._entries, self._place_of_programs = marshal.loads(index)
        self._programs: dict[str, Program | None] | None = None
        self._begin = begin
        self._running: list[list[str]] = []

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where a module comes from, None if Python has to look for it itself."""
        entry = self._entries.get(name)
        if entry is None:
            return None
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            # Another thread that wants one of them would have to wait for it: that is what Python's locks are for.
            if entry[7] and not count_threads():
                self._run(entry[7], descriptor)
            spec = self._spec(name, entry, descriptor)
        finally:
            os.close(descriptor)
        if spec is not None:
            spec.cached = _cached(f"{ROOT}/{entry[0]}")
        return spec

    def entries(self) -> dict[str, tuple[Entry, bytes]]:
        """Return all that the pack has, by the names of modules."""
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return {}
        try:
            return {
                name: (entry, code)
                for name, entry in self._entries.items()
                if (code := self._read(entry[4], entry[5], entry[6], descriptor)) is not None
            }
        finally:
            os.close(descriptor)

    def nested(self, name: str) -> tuple[str, ...]:
        """Return the modules that are run before one, as far as the pack knows."""
        entry = self._entries.get(name)
        return entry[7] if entry is not None else ()

    def release(self) -> None:
        """Find nothing any more."""
        self._entries = {}
        self._programs = {}
        sys.meta_path.remove(self)

    def programs(self) -> dict[str, Program | None]:
        """Return what the pack has of regular expressions, by their texts; None for those that it can't keep."""
        if self._programs is None:
            self._programs = {}
            try:
                descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                return {}
            try:
                begin, end, checked = self._place_of_programs
                content = self._read(begin, end, checked, descriptor)
            finally:
                os.close(descriptor)
            if content is not None:
                self._programs = marshal.loads(content)
        return self._programs

    def _read(self, begin: int, end: int, checked: bytes, descriptor: int) -> bytes | None:
        """Return a part of the pack, None if it is another pack by now or damaged."""
        content = os.pread(descriptor, end - begin, self._begin + begin)
        return content if checksum(content) == checked else None

    def _spec(self, name: str, entry: Entry, descriptor: int) -> ModuleSpec | None:
        file, is_package, size, changed, begin, end, checked, _ = entry
        source = f"{ROOT}/{file}"
        if state_of(source) != (size, changed) or (code := self._read(begin, end, checked, descriptor)) is None:
            return None
        loader = PackedLoader(name, source, marshal.loads(code), self._running)
        spec = ModuleSpec(name, loader, origin=source, is_package=is_package)
        spec.has_location = True
        if is_package:
            spec.submodule_search_locations = [source.rpartition("/")[0]]
        return spec

    def _run(self, names: tuple[str, ...], descriptor: int) -> None:
        """Load modules as the import of one that needs them would. What can't be is left to that."""
        modules = sys.modules
        for name in names:
            if name in modules:
                continue
            spec = self._spec(name, self._entries[name], descriptor)
            package, _, last = name.rpartition(".")
            parent = modules.get(package)
            if spec is None or parent is None:
                return
            module = type(sys)(name)
            module.__spec__ = spec
            module.__loader__ = spec.loader
            module.__file__ = spec.origin
            module.__package__ = package
            if spec.submodule_search_locations is not None:
                module.__package__ = name
                module.__path__ = spec.submodule_search_locations
            modules[name] = module
            try:
                exec(spec.loader.get_code(name), module.__dict__)  # type: ignore[union-attr]
            except BaseException as error:
                del modules[name]
                if isinstance(error, Exception):
                    return
                raise
            setattr(parent, last, module)
            if self._running:
                self._running[-1].append(name)


_finder: PackFinder | None = None


def use(command: str, version: str) -> None:
    """Take modules from a command's pack from now on, if it has one for this interpreter."""
    global _finder
    if not _is_name(command) or sys.pycache_prefix is not None:
        return
    _finder = open_pack(pack_path(command), version)
    if _finder is not None:
        sys.meta_path.insert(0, _finder)


def open_pack(path: str, version: str) -> PackFinder | None:
    """Return a pack, None where there is none for this interpreter and this version or its index is damaged."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        start = heading(version)
        head = os.pread(descriptor, len(start) + 16, 0)
        if not head.startswith(start):
            return None
        size = int.from_bytes(head[-8:], "little")
        if size > MAX_INDEX:
            return None
        index = os.pread(descriptor, size, len(head))
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return PackFinder(path, index, len(head) + size) if head[-16:-8] == checksum(index) else None


def release() -> None:
    """Leave modules that are not loaded yet to Python, in a process that goes on for long or is to load none."""
    global _finder
    if _finder is not None:
        _finder.release()
        _finder = None


def program(text: str) -> Program | None:
    """Return what the pack has for a regular expression."""
    return _finder.programs().get(text) if _finder is not None else None


def from_program(text: str, program: Program) -> re.Pattern[str]:
    """Return the pattern that `re` would make of a regular expression."""
    from _sre import compile as with_program  # type: ignore[import-not-found]

    flags, code, groups, by_name, names = program
    return with_program(text, flags, code, groups, by_name, names)  # type: ignore[no-any-return]


new_patterns: list[str] = []
"""The regular expressions that this process had to compile, to be kept."""


def note_new_pattern(text: str) -> None:
    """Note that `re` compiled an expression. One that the pack knows not to keep is left out."""
    if _finder is None or text not in _finder.programs():
        new_patterns.append(text)


def is_incomplete(command: str) -> bool:
    """Tell whether this process has loaded modules that the command's pack lacks, or not with what it says that they
    go with, and Python writes bytecode at all.
    """
    if not _is_name(command) or sys.dont_write_bytecode or sys.pycache_prefix is not None:
        return False
    for module in loaded():
        loader = module.__loader__
        if not isinstance(loader, PackedLoader):
            return True
        if loader.nested and _finder is not None and not set(loader.nested).issubset(_finder.nested(module.__name__)):
            return True
    return bool(new_patterns)


def loaded() -> list[ModuleType]:
    """Return the package's modules that this process has loaded, but for those that read and write the pack."""
    return [
        module
        for name, module in sys.modules.items()
        if name.startswith(f"{PACKAGE}.") and not name.startswith((__name__, f"{PACKAGE}.__main__"))
    ]


def _cached(source: str) -> str:
    folder, _, module = source.rpartition("/")
    return f"{folder}/__pycache__/{module[:-3]}.{sys.implementation.cache_tag}.pyc"


def _is_name(command: str) -> bool:
    return command.isascii() and command.isalpha()

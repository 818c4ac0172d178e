"""The bytecode of the modules that a command loads, in one file beside those that Python keeps for each.

A rebuild with nothing to do loads a hundred small modules. For each of them Python searches a directory and opens,
reads and checks a file, which takes as long as running what is in them. The pack is read once, and a module of it costs
a look at its source.

It is a cache like Python's own, in the same directory and trusted as those files are: a module is taken from it only if
its source has the size and time of change that it had then, and whatever is not in it is left to Python. A command that
had to load modules in the ordinary way writes it anew at its end (module_pack_writer.py), where Python may write too.
What a lost write or a failing disk made of it is seen by its checksum: marshal must not be given what it did not write.
"""

from __future__ import annotations

import marshal
import os
import sys
from _imp import source_hash

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec, SourceFileLoader
    from types import CodeType, ModuleType

    Entry = tuple[str, bool, int, int, int, int]
    """A module's source below the package's directory, whether it is a package, the source's size and time of change,
    and where its bytecode begins and ends."""
else:
    from _frozen_importlib import ModuleSpec  # importlib.machinery would load more than it has
    from _frozen_importlib_external import SourceFileLoader

PACKAGE = __name__.partition(".")[0]
ROOT = os.path.dirname(__file__)
SUFFIX = ".pack"


def pack_path(command: str) -> str:
    """Return where a command's pack for this interpreter lies."""
    return f"{ROOT}/__pycache__/{command}.{sys.implementation.cache_tag}{SUFFIX}"


def heading(version: str) -> bytes:
    """Return what a pack begins with that this interpreter and this version of the package can use."""
    return f"envbuild modules 2\n{version}\n{sys.version}\n{sys.flags.optimize}\n{ROOT}\n\0".encode()


def checksum(content: bytes | memoryview) -> bytes:
    """Return the eight bytes that a pack has between its heading and the rest, as Python takes them of sources."""
    return source_hash(0, content)


def state_of(source: str) -> tuple[int, int] | None:
    """Return the size and time of change of a module's source, None where there is none."""
    try:
        found = os.stat(source)
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


class PackedLoader(SourceFileLoader):
    """Python's own loader of a module, but for where the bytecode comes from."""

    def __init__(self, name: str, path: str, code: memoryview) -> None:
        super().__init__(name, path)
        self._code: memoryview | None = code

    def get_code(self, fullname: str) -> CodeType | None:
        """Return the module's code. Asked a second time, as inspect may, Python reads its own file."""
        code, self._code = self._code, None
        if code is not None:
            return marshal.loads(code)  # type: ignore[no-any-return]
        return super().get_code(fullname)


class PackFinder:
    """Finds the package's modules in the pack, for `sys.meta_path`."""

    def __init__(self, content: memoryview) -> None:
        """`content` is what follows the checksum."""
        index_end = 8 + int.from_bytes(content[:8], "little")
        self._entries: dict[str, Entry] = marshal.loads(content[8:index_end])
        self._content: memoryview | None = content[index_end:]

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where a module comes from, None if Python has to look for it itself."""
        entry = self._entries.get(name)
        if entry is None or self._content is None:
            return None
        file, is_package, size, changed, begin, end = entry
        source = f"{ROOT}/{file}"
        if state_of(source) != (size, changed):
            return None
        spec = ModuleSpec(
            name, PackedLoader(name, source, self._content[begin:end]), origin=source, is_package=is_package
        )
        spec.has_location = True
        folder, _, module = source.rpartition("/")
        spec.cached = f"{folder}/__pycache__/{module[:-3]}.{sys.implementation.cache_tag}.pyc"
        if is_package:
            spec.submodule_search_locations = [folder]
        return spec

    def entries(self) -> dict[str, tuple[Entry, bytes]]:
        """Return all that the pack has, by the names of modules."""
        content = self._content
        if content is None:
            return {}
        return {name: (entry, bytes(content[entry[4] : entry[5]])) for name, entry in self._entries.items()}

    def release(self) -> None:
        """Find nothing any more, and give the memory of the pack back."""
        self._content = None
        sys.meta_path.remove(self)


_finder: PackFinder | None = None


def use(command: str, version: str) -> None:
    """Take modules from a command's pack from now on, if it has one for this interpreter."""
    global _finder
    if not _is_name(command) or sys.pycache_prefix is not None:
        return
    try:
        descriptor = os.open(pack_path(command), os.O_RDONLY | os.O_CLOEXEC)
        try:
            content = os.read(descriptor, os.fstat(descriptor).st_size)
        finally:
            os.close(descriptor)
    except OSError:
        return
    start = heading(version)
    if not content.startswith(start):
        return
    end = len(start) + 8
    rest = memoryview(content)[end:]
    if content[len(start) : end] != checksum(rest):
        return
    _finder = PackFinder(rest)
    sys.meta_path.insert(0, _finder)


def release() -> None:
    """Leave modules that are not loaded yet to Python, in a process that goes on for long or is to load none."""
    global _finder
    if _finder is not None:
        _finder.release()
        _finder = None


def is_incomplete(command: str) -> bool:
    """Tell whether this process has loaded modules that the command's pack lacks, and Python writes bytecode at all."""
    if not _is_name(command) or sys.dont_write_bytecode or sys.pycache_prefix is not None:
        return False
    return any(not isinstance(module.__loader__, PackedLoader) for module in loaded())


def finder() -> PackFinder | None:
    """Return the pack in use."""
    return _finder


def loaded() -> list[ModuleType]:
    """Return the package's modules that this process has loaded, but for those that read and write the pack."""
    return [
        module
        for name, module in sys.modules.items()
        if name.startswith(f"{PACKAGE}.") and not name.startswith((__name__, f"{PACKAGE}.__main__"))
    ]


def _is_name(command: str) -> bool:
    return command.isascii() and command.isalpha()

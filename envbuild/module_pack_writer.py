"""Writes the pack of a command's modules (module_pack.py)."""

from __future__ import annotations

import ast
import marshal
import os
import sys
from importlib import import_module

from envbuild.module_pack import (
    ROOT,
    checksum,
    from_program,
    heading,
    loaded,
    new_patterns,
    open_pack,
    pack_path,
    state_of,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from envbuild.module_pack import Entry, Program

_LOADED_IN_CHILDREN = ("envbuild.sandbox.helper_process", "envbuild.sandbox.step_server")
"""What a process that makes sandboxes loads, a child of the command that looks for modules here."""
_MAKES_SANDBOXES = "envbuild.sandbox.helper_client"


def write_pack(command: str, version: str) -> None:
    """Write a pack of all modules that are loaded now or were in the pack before. Does nothing where it may not.

    Another process that reads or writes it meanwhile has one pack or the other.
    """
    path = pack_path(command)
    if not os.access(os.path.dirname(path), os.W_OK):
        return
    if _MAKES_SANDBOXES in sys.modules:
        for name in _LOADED_IN_CHILDREN:
            import_module(name)
    before = open_pack(path, version)  # another process may have written it since this one began
    modules: dict[str, tuple[str, bool, tuple[int, int], bytes]] = {}
    nested: dict[str, tuple[str, ...]] = {}
    known = before.entries() if before is not None else {}
    for name, (entry, code) in known.items():
        if state_of(f"{ROOT}/{entry[0]}") == entry[2:4]:
            modules[name] = (entry[0], entry[1], entry[2:4], code)
            nested[name] = entry[7]
    if len(modules) < len(known):
        nested.clear()  # who loads whom changed with the sources, and is seen again the next time
    for module in loaded():
        name = module.__name__
        if name not in modules:
            packed = _packed(name, getattr(module, "__file__", None), hasattr(module, "__path__"))
            if packed is not None:
                modules[name] = packed
        nested[name] = tuple(dict.fromkeys((*nested.get(name, ()), *getattr(module.__loader__, "nested", ()))))
    index: dict[str, Entry] = {}
    content = bytearray()
    for name, (file, is_package, (size, changed), code) in sorted(modules.items()):
        needs = tuple(other for other in nested.get(name, ()) if other in modules)
        begin = len(content)
        content += code
        index[name] = (file, is_package, size, changed, begin, len(content), checksum(code), needs)
    programs = {**(before.programs() if before is not None else {}), **_programs(new_patterns)}
    kept = marshal.dumps(programs)
    place = (len(content), len(content) + len(kept), checksum(kept))
    content += kept
    table = marshal.dumps((index, place))
    rest = checksum(table) + len(table).to_bytes(8, "little") + table + content
    temporary = f"{path}.{os.getpid()}"
    try:
        with open(temporary, "xb") as pack:
            pack.write(heading(version) + rest)
        os.replace(temporary, path)
    except OSError:  # a full disk, or a directory that is being removed
        try:
            os.unlink(temporary)
        except OSError:
            pass


def _packed(name: str, source: str | None, is_package: bool) -> tuple[str, bool, tuple[int, int], bytes] | None:
    """Return a module as the pack has it, None if its source is not a file of the package or changes meanwhile."""
    if source is None or not source.startswith(f"{ROOT}/") or not source.endswith(".py"):
        return None
    state = state_of(source)
    try:
        with open(source, "rb") as file:
            code = compile(_lean(ast.parse(file.read())), source, "exec", dont_inherit=True)
    except (OSError, SyntaxError, ValueError):
        return None
    if state is None or state_of(source) != state:
        return None
    return source.removeprefix(f"{ROOT}/"), is_package, state, marshal.dumps(code)


def _lean(tree: ast.Module) -> ast.Module:
    """Leave out docstrings and the annotations of functions, which only readers of the source need: a sixth of what a
    command would load."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body[:1] = [ast.copy_location(ast.Pass(), first)] if len(node.body) == 1 else []
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None  # records are made of the annotations of classes; nothing reads those of functions
        if isinstance(node, ast.arg):
            node.annotation = None
    return tree


def _programs(texts: list[str]) -> dict[str, Program | None]:
    """Return what `re` makes of regular expressions; None where its inside, which differs from one Python to the next,
    is not as expected here."""
    if not texts:
        return {}
    import re

    programs: dict[str, Program | None] = dict.fromkeys(texts)
    try:
        from re import _compiler, _parser  # type: ignore[attr-defined]

        for text in texts:
            parsed = _parser.parse(text, 0)
            state = parsed.state
            names: list[str | None] = [None] * state.groups
            for name, number in state.groupdict.items():
                names[number] = name
            code = [int(word) for word in _compiler._code(parsed, 0)]
            program = (state.flags, code, state.groups - 1, dict(state.groupdict), tuple(names))
            # Two patterns are equal if Python does the same with them.
            if from_program(text, program) == re.compile(text):
                programs[text] = program
    except (ImportError, AttributeError, TypeError, ValueError, RuntimeError):
        pass
    return programs

"""Which lines and branches of envbuild the tests reach, in pytest's own processes and all that are forked from them.

A tracer doubles what the tests cost. So statements, and the arms of branches, are compiled with marks: the store of a
byte into memory that all processes share. What a process reached counts at once, however it ends, and also where it
sees no file of the machine any more. What can't be seen: what tests start as a user starts it.

Statements that follow one another have one mark, before the last of them. Where that is never reached, since one of the
others always raises, none of them counts.

    ENVBUILD_TESTS_COVERAGE=/tmp/reached pytest -n auto; python -m tests.measured /tmp/reached

The folder must be a new one for each state of the code. `start` does nothing once envbuild is imported.
"""

from __future__ import annotations

import ast
import ctypes
import fcntl
import marshal
import os
import re
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

ROOT = Path(__file__).parents[1]
NAME = "__reached__"
"""The global variable of a module that has its marks; the compiler leaves a name with such ends alone in a class."""
EXCLUDED = re.compile(r"if TYPE_CHECKING:|assert_never\(|raise NotImplementedError|\.\.\.$")
"""Begins what is not meant to be reached, with all below it."""
OF_IMAGES = ("packages", "inside")
"""Run by the Python of images."""
Mark = tuple[int, int]
"""A line, and 0 for its statement or the number of an arm of its branch."""


class Marking:
    """Puts marks into the statements of a module, with numbers from `begin`."""

    def __init__(self, source: str, begin: int = 0) -> None:
        self.lines = source.splitlines()
        self.marks: list[tuple[Mark, ...]] = []
        self._begin = begin
        self._arms: dict[int, int] = {}

    def module(self, tree: ast.Module) -> ast.Module:
        tree.body = self._block(tree.body)
        return ast.fix_missing_locations(tree)

    def _block(self, statements: list[ast.stmt], branch: ast.stmt | ast.match_case | None = None) -> list[ast.stmt]:
        """Returns a block with marks; if it is an arm of a branch, that is marked with the first of its statements."""
        marked: list[ast.stmt] = []
        waiting: list[Mark] = []
        if branch is not None and not (statements and self._is_excluded(statements[0])):
            line = branch.pattern.lineno if isinstance(branch, ast.match_case) else branch.lineno
            self._arms[line] = self._arms.get(line, 0) + 1
            waiting.append((line, self._arms[line]))
        counted = [
            statement for statement in statements if not (self._is_excluded(statement) or _is_no_code(statement))
        ]
        for statement in statements:
            if statement in counted:
                waiting.append((_first_line(statement), 0))
                self._inner_blocks(statement)
                if _may_lead_elsewhere(statement) or statement is counted[-1]:
                    marked.append(self._mark(waiting, _first_line(statement)))
                    waiting = []
            marked.append(statement)
        if waiting:
            marked.append(self._mark(waiting, waiting[0][0]))
        return marked

    def _inner_blocks(self, statement: ast.stmt) -> None:
        match statement:
            case ast.If() | ast.For() | ast.While() | ast.AsyncFor():
                statement.body = self._block(statement.body, statement)
                endless = isinstance(statement, ast.While) and isinstance(statement.test, ast.Constant)
                if statement.orelse or not endless:
                    statement.orelse = self._block(statement.orelse, statement)
            case ast.Match():
                for case in statement.cases:
                    case.body = self._block(case.body, case)
                if case.guard or not _takes_all(case.pattern):
                    rest = ast.match_case(ast.MatchAs(), None, self._block([], statement))
                    statement.cases.append(ast.copy_location(rest, statement))
            case ast.Try() | ast.TryStar():
                statement.body = self._block(statement.body)
                for handler in statement.handlers:
                    handler.body = self._block(handler.body)
                statement.orelse = self._block(statement.orelse)
                statement.finalbody = self._block(statement.finalbody)
            case ast.With() | ast.AsyncWith() | ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                statement.body = self._block(statement.body)

    def _is_excluded(self, statement: ast.stmt) -> bool:
        return EXCLUDED.search(self.lines[statement.lineno - 1]) is not None

    def _mark(self, marks: list[Mark], line: int) -> ast.stmt:
        number = self._begin + len(self.marks)
        self.marks.append(tuple(marks))
        mark = ast.Assign(
            [ast.Subscript(ast.Name(NAME, ast.Load()), ast.Constant(number), ast.Store())], ast.Constant(1)
        )
        mark.lineno = mark.end_lineno = line
        mark.col_offset = mark.end_col_offset = 0
        return mark


def _first_line(statement: ast.stmt) -> int:
    decorators = getattr(statement, "decorator_list", None)
    return decorators[0].lineno if decorators else statement.lineno


def _is_no_code(statement: ast.stmt) -> bool:
    """Whether nothing is executed for it: a documentation string, or what only the compiler reads."""
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant)
    if isinstance(statement, ast.ImportFrom):
        return statement.module == "__future__"
    return isinstance(statement, ast.Global | ast.Nonlocal)


def _may_lead_elsewhere(statement: ast.stmt) -> bool:
    """Whether what follows may not be reached though nothing is raised."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return False
    return isinstance(statement, ast.Match) or hasattr(statement, "body")


def _takes_all(pattern: ast.pattern | None) -> bool:
    return pattern is None or (isinstance(pattern, ast.MatchAs) and _takes_all(pattern.pattern))


def marked_code(path: Path, begin: int) -> tuple[CodeType, list[tuple[Mark, ...]]]:
    """Compiles a module with marks whose numbers are from `begin`."""
    source = path.read_text()
    marking = Marking(source, begin)
    return compile(marking.module(ast.parse(source)), str(path), "exec", dont_inherit=True), marking.marks


class Measured:
    """The marks of all modules, as one folder has them for all processes.

    `code` has for each path of a module its code, as `marshal` writes it: few processes need all.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def make(self) -> None:
        """Compiles all modules, unless another process has done that."""
        code_file = self.folder / "code"
        if code_file.exists():
            return
        with open(self.folder / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if code_file.exists():
                return
            begin, code, marks = 0, {}, {}
            for path in modules():
                compiled, marks[str(path)] = marked_code(path, begin)
                code[str(path)] = marshal.dumps(compiled)
                begin += len(marks[str(path)])
            (self.folder / "marks").write_bytes(marshal.dumps(marks))
            (self.folder / "reached").write_bytes(bytes(begin))
            (self.folder / "code.new").write_bytes(marshal.dumps(code))
            (self.folder / "code.new").rename(code_file)

    def shared(self) -> bytearray:
        """Maps the marks. No descriptor of them stays open, as one of the mmap module would."""
        size = (self.folder / "reached").stat().st_size
        libc = ctypes.CDLL(None, use_errno=True)
        libc.mmap.restype = ctypes.c_void_p
        libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long)
        file = os.open(self.folder / "reached", os.O_RDWR | os.O_CLOEXEC)
        try:
            address = libc.mmap(None, size, 3, 1, file, 0)  # PROT_READ | PROT_WRITE, MAP_SHARED
        finally:
            os.close(file)
        if address in (None, ctypes.c_void_p(-1).value):
            raise OSError(ctypes.get_errno(), "mmap")
        return _bytes_at(address, size)


class _ByteArray(ctypes.Structure):
    """CPython's PyByteArrayObject (Include/cpython/bytearrayobject.h)."""

    _fields_ = [
        ("references", ctypes.c_ssize_t),
        ("type", ctypes.c_void_p),
        ("size", ctypes.c_ssize_t),
        ("allocated", ctypes.c_ssize_t),
        ("bytes", ctypes.c_void_p),
        ("start", ctypes.c_void_p),
    ]


def _bytes_at(address: int, size: int) -> bytearray:
    """Returns an array whose bytes lie there. A store into a memoryview, which would do the same, takes twice as long,
    and marks are a fifth of what the tests cost."""
    made = bytearray()
    inner = _ByteArray.from_address(id(made))
    inner.references += 1  # never freed, as the memory isn't Python's
    inner.bytes = inner.start = address
    inner.size = size
    inner.allocated = size + 1
    return made


def modules() -> list[Path]:
    package = ROOT / "envbuild"
    return [path for path in sorted(package.rglob("*.py")) if path.relative_to(package).parts[:2] != OF_IMAGES]


class _Finder:
    """Finds the modules of envbuild before Python does."""

    def __init__(self, measured: Measured) -> None:
        self._code = marshal.loads((measured.folder / "code").read_bytes())
        self._shared = measured.shared()

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name.partition(".")[0] != "envbuild":
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.origin in self._code:
            spec.loader = _Loader(name, spec.origin, self._code[spec.origin], self._shared)
        return spec


class _Loader(SourceFileLoader):
    def __init__(self, name: str, path: str, code: bytes, marks: bytearray) -> None:
        super().__init__(name, path)
        self._code = code
        self._marks = marks

    def get_code(self, fullname: str) -> CodeType:
        code: CodeType = marshal.loads(self._code)
        return code

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__[NAME] = self._marks
        super().exec_module(module)


def start() -> None:
    """Measures from here on, if that is asked for."""
    if not os.environ.get("ENVBUILD_TESTS_COVERAGE"):
        return
    if "envbuild" in sys.modules:
        return
    measured = Measured(Path(os.environ["ENVBUILD_TESTS_COVERAGE"]))
    try:
        measured.make()
        finder = _Finder(measured)
    except PermissionError:
        return  # a program that a test runs as another user
    sys.meta_path.insert(0, finder)  # type: ignore[arg-type]


def report(folder: Path) -> None:
    """Prints lines, branches and their share for each folder of envbuild, and what was not reached into a file."""
    reached = (folder / "reached").read_bytes()
    totals: dict[str, list[int]] = {}
    begin = 0
    with open(folder / "missing", "w") as missing:
        for path, marks in marshal.loads((folder / "marks").read_bytes()).items():
            inner = Path(path).relative_to(ROOT / "envbuild")
            hit = {mark for number, some in enumerate(marks) if reached[begin + number] for mark in some}
            begin += len(marks)
            every = {mark for some in marks for mark in some}
            lines, arms = ({mark for mark in every if bool(mark[1]) is branch} for branch in (False, True))
            for name in (str(inner.parent) if inner.parent.parts else "(top)", "total"):
                row = totals.setdefault(name, [0, 0, 0, 0])
                counted = (len(lines), len(lines - hit), len(arms), len(arms - hit))
                row[:] = [a + b for a, b in zip(row, counted, strict=True)]
            for line, arm in sorted(every - hit):
                missing.write(f"{inner}:{line}{f' arm {arm}' if arm else ''}\n")
    print(f"{'folder of envbuild':<24} {'lines':>7} {'reached':>8} {'branches':>9} {'reached':>8}")
    total = totals.pop("total")
    for name, row in sorted(totals.items()):
        print(_row(name, *row))
    print(_row("total", *total))
    print(f"What was not reached: {folder}/missing")


def _row(name: str, lines: int, missing: int, branches: int, untaken: int) -> str:
    def share(of: int, without: int) -> str:
        return f"{100 * (of - without) / of:.1f} %" if of else ""

    return f"{name:<24} {lines:>7} {share(lines, missing):>8} {branches:>9} {share(branches, untaken):>8}"


if __name__ == "__main__":
    report(Path(sys.argv[1]))

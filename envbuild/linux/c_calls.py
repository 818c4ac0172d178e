"""Calls of C functions by ctypes' inner module, cheap to import.

ctypes itself makes classes for all types of C, and loads what describes structures: 1.5 ms of a start with Python 3.11,
4 with 3.14. A few kinds of numbers are enough for system calls, and structures are packed by the module struct: bytes
are passed as their address.
"""

from __future__ import annotations

import struct
from _ctypes import FUNCFLAG_CDECL, FUNCFLAG_PYTHONAPI, FUNCFLAG_USE_ERRNO, CFuncPtr, _SimpleCData, dlopen, get_errno

__all__ = ["Int", "Long", "UnsignedInt", "UnsignedLong", "address_of", "function", "get_errno", "python_function"]


class Int(_SimpleCData):  # type: ignore[type-arg]
    """int, which is also what a plain number is passed as."""

    _type_ = "i"


class Long(_SimpleCData):  # type: ignore[type-arg]
    """long"""

    _type_ = "l"


class UnsignedInt(_SimpleCData):  # type: ignore[type-arg]
    """unsigned int"""

    _type_ = "I"


class UnsignedLong(_SimpleCData):  # type: ignore[type-arg]
    """unsigned long, which size_t and addresses are, too."""

    _type_ = "L"


class _Text(_SimpleCData):  # type: ignore[type-arg]
    """char *"""

    _type_ = "z"


class _Function(CFuncPtr):
    """A function that returns an int, or -1 and a reason in errno."""

    _flags_ = FUNCFLAG_CDECL | FUNCFLAG_USE_ERRNO
    _restype_ = Int


class _PythonFunction(CFuncPtr):
    """The same while the interpreter's lock is held."""

    _flags_ = FUNCFLAG_CDECL | FUNCFLAG_USE_ERRNO | FUNCFLAG_PYTHONAPI
    _restype_ = Int


class _Process:
    """All that this process has loaded: the C library, and Python."""

    _handle = dlopen(None, 0)  # type: ignore[arg-type]


_process = _Process()


def function(name: str) -> _Function:
    """Return a function of the C library."""
    return _Function((name, _process))  # type: ignore[arg-type]


def python_function(name: str) -> _PythonFunction:
    """Return a function of the C library or of Python that is called with the interpreter's lock."""
    return _PythonFunction((name, _process))  # type: ignore[arg-type]


def address_of(content: bytes) -> int:
    """Return the address of some bytes, which are there as long as somebody holds them."""
    address: int
    (address,) = struct.unpack("P", _Text(content))
    return address

"""Messages as bytes and back, for what processes say to each other.

A message is a frozen record whose class states the type of each field. Not marshal or pickle, which trust their
input: process 1 of a sandbox may have been taken over by what runs in it, and the process outside reads what it
answers. Here bytes become only a message of the family that the reader expects, with fields of the stated types and
no more values than the bytes can hold; everything else is a BadMessage.
"""

from __future__ import annotations

import struct

from envbuild.errors import fields
from envbuild.record import Record, values
from envbuild.sandbox.spec import Bind, Door, ExecCommand, Request, SandboxFailure, Scratch, Secret

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, TypeVar

    Reader = Callable[[Any], Any]
    """Returns the value of a field from its plain form. Raises BadMessage."""

_COUNT, _INTEGER, _FLOAT = struct.Struct("=I"), struct.Struct("=q"), struct.Struct("=d")
_CONSTANTS = {b"N": None, b"T": True, b"F": False}
MAX_DEPTH = 8
"""Tuples and dictionaries may be nested this deep."""
MAX_VALUES = 1 << 20
"""A message may have this many values: more than the words and variables that execve(2) takes."""
_MAX_SHOWN = 40


@fields
class BadMessage(SandboxFailure):
    """The peer sent something that envbuild never sends."""

    reason: str

    def text(self) -> tuple[str, str]:
        return (
            f"a sandbox or a supervisor sent an invalid message: {self.reason}",
            "something in it has taken over its process 1, or it is of another version of envbuild: don't trust it",
        )


class Message(Record):
    """Base of all messages."""

    kind = ""
    """Its name on the wire; that of the class if it is empty."""
    max_descriptors = 0
    """How many descriptors may come with it."""


if TYPE_CHECKING:
    M = TypeVar("M", bound=Message)


def family(*classes: type[M]) -> dict[str, type[M]]:
    """Return all messages that one side may send, by their names on the wire."""
    return {message.kind or message.__name__: message for message in classes}


def encode(message: Message) -> bytes:
    """Return the bytes of a message.

    Its fields hold None, truth values, integers of 64 bits, floats, texts, bytes, and tuples, lists, dictionaries and
    records of these.
    """
    return encode_plain((message.kind or type(message).__name__, message))


def decode(data: bytes, expected: Mapping[str, type[M]]) -> M:
    """Return the message of the family `expected` that `encode` made `data` of; lists come back as tuples.

    Raises BadMessage.
    """
    match decode_plain(data):
        case (str(kind), tuple(fields)):
            if kind not in expected:
                raise BadMessage(f"'{kind[:_MAX_SHOWN]}' is not expected here")
            message: M = _record_reader(expected[kind])(fields)
            return message
    raise BadMessage("it has no name and no fields")


def prepare(expected: Mapping[str, type[Message]]) -> None:
    """Make what decodes a family: for processes that fork others to decode it."""
    for message in expected.values():
        _record_reader(message)


def encode_plain(value: object) -> bytes:
    """Return the bytes of a plain value."""
    parts: list[bytes] = []
    _encode(value, parts)
    return b"".join(parts)


def _encode(value: Any, parts: list[bytes]) -> None:
    # What is sent most comes first. Texts may hold what "surrogateescape" made of bytes that are not UTF-8.
    if isinstance(value, str):
        text = value.encode("utf-8", "surrogatepass")
        parts += (b"s", _COUNT.pack(len(text)), text)
    elif isinstance(value, tuple | list):
        parts += (b"(", _COUNT.pack(len(value)))
        for item in value:
            _encode(item, parts)
    elif value is None or isinstance(value, bool):
        parts.append(b"N" if value is None else b"T" if value else b"F")
    elif isinstance(value, int):
        parts += (b"i", _INTEGER.pack(value))
    elif isinstance(value, float):
        parts += (b"f", _FLOAT.pack(value))
    elif isinstance(value, bytes):
        parts += (b"b", _COUNT.pack(len(value)), value)
    elif isinstance(value, Record):
        _encode(values(value), parts)
    elif isinstance(value, dict):
        parts += (b"{", _COUNT.pack(len(value)))
        for pair in value.items():
            for item in pair:
                _encode(item, parts)
    else:
        raise TypeError(f"a {type(value).__name__} can't be sent")


def decode_plain(data: bytes) -> Any:
    """Return the plain value that `data` is the encoding of. Raises BadMessage."""
    decoder = _Decoder(data)
    try:
        value = decoder.value(0)
    except (struct.error, UnicodeDecodeError, TypeError) as error:
        raise BadMessage(f"it is cut short or damaged ({error})") from error
    if decoder.position != len(data):
        raise BadMessage("something follows its end")
    return value


class _Decoder:
    """Reads plain values one after the other."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.position = 0
        self._values_left = MAX_VALUES

    def value(self, depth: int) -> Any:
        """Return the next value, which lies in `depth` others."""
        kind = self._data[self.position : self.position + 1]
        self.position += 1
        if kind == b"s":
            return self._bytes().decode("utf-8", "surrogatepass")
        if kind == b"(":
            return self._items(self._count(1, depth), depth + 1)
        if kind == b"i":
            return self._unpack(_INTEGER)
        if kind in _CONSTANTS:
            return _CONSTANTS[kind]
        if kind == b"b":
            return self._bytes()
        if kind == b"f":
            return self._unpack(_FLOAT)
        if kind == b"{":
            items = self._items(self._count(2, depth), depth + 1)
            return dict(zip(items[::2], items[1::2], strict=True))
        raise BadMessage("it has a value of an unknown kind")

    def _items(self, count: int, depth: int) -> tuple[Any, ...]:
        """Return so many values. Most are texts, which are read here: a call for each would take twice the time."""
        data, length = self._data, len(self._data)
        unpack, start = _COUNT.unpack_from, _COUNT.size + 1
        items = []
        for _ in range(count):
            at = self.position
            if data[at : at + 1] == b"s":
                begin = at + start
                self.position = end = begin + unpack(data, at + 1)[0]
                if end > length:
                    raise BadMessage("it is cut short")
                items.append(data[begin:end].decode("utf-8", "surrogatepass"))
            else:
                items.append(self.value(depth))
        return tuple(items)

    def _unpack(self, form: struct.Struct) -> Any:
        (value,) = form.unpack_from(self._data, self.position)
        self.position += form.size
        return value

    def _bytes(self) -> bytes:
        size = self._unpack(_COUNT)
        content = self._data[self.position : self.position + size]
        if len(content) != size:
            raise BadMessage("it is cut short")
        self.position += size
        return content

    def _count(self, each: int, depth: int) -> int:
        """Return how many values follow: `each` for everything that is counted."""
        count: int = each * self._unpack(_COUNT)
        if depth == MAX_DEPTH:
            raise BadMessage("it is nested too deep")
        self._values_left -= count
        if self._values_left < 0:
            raise BadMessage("it has too many values")
        return count


def field_type(name: str, is_valid: Callable[[Any], bool]) -> None:
    """Define a type that fields of messages may have, by the name that their annotations use."""

    def read(value: Any) -> Any:
        if not is_valid(value):
            raise BadMessage(f"a field is not of the type {name}")
        return value

    _READERS[name] = read


_READERS: dict[str, Reader] = {}
"""How each type of a field is read, by the text of its annotation."""
_RECORD_READERS: dict[type[Record], Reader] = {}
_RECORDS = {record.__name__: record for record in (Bind, Door, ExecCommand, Request, Scratch, Secret)}
"""The records that fields may hold beside plain values."""
_EXACT = {"int": int, "str": str, "bytes": bytes, "bool": bool}
"""Types that are checked as they are: True is no number here."""

field_type("int", lambda value: type(value) is int)
field_type("str", lambda value: type(value) is str)
field_type("bytes", lambda value: type(value) is bytes)
field_type("bool", lambda value: type(value) is bool)
field_type("float", lambda value: type(value) is float or type(value) is int)
field_type("dict[str, Any]", lambda value: type(value) is dict and all(type(key) is str for key in value))


def _reader(annotation: str) -> Reader:
    """Return what reads the values of a type."""
    reader = _READERS.get(annotation)
    if reader is None:
        if annotation.endswith(" | None"):
            reader = _optional(_reader(annotation.removesuffix(" | None")))
        elif annotation.startswith("tuple[") and annotation.endswith(", ...]"):
            item = annotation[len("tuple[") : -len(", ...]")]
            reader = _exact_items(_EXACT[item]) if item in _EXACT else _items(_reader(item))
        elif annotation.startswith("tuple["):
            reader = _exact_tuple(tuple([_EXACT[item] for item in annotation[len("tuple[") : -1].split(", ")]))
        elif annotation in _RECORDS:
            reader = _record_reader(_RECORDS[annotation])
        else:
            raise TypeError(f"fields of messages can't be of the type {annotation}")
        _READERS[annotation] = reader
    return reader


def _optional(reader: Reader) -> Reader:
    return lambda value: None if value is None else reader(value)


def _exact_items(expected: type) -> Reader:
    allowed = {expected}

    def read(value: Any) -> Any:
        if type(value) is not tuple or not allowed.issuperset(map(type, value)):
            raise BadMessage(f"a field is not a tuple of {expected.__name__}")
        return value

    return read


def _exact_tuple(expected: tuple[type, ...]) -> Reader:
    def read(value: Any) -> Any:
        if type(value) is not tuple or tuple(map(type, value)) != expected:
            raise BadMessage(f"a field is not a tuple of {len(expected)} values")
        return value

    return read


def _items(reader: Reader) -> Reader:
    def read(value: Any) -> tuple[Any, ...]:
        if type(value) is not tuple:
            raise BadMessage("a field is not a tuple")
        return tuple([reader(item) for item in value])

    return read


def _record_reader(record: type[Record]) -> Reader:
    """Return what makes a record of the values of its fields."""
    reader = _RECORD_READERS.get(record)
    if reader is None:
        annotations: dict[str, str] = {}
        for base in reversed(record.__mro__):
            annotations.update(getattr(base, "__annotations__", {}))
        readers = [_reader(annotations[name]) for name in record.__match_args__]

        def read(fields: Any) -> Record:
            if type(fields) is not tuple or len(fields) != len(readers):
                raise BadMessage(f"'{record.__name__}' does not have {len(readers)} fields")
            return record(*[reader(value) for reader, value in zip(readers, fields, strict=True)])

        reader = _RECORD_READERS[record] = read
    return reader

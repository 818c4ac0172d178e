"""Frozen values with named fields, cheap to import.

`dataclasses` costs about 15 ms of start-up (it imports `inspect`) and half a millisecond for each class; a
rebuild with nothing to do has 40 ms in all. `Record` gives what envbuild uses of it: annotated fields, defaults,
immutability, equality, hashing, `match`, and a readable repr. Type checkers see a frozen dataclass.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar, NamedTuple, Self, assert_never, dataclass_transform
else:
    from _collections import _tuplegetter

    def dataclass_transform(**_):
        return lambda decorated: decorated

    def assert_never(value):
        """What a `match` over a closed family ends in; type checkers see that it is never reached."""
        raise AssertionError(f"not foreseen: {value!r}")

    class _NamedTupleType(type):
        """Makes a tuple with names, as collections.namedtuple does: collections takes 1.5 ms of every start."""

        def __new__(mcs, name, bases, body):
            if not bases:
                return super().__new__(mcs, name, bases, body)
            fields = tuple(body.get("__annotations__", ()))
            defaults = {field: body.pop(field) for field in fields if field in body}
            # Python calls nothing faster: directories are read by the thousand entries.
            make = eval(
                f"lambda _kind, {', '.join(fields)}: _new(_kind, ({', '.join(fields)},))", {"_new": tuple.__new__}
            )
            make.__name__, make.__qualname__ = "__new__", f"{name}.__new__"
            make.__defaults__ = tuple(defaults.values())

            def represent(self):
                shown = ", ".join(f"{field}={value!r}" for field, value in zip(fields, self, strict=True))
                return f"{name}({shown})"

            def replace(self, /, **changed):
                result = make(type(self), *map(changed.pop, fields, self))
                if changed:
                    raise TypeError(f"{name} has no field {sorted(changed)[0]!r}")
                return result

            own = {
                "__slots__": (),
                "__new__": make,
                "__repr__": represent,
                "__getnewargs__": lambda self: tuple(self),
                "__match_args__": fields,
                "_fields": fields,
                "_field_defaults": defaults,
                "_replace": replace,
            }
            own |= {field: _tuplegetter(number, None) for number, field in enumerate(fields)}
            return type(name, (tuple,), {**body, **own})

    class NamedTuple(metaclass=_NamedTupleType):
        """typing.NamedTuple for classes without generic parameters: importing typing takes 2 ms of every start."""


__all__ = ["NamedTuple", "Pairs", "Record", "assert_never", "dataclass_transform", "values"]

Pairs = tuple[tuple[str, str], ...]
"""Names and values, in an order that counts."""


class _RecordType(type):
    """Turns the annotations of a class body into slots."""

    def __new__(mcs, name: str, bases: tuple[type, ...], body: dict[str, Any], **keywords: Any) -> _RecordType:
        own = tuple(field for field in body.get("__annotations__", ()) if not field.startswith("__"))
        inherited: tuple[str, ...] = ()
        defaults: dict[str, Any] = {}
        for base in bases:
            inherited += getattr(base, "__match_args__", ())
            defaults.update(getattr(base, "__field_defaults__", {}))
        for field in own:
            if field in body:
                defaults[field] = body.pop(field)
        body["__slots__"] = own
        body["__match_args__"] = inherited + own
        body["__field_defaults__"] = defaults
        return super().__new__(mcs, name, bases, body, **keywords)


@dataclass_transform(frozen_default=True)
class Record(metaclass=_RecordType):
    """Base of all frozen values: `class Point(Record): x: int; y: int = 0`.

    Fields are given by position or by name. Assigning to one raises AttributeError. Two records are equal when
    they are of one class and their fields are equal. The module that defines a record must have
    `from __future__ import annotations`, so that its annotations stay text.
    """

    if TYPE_CHECKING:
        __field_defaults__: ClassVar[dict[str, Any]]
        __match_args__: ClassVar[tuple[str, ...]]

    def __init__(self, *positional: Any, **named: Any) -> None:
        fields = self.__match_args__
        if len(positional) > len(fields):
            raise TypeError(f"{type(self).__name__} takes {len(fields)} fields, got {len(positional)}")
        put = object.__setattr__
        for field, value in zip(fields, positional, strict=False):
            put(self, field, value)
        for field in fields[len(positional) :]:
            if field in named:
                put(self, field, named.pop(field))
            elif field in self.__field_defaults__:
                put(self, field, self.__field_defaults__[field])
            else:
                raise TypeError(f"{type(self).__name__} lacks the field {field!r}")
        if named:
            raise TypeError(f"{type(self).__name__} has no field {sorted(named)[0]!r}")

    def __setattr__(self, field: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen: {field!r} can't be set")

    def __delattr__(self, field: str) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen: {field!r} can't be deleted")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Record) and type(other) is type(self) and values(self) == values(other)

    def __hash__(self) -> int:
        return hash((type(self), values(self)))

    def __repr__(self) -> str:
        shown = ", ".join(f"{field}={getattr(self, field)!r}" for field in self.__match_args__)
        return f"{type(self).__name__}({shown})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), values(self)

    def replace(self, **changed: Any) -> Self:
        """The same record with these fields changed."""
        kept = {field: getattr(self, field) for field in self.__match_args__}
        return type(self)(**{**kept, **changed})


def values(record: Record) -> tuple[Any, ...]:
    """A record's fields, in order."""
    return tuple([getattr(record, field) for field in record.__match_args__])

"""Context managers from generators, cheap to import.

contextlib brings collections, functools, keyword, operator and reprlib along, which is 2 ms of every start.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from contextlib import ExitStack, contextmanager
    from typing import Any
else:

    class ExitStack:
        """Leaves what it entered, the last first, as contextlib's ExitStack does."""

        def __init__(self) -> None:
            self._ends: list[Callable[..., object]] = []

        def enter_context(self, manager: Any) -> Any:
            """Enter a context manager, and return what `with` would give."""
            kind = type(manager)
            enter, leave = kind.__enter__, kind.__exit__
            value = enter(manager)
            self._ends.append(lambda *how: leave(manager, *how))
            return value

        def callback(self, function: Callable[..., object], /, *positional: Any, **named: Any) -> Any:
            """Call a function in the end."""

            def end(*_: object) -> None:
                function(*positional, **named)

            self._ends.append(end)
            return function

        def close(self) -> None:
            """Leave all that was entered, now."""
            self.__exit__(None, None, None)

        def __enter__(self) -> ExitStack:
            return self

        def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> bool:
            before = error
            while self._ends:
                end = self._ends.pop()
                try:
                    if end(None if error is None else type(error), error, error and error.__traceback__):
                        error = None
                except BaseException as raised:
                    if raised is not error and raised.__context__ is before:
                        raised.__context__ = error
                    error = raised
            if error is not None and error is not before:
                raise error
            return before is not None and error is None

    def contextmanager(function: Callable[..., Generator[Any, None, None]]) -> Callable[..., Managed]:
        """Make a context manager of a generator that yields once, as contextlib's contextmanager does."""

        def managed(*positional: Any, **named: Any) -> Managed:
            return Managed(function(*positional, **named))

        managed.__name__, managed.__qualname__ = function.__name__, function.__qualname__
        managed.__doc__, managed.__module__ = function.__doc__, function.__module__
        managed.__wrapped__ = function
        return managed


class Managed:
    """What `with` gets: a generator that has begun when the block begins, and goes on after it."""

    __slots__ = ("_generator",)

    def __init__(self, generator: Generator[Any, None, None]) -> None:
        self._generator = generator

    def __enter__(self) -> Any:
        try:
            return next(self._generator)
        except StopIteration:
            raise RuntimeError("the generator of a context manager yielded nothing") from None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> bool:
        if error is None:
            for _ in self._generator:
                self._generator.close()
                raise RuntimeError("the generator of a context manager yielded twice")
            return False
        try:
            self._generator.throw(error)
        except StopIteration as end:
            # It swallowed the error, unless that itself is the end of some other generator.
            return end is not error
        except BaseException as raised:
            # Python makes a RuntimeError of a StopIteration that leaves a generator.
            passed = raised is error or (isinstance(error, StopIteration) and raised.__cause__ is error)
            if not passed:
                raise
            error.__traceback__ = trace
            return False
        self._generator.close()
        raise RuntimeError("the generator of a context manager yielded twice")


__all__ = ["ExitStack", "contextmanager"]

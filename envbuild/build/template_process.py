"""The process that fills a template: jinja2 in its sandbox, within bounds, the same result each time.

What could give another result on another day is not there: `random`, `lipsum`, and what would print an address of
memory. Each line of the template that is run through is counted, so that loops within loops end where they always end;
what one call can do is bounded by the process's memory and time.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
from types import FrameType, TracebackType
from typing import Any

from jinja2 import StrictUndefined, TemplateSyntaxError, Undefined
from jinja2.exceptions import SecurityError
from jinja2.sandbox import SandboxedEnvironment

MAX_LINES = 1_000_000
"""Lines that a template may run through, each pass of a loop anew."""
MAX_BITS = 4_000
"""Of a whole number."""
MAX_DEPTH = 20
"""Lists and maps within each other that are printed."""
_MAX_REASON = 300
_NAME = "<template>"


class TooMuch(Exception):
    """The template goes beyond a bound."""


class _Environment(SandboxedEnvironment):
    intercepted_binops = frozenset({"*", "**"})

    def __init__(self, characters: int) -> None:
        super().__init__(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False, finalize=_plain_value)
        self._characters = characters
        # Neither gives the same text twice.
        del self.globals["lipsum"]
        del self.filters["random"]

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "**" and isinstance(left, int) and isinstance(right, int):
            if abs(right) * max(1, left.bit_length()) > MAX_BITS:
                raise TooMuch("a number that is too large")
        elif operator == "*":
            for value, factor in ((left, right), (right, left)):
                if isinstance(value, (str, bytes, list, tuple)) and isinstance(factor, int):
                    if len(value) * factor > self._characters:
                        raise TooMuch(f"a text or list of more than {self._characters:,} parts")
                elif isinstance(value, int) and isinstance(factor, int) and value.bit_length() > MAX_BITS:
                    raise TooMuch("a number that is too large")
        return super().call_binop(context, operator, left, right)


def _plain_value(value: Any, depth: int = 0) -> Any:
    """Return the value, if it is one that prints the same each time."""
    if isinstance(value, (str, int, float, bool, Undefined)) or value is None:
        return value
    if isinstance(value, (list, tuple, dict)) and depth < MAX_DEPTH:
        for item in [*value.keys(), *value.values()] if isinstance(value, dict) else value:
            _plain_value(item, depth + 1)
        return value
    raise TooMuch(f"a {type(value).__name__} can't be printed: name one of its parts, or use a filter such as list")


class _Counter:
    """Counts lines of the template as they are run (sys.settrace)."""

    def __init__(self) -> None:
        self._left = MAX_LINES

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> Any:
        return self._line if frame.f_code.co_filename == _NAME else None

    def _line(self, _frame: FrameType, event: str, _argument: Any) -> Any:
        if event == "line":
            self._left -= 1
            if self._left < 0:
                raise TooMuch(f"its loops run through more than {MAX_LINES:,} lines")
        return self._line


def main(order: dict[str, Any]) -> None:
    """Answers with a line of JSON: `filled`, or `line` and `reason`."""
    for limit, most in (
        (resource.RLIMIT_AS, order["memory"]),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NPROC, 0),
    ):
        resource.setrlimit(limit, (most, most))
    # The first is a signal that is heard between two calls; the second ends one that never returns.
    resource.setrlimit(resource.RLIMIT_CPU, (order["seconds"], order["seconds"] + 2))
    signal.signal(signal.SIGXCPU, _too_long)
    answer: dict[str, Any]
    try:
        answer = {"filled": _fill(order["text"], order["variables"], order["characters"])}
    except TemplateSyntaxError as error:
        answer = {"line": error.lineno, "reason": error.message or "syntax error"}
    except MemoryError as error:
        answer = {"line": _line_of(error.__traceback__), "reason": "it takes too much memory"}
    except RecursionError as error:
        answer = {"line": _line_of(error.__traceback__), "reason": "it is nested too deep, or a macro calls itself"}
    except SecurityError as error:
        answer = {"line": _line_of(error.__traceback__), "reason": str(error)[:_MAX_REASON]}
    except Exception as error:
        # Whatever goes wrong inside a template is the template's: its calls reach nothing else.
        answer = {"line": _line_of(error.__traceback__), "reason": str(error)[:_MAX_REASON] or type(error).__name__}
    sys.settrace(None)
    sys.stdout.write(json.dumps(answer))
    sys.stdout.flush()


def _fill(text: str, variables: dict[str, Any], characters: int) -> str:
    environment = _Environment(characters)
    template = environment.from_string(text)
    parts: list[str] = []
    length = 0
    sys.settrace(_Counter())
    for part in template.generate(variables):
        length += len(part)
        if length > characters:
            raise TooMuch(f"it comes to more than {characters:,} characters")
        parts.append(part)
    sys.settrace(None)
    filled = "".join(parts)
    try:
        filled.encode()
    except UnicodeEncodeError as error:
        raise TooMuch(f"it comes to a character that can't be written: {filled[error.start]!a}") from None
    return filled


def _too_long(_number: int, _frame: FrameType | None) -> None:
    raise TooMuch("it takes too long")


def _line_of(step: TracebackType | None) -> int | None:
    """Return the template's line: jinja2 puts frames named <template> with true line numbers into the traceback."""
    line = None
    while step is not None:
        if step.tb_frame.f_code.co_filename == _NAME:
            line = step.tb_lineno
        step = step.tb_next
    return line

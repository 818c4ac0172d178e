"""Which lines of envbuild an input reaches: inputs that reach new ones are kept to be changed further."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any, TypeVar

import envbuild

Result = TypeVar("Result")
_PACKAGE = os.path.dirname(os.path.abspath(envbuild.__file__)) + os.sep


class Reached:
    """The pairs of lines that were run one after the other, over all inputs so far."""

    def __init__(self) -> None:
        self.known: set[tuple[CodeType, int, int]] = set()
        self._new = False
        self._followed: dict[CodeType, bool] = {}

    def by(self, work: Callable[[], Result]) -> tuple[Result, bool]:
        """Runs `work`; what it returns, and whether it reached something new."""
        self._new = False
        before = sys.gettrace()
        sys.settrace(self._called)
        try:
            result = work()
        finally:
            sys.settrace(before)
        return result, self._new

    def _called(self, frame: FrameType, event: str, argument: object) -> Any:
        code = frame.f_code
        followed = self._followed.get(code)
        if followed is None:
            followed = self._followed[code] = code.co_filename.startswith(_PACKAGE)
        if not followed:
            return None
        last = 0

        def line(frame: FrameType, event: str, argument: object) -> Any:
            nonlocal last
            pair = (code, last, frame.f_lineno)
            if pair not in self.known:
                self.known.add(pair)
                self._new = True
            last = frame.f_lineno
            return line

        return line

"""`render`: a jinja2 template, filled by a process of its own that has little memory and little time.

A template is code of the recipe's author, and runs outside of any sandbox of the system. jinja2's own sandbox keeps it
from files and from Python; how much it computes, that does not bound. Imported only when one is rendered.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

from envbuild.errors import UsageError, fields
from envbuild.record import Pairs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_BYTES = 4 << 20
"""Of a template."""
MAX_FILLED = 16 << 20
"""Characters of what a template comes to."""
MAX_MEMORY = 512 << 20
"""Bytes of addresses that the process may have, a sixth of which are the interpreter's."""
MAX_SECONDS = 10
"""Of computing, for what is one long call; the lines that a template runs through are counted (template_process.py)."""
_WAIT = 120.0
"""Seconds to wait for it on a machine that is busy otherwise."""
_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_PROGRAM = """\
import json, sys
order = json.load(sys.stdin)
sys.path[:] = order["path"]
from envbuild.build.template_process import main
main(order)
"""


@fields
class BadTemplate(UsageError):
    """The template can't be filled; the message names its file and, where jinja2 knows it, the line."""

    path: str
    line: int | None
    reason: str

    def text(self) -> tuple[str, str]:
        place = self.path if self.line is None else f"{self.path}:{self.line}"
        return (
            f"{place}: {self.reason}",
            "a template sees the recipe's parameters, `recipe`, `arch` and `env`; nothing else",
        )


def render(source: bytes, path: str, variables: Pairs, environment: Pairs) -> bytes:
    """Return the text of the template `source`, filled in. `path` is for messages. Raises BadTemplate."""
    try:
        text = source.decode()
    except UnicodeDecodeError as error:
        raise BadTemplate(path, None, f"not UTF-8 text (byte {error.start})") from error
    if len(source) > MAX_BYTES:
        raise BadTemplate(path, None, f"more than {MAX_BYTES:,} bytes")
    order = {
        "path": [_ROOT, *sys.path],
        "text": text,
        "variables": {**dict(variables), "env": dict(environment)},
        "characters": MAX_FILLED,
        "memory": MAX_MEMORY,
        "seconds": MAX_SECONDS,
    }
    answer = _filled(json.dumps(order).encode(), path)
    if "filled" not in answer:
        raise BadTemplate(path, answer["line"], answer["reason"])
    return str(answer["filled"]).encode()


def _filled(order: bytes, path: str) -> dict[str, Any]:
    # Nothing of the user's variables: and the order of sets, should a filter make some, is always the same.
    words = [sys.executable, "-S", "-P", "-c", _PROGRAM]
    process = subprocess.Popen(
        words,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"},
        cwd="/",
    )
    try:
        # What it answers has a bound of its own, that of its memory.
        printed, _ = process.communicate(order, _WAIT)
    except subprocess.TimeoutExpired:
        raise BadTemplate(path, None, f"it was not filled after {_WAIT:g} seconds") from None
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    try:
        answer = json.loads(printed)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        reason = f"it takes more than {MAX_SECONDS} seconds or {MAX_MEMORY:,} bytes of memory, or is nested too deep"
        raise BadTemplate(path, None, reason)
    return answer

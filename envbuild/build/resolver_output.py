"""What a package manager prints while it resolves, as far as the build shows it while it runs.

A package manager is asked again where its first answer won't do, and says the same errors each time; those of the last
attempt are in the error that the build ends with. So lines that are errors wait until it is known which.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


_ERRORS = (b"E: ", b"ERROR: ", b"npm error ", b"npm ERR! ")
"""How apt, pip and npm begin the lines in which they say what is wrong."""
_MAX_HELD = 1 << 20


class ResolverOutput:
    """Passes on what is printed, but for errors."""

    def __init__(self, sink: Callable[[bytes], None]) -> None:
        self._sink = sink
        self._begun = b""
        """The line that may become an error."""
        self._within = False
        """Whether the line was shown up to here."""
        self._errors: list[bytes] = []
        self._held = 0

    def write(self, data: bytes) -> None:
        """Take what was printed, in pieces of any size."""
        for line in data.splitlines(keepends=True):
            self._write(line)

    def _write(self, part: bytes) -> None:
        if self._within:
            self._sink(part)
            self._within = not part.endswith(b"\n")
            return
        line = self._begun + part
        ended, self._begun = line.endswith(b"\n"), b""
        if line.startswith(_ERRORS) and self._held + len(line) <= _MAX_HELD:
            if ended:
                self._errors.append(line)
                self._held += len(line)
            else:
                self._begun = line
        elif not ended and any(error.startswith(line) for error in _ERRORS):
            self._begun = line
        else:
            self._sink(line)
            self._within = not ended

    def end(self, failure: str | None) -> None:
        """Pass on those errors that are not part of `failure`, the text of what was raised: where nothing was, those of
        earlier attempts count no more."""
        if self._begun:
            self._write(b"\n")
        for line in dict.fromkeys(self._errors) if failure is not None else ():
            if line.decode(errors="replace").strip() not in (failure or ""):
                self._sink(line)
        self._errors.clear()

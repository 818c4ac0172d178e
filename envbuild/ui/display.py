"""The interface of displays, which take events from any thread and are closed at the end."""

from __future__ import annotations

from envbuild.build.events import Event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self


class Display:
    """A consumer of events. Called from several threads; as a context manager it closes itself.

    Displays never raise because of what they show or where it goes: `lost` tells if the stream took no more.
    """

    def __call__(self, event: Event) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """Show what is still held back and leave the terminal as it was. May be called twice."""

    @property
    def lost(self) -> OSError | None:
        """Why the stream stopped taking output, if it did."""
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

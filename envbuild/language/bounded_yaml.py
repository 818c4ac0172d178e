"""YAML that others wrote: read within bounds, so that no few bytes of it become gigabytes of objects.

PyYAML reads what it is given. Aliases of aliases double with each line, each node takes half a kilobyte, and lists
within lists end in a RecursionError.
"""

from __future__ import annotations

from yaml import AliasEvent, BaseLoader, MarkedYAMLError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar


class TooMuch(MarkedYAMLError):
    """The text goes beyond a bound; `problem` says which, and `problem_mark` where."""

    def __init__(self, problem: str, mark: Any) -> None:
        super().__init__(None, None, problem, mark)


class BoundedLoader(BaseLoader):
    """A loader that makes texts, lists and maps and nothing else, and no more of them than its class says."""

    most_nodes: ClassVar[int] = 50_000
    deepest: ClassVar[int] = 100
    aliases: ClassVar[bool] = True

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._nodes = 0
        self._depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        self._nodes += 1
        if self._nodes > self.most_nodes:
            raise TooMuch(f"there are more than {self.most_nodes:,} values", event.start_mark)
        if not self.aliases and (isinstance(event, AliasEvent) or getattr(event, "anchor", None) is not None):
            raise TooMuch("an anchor or an alias can't stand here", event.start_mark)
        if self._depth >= self.deepest:
            raise TooMuch("lists and maps are nested too deep", event.start_mark)
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def scan_flow_scalar_non_spaces(self, double: Any, start_mark: Any) -> Any:
        try:
            return super().scan_flow_scalar_non_spaces(double, start_mark)
        except (ValueError, OverflowError):
            # PyYAML hands the digits of an escape to chr as they are.
            raise TooMuch("an escape here names no character", self.get_mark()) from None

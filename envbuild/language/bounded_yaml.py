"""YAML from untrusted authors, read within bounds, so that a few bytes can't become gigabytes of objects.

PyYAML has no bounds. Aliases of aliases double with each line, each node takes half a kilobyte, and deeply
nested lists end in a RecursionError.
"""

from __future__ import annotations

from yaml import AliasEvent, BaseLoader, MarkedYAMLError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar


class TooMuch(MarkedYAMLError):
    """A text that exceeds a bound; `problem` says which, and `problem_mark` where."""

    def __init__(self, problem: str, mark: Any) -> None:
        super().__init__(None, None, problem, mark)


class BoundedLoader(BaseLoader):
    """A loader that makes only texts, lists and maps, and no more of them than its class allows."""

    max_nodes: ClassVar[int] = 50_000
    max_depth: ClassVar[int] = 100
    aliases: ClassVar[bool] = True

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._nodes = 0
        self._depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        self._nodes += 1
        if self._nodes > self.max_nodes:
            raise TooMuch(f"there are more than {self.max_nodes:,} values", event.start_mark)
        if not self.aliases and (isinstance(event, AliasEvent) or getattr(event, "anchor", None) is not None):
            raise TooMuch("anchors and aliases are not allowed here", event.start_mark)
        if self._depth >= self.max_depth:
            raise TooMuch("lists and maps are nested too deeply", event.start_mark)
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def scan_flow_scalar_non_spaces(self, double: Any, start_mark: Any) -> Any:
        try:
            return super().scan_flow_scalar_non_spaces(double, start_mark)
        except (ValueError, OverflowError):
            # PyYAML passes the digits of an escape to chr unchecked.
            raise TooMuch("this escape is not a valid character", self.get_mark()) from None

"""Environment markers: when a Python distribution is wanted (Python packaging's "Dependency specifiers", and those for
extras and dependency groups of "pylock.toml")."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from envbuild.packages.python_names import normal_name
from envbuild.packages.python_versions import BadSpecifier, compare

MAX_MARKER = 50_000
"""Characters of a marker: those of large locks have some thousands."""
MAX_DEPTH = 60
"""Parentheses in parentheses."""
VARIABLES = (
    "os_name",
    "sys_platform",
    "platform_machine",
    "platform_python_implementation",
    "platform_release",
    "platform_system",
    "platform_version",
    "python_version",
    "python_full_version",
    "implementation_name",
    "implementation_version",
)
"""What an environment says of itself."""
_VERSIONS = ("python_version", "python_full_version", "implementation_version", "platform_release")
_EARLIER = {
    "os.name": "os_name",
    "sys.platform": "sys_platform",
    "platform.version": "platform_version",
    "platform.machine": "platform_machine",
    "platform.python_implementation": "platform_python_implementation",
    "python_implementation": "platform_python_implementation",
}
_TOKEN = re.compile(
    r"\s*(?:(?P<bracket>[()])|(?P<operator>===|~=|==|!=|<=|>=|<|>|not\s+in\b|in\b)|(?P<join>and\b|or\b)"
    r"|'(?P<single>[^']*)'|\"(?P<double>[^\"]*)\"|(?P<name>[A-Za-z_.]+))"
)
_SETS = ("extra", "extras", "dependency_groups")


class BadMarker(ValueError):
    """A text is not a marker."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What markers are evaluated for: the `variables` of a Python, and the chosen `extras` and `groups`, in their
    normal form."""

    variables: Mapping[str, str]
    extras: Collection[str] = field(default_factory=frozenset)
    groups: Collection[str] = field(default_factory=frozenset)


def holds(marker: str, surroundings: Surroundings) -> bool:
    """Return whether a marker holds; the empty one does. Raises BadMarker."""
    if not marker.strip():
        return True
    if len(marker) > MAX_MARKER:
        raise BadMarker(f"a marker has more than {MAX_MARKER} characters")
    reader = _Reader(marker, surroundings)
    result = reader.alternatives(0)
    reader.end()
    return result


class _Reader:
    """Reads a marker from the left to the right, and evaluates all of it."""

    def __init__(self, text: str, surroundings: Surroundings) -> None:
        self._text = text
        self._around = surroundings
        self._tokens = self._split()
        self._next = next(self._tokens, None)

    def _split(self) -> Iterator[tuple[str, str]]:
        at, text = 0, self._text.rstrip()
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None or match.lastgroup is None:
                raise self._bad()
            kind = "text" if match.lastgroup in ("single", "double") else match.lastgroup
            yield kind, match[match.lastgroup]
            at = match.end()

    def _bad(self) -> BadMarker:
        return BadMarker(f"{self._text[:200]!r} is not a marker")

    def _take(self, kind: str, *values: str) -> str | None:
        if self._next is None or self._next[0] != kind or (values and self._next[1] not in values):
            return None
        value = self._next[1]
        self._next = next(self._tokens, None)
        return value

    def end(self) -> None:
        if self._next is not None:
            raise self._bad()

    def alternatives(self, depth: int) -> bool:
        result = self._all(depth)
        while self._take("join", "or"):
            other = self._all(depth)
            result = result or other
        return result

    def _all(self, depth: int) -> bool:
        result = self._one(depth)
        while self._take("join", "and"):
            other = self._one(depth)
            result = result and other
        return result

    def _one(self, depth: int) -> bool:
        if self._take("bracket", "("):
            if depth == MAX_DEPTH:
                raise BadMarker(f"a marker has more than {MAX_DEPTH} parentheses in each other")
            result = self.alternatives(depth + 1)
            if not self._take("bracket", ")"):
                raise self._bad()
            return result
        left = self._operand()
        operator = self._take("operator")
        if operator is None:
            raise self._bad()
        return self._compare(left, " ".join(operator.split()), self._operand())

    def _operand(self) -> tuple[str, str]:
        """Return a variable's name and "", or "" and a text."""
        text = self._take("text")
        if text is not None:
            return "", text
        name = self._take("name")
        if name is None:
            raise self._bad()
        name = _EARLIER.get(name, name)
        if name not in VARIABLES and name not in _SETS:
            raise BadMarker(f"{name[:100]!r} in a marker is nothing that an environment says of itself")
        return name, ""

    def _compare(self, left: tuple[str, str], operator: str, right: tuple[str, str]) -> bool:
        for operand, other in ((left, right), (right, left)):
            if operand[0] in _SETS:
                if other[0]:
                    raise self._bad()
                chosen = self._around.groups if operand[0] == "dependency_groups" else self._around.extras
                is_in = normal_name(other[1]) in chosen
                if operator in ("==", "in"):
                    return is_in
                if operator in ("!=", "not in"):
                    return not is_in
                raise self._bad()
        mine, theirs = self._value(left), self._value(right)
        if operator in ("in", "not in"):
            return (mine in theirs) == (operator == "in")
        if left[0] in _VERSIONS or right[0] in _VERSIONS:
            try:
                # `"3.11" <= python_version` compares the other way round.
                if right[0] and not left[0]:
                    return compare(theirs, _TURNED.get(operator, operator), mine)
                return compare(mine, operator, theirs)
            except BadSpecifier:
                pass  # not versions: texts
        match operator:
            case "==" | "===":
                return mine == theirs
            case "!=":
                return mine != theirs
            case "<":
                return mine < theirs
            case "<=":
                return mine <= theirs
            case ">":
                return mine > theirs
            case ">=":
                return mine >= theirs
            case _:
                raise self._bad()

    def _value(self, operand: tuple[str, str]) -> str:
        name, text = operand
        return self._around.variables.get(name, "") if name else text


_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}

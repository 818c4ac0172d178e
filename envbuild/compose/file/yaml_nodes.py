"""A compose file as YAML: texts, lists and maps with their places, before they are interpreted.

Plain words stay texts here: what is a number, a yes or nothing at all is for those to say who read a key. So neither
`22:22` nor `no` nor `1.10` ever turns into something else than what was written.
"""

from __future__ import annotations

import re

from yaml import MappingNode as YamlMap
from yaml import MarkedYAMLError, compose
from yaml import Node as YamlNode
from yaml import ScalarNode as YamlText
from yaml import SequenceNode as YamlList

from envbuild.language.bounded_yaml import BoundedLoader
from envbuild.language.syntax import Span
from envbuild.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

MAX_NODES = 50_000
"""So many values may a file have after its anchors are put in; more is a mistake, or meant to fill the memory."""
MAX_DEPTH = 100
_STRANGE = re.compile("[\x00\ud800-\udfff]")
_STANDARD = "tag:yaml.org,2002:"


class Text(Record):
    """A scalar. `plain` says whether it is written without quotes."""

    text: str
    plain: bool
    span: Span

    @property
    def is_nothing(self) -> bool:
        """Whether it is YAML's null."""
        return self.plain and self.text in ("", "~", "null", "Null", "NULL")


class List(Record):
    items: tuple[Text | List | Map, ...]
    span: Span


class Entry(Record):
    """A key with its value."""

    key: Text
    value: Text | List | Map


class Map(Record):
    entries: tuple[Entry, ...]
    span: Span

    def get(self, name: str) -> Text | List | Map | None:
        """Return the value of this key."""
        return next((entry.value for entry in self.entries if entry.key.text == name), None)


Node = Text | List | Map


class BadYaml(Exception):
    """An error in the YAML, or in the form of the file, after which nothing more can be read."""

    def __init__(self, span: Span, message: str, hint: str) -> None:
        super().__init__(message)
        self.span, self.message, self.hint = span, message, hint


def parse(text: str, error: Callable[[Span, str, str], None]) -> Node | None:
    """Return the file as nodes, None if there is nothing in it.

    Problems with keys are passed to `error`, with the place, a message and a hint. Raises BadYaml.
    """
    try:
        root = compose(text, Loader=_Loader)
    except MarkedYAMLError as wrong:
        raise _explained(wrong) from None
    return None if root is None else _Reader(error).node(root, ())


class _Loader(BoundedLoader):
    max_nodes = MAX_NODES
    max_depth = MAX_DEPTH


class _Reader:
    def __init__(self, error: Callable[[Span, str, str], None]) -> None:
        self._error = error
        self._count = 0

    def node(self, yaml_node: YamlNode, above: tuple[int, ...]) -> Node:
        self._count += 1
        span = _span(yaml_node)
        if self._count > MAX_NODES:
            raise BadYaml(span, f"the file comes to more than {MAX_NODES:,} values", "use fewer aliases of aliases")
        if len(above) > MAX_DEPTH:
            raise BadYaml(span, "lists and maps are nested too deep", "")
        if id(yaml_node) in above:
            raise BadYaml(span, "an anchor holds an alias of itself", "name another anchor")
        if not yaml_node.tag.startswith(_STANDARD):
            self._error(span, f"the tag {yaml_node.tag} has no meaning here", "leave it out")
        above = (*above, id(yaml_node))
        if isinstance(yaml_node, YamlText):
            # An escape can make what no name, path or variable of the system can hold.
            if strange := _STRANGE.search(yaml_node.value):
                self._error(span, f"the character U+{ord(strange[0]):04X} can't stand here", "leave it out")
            text = _STRANGE.sub("\N{REPLACEMENT CHARACTER}", yaml_node.value)
            return Text(text, yaml_node.style is None, span)
        if isinstance(yaml_node, YamlList):
            return List(tuple(self.node(item, above) for item in yaml_node.value), span)
        assert isinstance(yaml_node, YamlMap)
        return Map(tuple(self._entries(yaml_node, above)), span)

    def _entries(self, yaml_map: YamlMap, above: tuple[int, ...]) -> list[Entry]:
        """Return its own entries after those that `<<` brings, of which its own ones replace those of the same key."""
        own: dict[str, Entry] = {}
        merged: dict[str, Entry] = {}
        seen: dict[str, int] = {}
        for key_node, value_node in yaml_map.value:
            key = self.node(key_node, above)
            if not isinstance(key, Text):
                self._error(key.span, "a key has to be a word", "")
                continue
            if key.text in seen:
                self._error(key.span, f"'{key.text}' stands here twice", f"it is in line {seen[key.text]}, too")
                continue
            seen[key.text] = key.span.line
            value = self.node(value_node, above)
            if key.plain and key.text == "<<":
                merged = self._merged(value)
            else:
                own[key.text] = Entry(key, value)
        return list({**merged, **own}.values())

    def _merged(self, value: Node) -> dict[str, Entry]:
        """Return what `<<` brings: of several maps the first that has a key gives its value."""
        sources = value.items if isinstance(value, List) else (value,)
        merged: dict[str, Entry] = {}
        for source in sources:
            if not isinstance(source, Map):
                self._error(source.span, "'<<' takes a map, or a list of maps", "as in: <<: *defaults")
                continue
            for entry in source.entries:
                merged.setdefault(entry.key.text, entry)
        return merged


def _span(node: YamlNode) -> Span:
    start, end = node.start_mark, node.end_mark
    length = end.column - start.column if start.line == end.line else 1
    return Span(start.line + 1, start.column + 1, max(1, length))


_PROBLEMS = (
    ("found character '\\t'", "a tab can't stand here", "YAML is indented with spaces"),
    ("mapping values are not allowed", "there is a ':' too many", "is the line indented right? quote a text with ': '"),
    ("could not find expected ':'", "a ':' is missing", "a key is written KEY: VALUE"),
    ("expected <block end>", "this does not fit to the lines above it", "is it indented as they are?"),
    (
        "expected ',' or",
        "a list or map in brackets goes wrong here",
        "its parts have ',' between them, and it is closed",
    ),
    ("but found another document", "there are two documents in the file", "leave out the line with ---"),
    ("found unexpected end of stream", "a quote is not closed", ""),
    ("found unexpected document separator", "a quote is not closed", ""),
    ("there are more than", "the file has too many values", "is it a file of services?"),
    ("lists and maps are nested", "lists and maps are nested too deep", ""),
    ("found duplicate anchor", "this anchor stands in the file twice", "give it another name"),
)


def _explained(wrong: MarkedYAMLError) -> BadYaml:
    problem = str(wrong.problem or wrong.context or "not YAML")
    mark = wrong.problem_mark or wrong.context_mark
    message, hint = problem, "quote a text that has such a character"
    for beginning, ours, way_out in _PROBLEMS:
        if problem.startswith(beginning):
            message, hint = ours, way_out
            if "quote" in ours and wrong.context_mark is not None:
                mark = wrong.context_mark
            break
    if problem.startswith("found undefined alias"):
        name = problem.split("'")[1]
        message, hint = f"there is no anchor '{name}' above", f"write &{name} where its value stands"
    span = Span(mark.line + 1, mark.column + 1, 1) if mark is not None else Span(1, 1, 1)
    return BadYaml(span, message, hint)

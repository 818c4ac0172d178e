"""XML that others wrote, as Maven's files are: elements with text, and nothing that a document could define.

A document type declaration is refused, and with it all entities; size, depth and the number of elements are bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

from envbuild.packages.documents import BadDocument

MAX_BYTES = 8 << 20
MAX_DEPTH = 64
MAX_ELEMENTS = 400_000
MAX_TEXT = 4_000
"""Characters of one element that are kept: descriptions are longer, and nothing that anybody looks at is."""
_ENCODING = re.compile(rb"""<\?xml[^>]{0,80}encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
_ONE_BYTE = re.compile(r"(?:iso-8859-|latin|windows-125|cp125|us-ascii)", re.IGNORECASE)
_NAMED_ENTITY = re.compile(r"&(?!(?:amp|lt|gt|quot|apos);)[A-Za-z][A-Za-z0-9]{0,30};")
"""Entities of HTML, which old poms have in the names of people, and Maven reads though nothing defines them."""


@dataclass(slots=True)
class Element:
    """An element: its name without a prefix, the text right inside, and the elements in it."""

    name: str
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def child(self, *path: str) -> Element | None:
        """Return the first element that a path of names leads to, None without one."""
        here: Element | None = self
        for name in path:
            here = next((child for child in here.children if child.name == name), None) if here is not None else None
        return here

    def text_of(self, *path: str) -> str:
        """Return the text that a path of names leads to, "" without one."""
        element = self.child(*path)
        return element.text.strip() if element is not None else ""

    def all(self, *path: str) -> Iterator[Element]:
        """Yield the elements of the last name of a path, in the first ones of those before it."""
        above = self.child(*path[:-1])
        return (child for child in above.children if child.name == path[-1]) if above is not None else iter(())


def root_of(content: bytes, what: str) -> Element:
    """Return the root of a document; `what` is what messages call it. Raises BadDocument."""
    if len(content) > MAX_BYTES:
        raise BadDocument(what, f"it is larger than {MAX_BYTES:,} bytes")
    declared = _ENCODING.match(content.lstrip()[:200])
    encoding = declared[1].decode() if declared else ""
    # Maven reads poms whose bytes are not what they declare.
    text = content.decode("latin-1" if _ONE_BYTE.match(encoding) else "utf-8-sig", "replace")
    return _Reader(what).read(_NAMED_ENTITY.sub("?", text).lstrip())


class _Reader:
    def __init__(self, what: str) -> None:
        self._what = what
        self._open = [Element("")]
        self._number = 0
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._refuse_doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        self._parser = parser

    def read(self, text: str) -> Element:
        try:
            self._parser.Parse(text, True)
        except expat.ExpatError as error:
            raise BadDocument(self._what, f"it is not XML ({error})") from None
        return self._open[0].children[0]

    def _refuse_doctype(self, *_: object) -> None:
        raise BadDocument(self._what, "it declares a document type, which may define what the text does not say")

    def _start(self, name: str, _: object) -> None:
        self._number += 1
        if len(self._open) > MAX_DEPTH or self._number > MAX_ELEMENTS:
            reason = f"it has more than {MAX_ELEMENTS:,} elements, or they are nested deeper than {MAX_DEPTH}"
            raise BadDocument(self._what, reason)
        element = Element(name.rpartition(":")[2])
        self._open[-1].children.append(element)
        self._open.append(element)

    def _end(self, _: str) -> None:
        self._open.pop()

    def _text(self, text: str) -> None:
        element = self._open[-1]
        # A text may come in a million pieces, with comments between them.
        if len(element.text) < MAX_TEXT:
            element.text += text[:MAX_TEXT]

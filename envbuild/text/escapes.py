"""Bytes as a part of a line of text, and back: names of files can hold anything but NUL, and a list has one a line."""

from __future__ import annotations

import re

_PLAIN = re.compile(rb"[ !-\[\]-~]*")
_ESCAPE = re.compile(rb"\\(?:(\\)|x([0-9a-f]{2})|(.?))", re.DOTALL)


def escaped(name: bytes) -> str:
    """Return `name` as text that can be seen: UTF-8 as it is, a backslash doubled, and each byte of what can't be seen
    or is not UTF-8 as `\\xNN`. A tab or the end of a line is never in it. unescaped(escaped(name)) == name."""
    if _PLAIN.fullmatch(name):
        return name.decode("ascii")
    return "".join(map(_shown, name.decode("utf-8", "surrogateescape")))


def unescaped(text: str) -> bytes:
    """Return the bytes that `escaped` made `text` of. Raises ValueError for a text that it makes of none."""
    name = _ESCAPE.sub(_byte, text.encode("utf-8")) if "\\" in text else text.encode("utf-8")
    if escaped(name) != text:
        raise ValueError(f"{text[:100]!r} is not an escaped name")
    return name


def _shown(character: str) -> str:
    if character == "\\":
        return "\\\\"
    if character.isprintable():
        return character
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))


def _byte(match: re.Match[bytes]) -> bytes:
    backslash, digits, other = match.groups()
    if other is not None:
        raise ValueError(f"there is no escape \\{other.decode('utf-8', 'replace')}")
    return backslash or bytes([int(digits, 16)])

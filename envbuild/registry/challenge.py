"""What a registry wants to know before it answers: its WWW-Authenticate header (RFC 9110, 11.6.1)."""

from __future__ import annotations

import re

from envbuild.record import Record

BASIC, BEARER = "basic", "bearer"
_MAX = 8192
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_SCHEME = re.compile(rf"\s*,?\s*({_TOKEN})(?=\s+{_TOKEN}\s*=|\s*,|\s*$)", re.ASCII)
_PARAMETER = re.compile(rf'\s*,?\s*({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|({_TOKEN}))', re.ASCII)


class Challenge(Record):
    """A scheme in lower case; for BEARER with the address of the token server, and what the registry is called
    there."""

    scheme: str
    realm: str = ""
    service: str = ""


def parse_challenges(header: str) -> list[Challenge]:
    """Return the challenges of a header, of which what comes after something that can't be read is left out."""
    challenges = []
    text = header[:_MAX]
    at = 0
    while scheme := _SCHEME.match(text, at):
        at = scheme.end()
        parameters: dict[str, str] = {}
        while parameter := _PARAMETER.match(text, at):
            at = parameter.end()
            quoted, plain = parameter.group(2), parameter.group(3)
            value = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain
            parameters.setdefault(parameter.group(1).lower(), value)
        challenges.append(
            Challenge(scheme.group(1).lower(), parameters.get("realm", ""), parameters.get("service", ""))
        )
    return challenges


def choose(challenges: list[Challenge]) -> Challenge | None:
    """Return the challenge that can be met: a token before a password."""
    for scheme in (BEARER, BASIC):
        for challenge in challenges:
            if challenge.scheme == scheme:
                return challenge
    return None

"""A promotion on record: which image came to a tag, from where, when, by whom, and what had been checked.

In a store it is an entry of the tag's history; in a registry an artifact about the image's manifest, so that the
image's digest stays. What a registry has on record is its claim: it is read within limits, and shown as such.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from envbuild.oci.descriptor import json_bytes
from envbuild.record import Record, values
from envbuild.store.images import Image

KIND = "application/vnd.envbuild.promotion.v1+json"
MAX_RECORD = 64 << 10
"""Bytes of a record."""
_VERSION = 1
_MAX_CHECKS = 100
_MAX_TEXT = 400
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


class Promotion(Record):
    """`source` and `target` are references as their user wrote them, `digest` is that of the manifest, and `replaced`
    the one that the target named before, "" for none. `user` at `host` did it, `when` is ISO 8601 in UTC, and `checks`
    are what was known to have passed."""

    source: str
    target: str
    digest: str
    replaced: str
    user: str
    host: str
    when: str
    checks: tuple[str, ...] = ()

    @property
    def plain(self) -> dict[str, Any]:
        """The record as JSON types."""
        return {
            "source": self.source,
            "target": self.target,
            "digest": self.digest,
            "replaced": self.replaced,
            "user": self.user,
            "host": self.host,
            "when": self.when,
            "checks": list(self.checks),
        }


def dump(promotion: Promotion) -> bytes:
    """Return a promotion as the content of an artifact: the same bytes for the same one."""
    return json_bytes({"version": _VERSION, **promotion.plain})


def read_promotion(content: bytes, digest: str) -> Promotion | None:
    """Return what an artifact about the manifest of this digest says, None for what is no promotion of it, or has what
    can't be shown."""
    try:
        plain = json.loads(content[: MAX_RECORD + 1])
    except (ValueError, RecursionError):
        return None
    if not isinstance(plain, dict) or plain.pop("version", None) != _VERSION:
        return None
    checks = plain.pop("checks", None)
    if not isinstance(checks, list) or len(checks) > _MAX_CHECKS:
        return None
    if plain.keys() != set(Promotion.__match_args__) - {"checks"}:
        return None
    promotion = Promotion(**plain, checks=tuple(checks))
    texts = [*values(promotion)[:-1], *checks]
    if not all(isinstance(text, str) and len(text) <= _MAX_TEXT and text.isprintable() for text in texts):
        return None
    known = promotion.digest == digest and _MOMENT.fullmatch(promotion.when)
    return promotion if known and (not promotion.replaced or _DIGEST.fullmatch(promotion.replaced)) else None


def checks_of(image: Image) -> tuple[str, ...]:
    """Return what passed when an image was built: the recipe's tests. Raises StoreDamaged."""
    return passed_tests(image.known)


def passed_tests(detail: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the tests in the detail of an image's build, each of which passed: else there is no image."""
    texts = [
        step["text"] for stage in detail.get("stages", ()) for step in stage["steps"] if step.get("kind") == "test"
    ]
    return tuple(_shown(text) for text in texts[:_MAX_CHECKS])


def _shown(text: str) -> str:
    line = " ".join(text.split())
    return "".join(mark if mark.isprintable() else "?" for mark in line)[: _MAX_TEXT // 2]

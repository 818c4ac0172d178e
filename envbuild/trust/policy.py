"""The policy: which names of images have to be signed, and by whom, before the images are used.

A file has rules, of which the first that has a name counts, and a default for names that no rule has:

    default = "refuse"                      # else "allow"

    [[rule]]
    names = ["registry.example.org/shop/*", "web"]
    keys = ["keys/release.pub"]             # paths from the file's folder
    threshold = 1                           # of how many keys a signature is needed
    signed-as = ["registry.example.org/*"]  # what signatures may name beside the name itself

    [[rule]]
    names = ["localhost:5000/*"]
    allow = true                            # or: refuse = true

Each file is asked for itself, so that a user's can't weaken the machine's. What of a file can't be read is an error:
without an answer, nothing is used.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Iterable, Sequence
from typing import Any

from envbuild.errors import UsageError, fields
from envbuild.record import Record
from envbuild.trust.keys import BadKey, PublicKey, read_public

MAX_POLICY = 1 << 20
_RULE = {"names", "keys", "threshold", "signed-as", "allow", "refuse"}
_MAX_PATTERN = 300


@fields
class BadPolicy(UsageError):
    """A policy that can't be read, or can be changed by everybody. Nothing is used until it is mended."""

    path: str
    reason: str

    def text(self) -> tuple[str, str]:
        return f"{self.path}: {self.reason}", "mend it (docs/trust.md): until then no image is used"


class Name(Record):
    """A name under which an image is used: `web`, or `HOST/PATH`, with the tag, "" for none."""

    name: str
    tag: str = ""

    @property
    def text(self) -> str:
        """The name as it is written."""
        return f"{self.name}:{self.tag}" if self.tag else self.name


class Rule(Record):
    """What is asked of names. Without keys they are allowed, or `refuse`d."""

    names: tuple[str, ...]
    keys: tuple[PublicKey, ...] = ()
    threshold: int = 1
    signed_as: tuple[str, ...] = ()
    refuse: bool = False

    def missing(self, name: Name, signed: Iterable[Signed]) -> str:
        """Return what an image lacks to be used under a name, "" for nothing."""
        if not self.keys:
            return "the policy refuses it" if self.refuse else ""
        signed = list(signed)
        signers = {entry.key.der for entry in signed if self._names(name, entry.names)}
        if len(signers) >= self.threshold:
            return ""
        others = sorted({other for entry in signed for other in entry.names if not self._names(name, (other,))})
        if others and not signers:
            shown = ", ".join(other or "no name" for other in others[:3])
            return f"its signature is for {shown[:300]}"
        if signers:
            return f"{len(signers)} of {self.threshold} keys that it needs have signed it"
        return "none of the keys that it needs has signed it"

    def _names(self, name: Name, signed: Sequence[str]) -> bool:
        return any(is_same(name.name, other) or matches(self.signed_as, Name(other)) for other in signed)


class Policy(Record):
    """One policy file."""

    path: str
    rules: tuple[Rule, ...]
    refuse: bool

    def rule(self, name: Name) -> Rule:
        """Return what is asked of a name."""
        for rule in self.rules:
            if matches(rule.names, name):
                return rule
        return Rule(("*",), refuse=self.refuse)


class Signed(Record):
    """One key's signature of an image: the names that it gives it, "" for one without."""

    key: PublicKey
    names: tuple[str, ...]


def matches(patterns: Sequence[str], name: Name) -> bool:
    """Return whether a name is one of these patterns, in which `*` stands for any text. A pattern with a tag is about
    that tag alone, and about images that are named without one, by a digest."""
    return any(
        _expression(pattern).fullmatch(text)
        for wanted in patterns
        for pattern in ((wanted,) if name.tag else (wanted, _without_tag(wanted)))
        for text in (name.name, name.text)
    )


def _without_tag(pattern: str) -> str:
    head, colon, tag = pattern.rpartition(":")
    return head if colon and "/" not in tag else pattern


def is_same(used: str, signed: str) -> bool:
    """Return whether a signature of one name is for the other. An image of a registry has to be signed under that very
    name; one of a store under its own, or under one in a registry that ends in it."""
    return used == signed or ("/" not in used and bool(used) and used == signed.rpartition("/")[2])


def read_policy(path: str) -> Policy:
    """Return the policy in a file. Raises BadPolicy."""
    try:
        plain = tomllib.loads(_content(path))
    except (ValueError, RecursionError) as error:  # an endless number is none of TOML's own errors
        raise BadPolicy(path, f"it is no TOML: {error}") from error
    unknown = sorted(plain.keys() - {"default", "rule"})
    if unknown:
        raise BadPolicy(path, f"'{unknown[0][:80]}' is not known")
    default = plain.get("default", "allow")
    if default not in ("allow", "refuse"):
        raise BadPolicy(path, 'default is neither "allow" nor "refuse"')
    rules = plain.get("rule", [])
    if not isinstance(rules, list):
        raise BadPolicy(path, "rules begin with [[rule]]")
    return Policy(path, tuple(_rule(rule, number, path) for number, rule in enumerate(rules, 1)), default == "refuse")


def _rule(plain: Any, number: int, path: str) -> Rule:
    def wrong(reason: str) -> BadPolicy:
        return BadPolicy(path, f"rule {number}: {reason}")

    if not isinstance(plain, dict):
        raise wrong("it is no table")
    if unknown := sorted(plain.keys() - _RULE):
        raise wrong(f"'{unknown[0][:80]}' is not known")
    names, keys = _texts(plain, "names", wrong), _texts(plain, "keys", wrong)
    signed_as = _texts(plain, "signed-as", wrong)
    if not names:
        raise wrong("it has no names")
    allow, refuse = plain.get("allow", False), plain.get("refuse", False)
    if not isinstance(allow, bool) or not isinstance(refuse, bool) or allow + refuse + bool(keys) != 1:
        raise wrong("it needs one of: keys, allow = true, refuse = true")
    threshold = plain.get("threshold", 1)
    if not isinstance(threshold, int) or isinstance(threshold, bool) or threshold < 1:
        raise wrong("its threshold is no number of keys")
    folder = os.path.dirname(path)
    try:
        trusted = tuple(_trusted(os.path.join(folder, key), path) for key in keys)
    except BadKey as error:
        raise wrong(f"the key {error.path}: {error.reason}") from error
    if len({key.der for key in trusted}) < threshold and keys:
        raise wrong(f"it needs the signatures of {threshold} keys, and names fewer")
    return Rule(names, trusted, threshold, signed_as, refuse)


def _texts(plain: dict[str, Any], member: str, wrong: Any) -> tuple[str, ...]:
    texts = plain.get(member, [])
    if not isinstance(texts, list) or not all(isinstance(text, str) and 0 < len(text) < _MAX_PATTERN for text in texts):
        raise wrong(f"{member} is no list of texts")
    if member in plain and not texts:
        raise wrong(f"{member} is empty")
    return tuple(texts)


def _trusted(key: str, policy: str) -> PublicKey:
    public = read_public(key)
    if os.stat(key).st_mode & stat.S_IWOTH:
        raise BadPolicy(policy, f"everybody can change its key {key}")
    return public


def _content(path: str) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_POLICY:
                raise BadPolicy(path, "it is not a file with a policy")
            if status.st_mode & stat.S_IWOTH:
                raise BadPolicy(path, "everybody can change it")
            return os.read(descriptor, MAX_POLICY).decode()
        finally:
            os.close(descriptor)
    except OSError as error:
        raise BadPolicy(path, str(error.strerror)) from error
    except UnicodeDecodeError as error:
        raise BadPolicy(path, "it is not text") from error


def _expression(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL)

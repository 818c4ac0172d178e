"""The hint for a step that failed because it had no network: from how it ended, and what it said last."""

from __future__ import annotations

import re

from envbuild.plan.step import Execute, Step

MAX_NAMED = 6
"""Packages that a hint names."""
_END = 16 << 10
"""Bytes of the output's end in which programs say it."""

_SIGNS = (
    b"temporary failure",  # apt: resolving; glibc: in name resolution
    b"could not resolve",  # curl, git
    b"couldn't resolve",
    b"unable to resolve",  # wget
    b"name or service not known",
    b"name does not resolve",  # musl
    b"nodename nor servname",
    b"network is unreachable",
    b"no address associated",
    b"bad address",  # busybox
    b"no such host",  # Go
    b"failed to lookup address",  # Rust
    b"unknownhostexception",  # Java
    b"eai_again",  # Node
    b"enotfound",
    b"enetunreach",
    b"getaddrinfo",
    b"newconnectionerror",  # pip
    b"(from versions: none)",
    b"unable to locate package",  # apt, without the lists that `apt-get update` did not get
    b"unable to fetch some archives",
    b"no installation candidate",
)
_BY_STATUS = {100: b"apt", 6: b"curl", 7: b"curl", 4: b"wget"}
"""Exit codes that say it, if the program that has them is in the command."""

_PACKAGE = re.compile(r"[A-Za-z0-9@][A-Za-z0-9@/.+:=~<>!*\[\]_-]*")
_MANAGERS = (
    (re.compile(r"\b(?:apt-get|apt|aptitude)\b[^;&|\n]*?\binstall\b([^;&|]*)"), "apt {}"),
    (re.compile(r"\b(?:pip3?|uv pip)\b[^;&|\n]*?\binstall\b([^;&|]*)"), "pip(into=DIR) {}"),
    (re.compile(r"\b(?:npm|pnpm|yarn)\b[^;&|\n]*?\b(?:install|i|add|ci)\b([^;&|]*)"), "npm(into=DIR) {}"),
    (re.compile(r"\bcargo\b[^;&|\n]*?\b(?:build|fetch|run|test|vendor)\b"), "cargo(into=DIR) -r DIR"),
    (re.compile(r"\bgo\s+(?:build|install|mod|run|test|vet)\b"), "go(into=/root/go/pkg/mod) -r DIR"),
    (re.compile(r"\b(?:mvn|mvnw)\b"), "maven(into=/root/.m2/repository) -r DIR"),
)
_ADDRESS = re.compile(r"\b(?:curl|wget)\b[^;&|\n]*?(https?://[^\s'\";&|]+)")

_CLONE = re.compile(r"\bgit\b[^;&|\n]*?\bclone\b([^;&|\n]*?)(https?://[^\s'\";&|@]+)([^;&|\n]*)")
_BRANCH = re.compile(r"(?:-b|--branch)[ =]([^\s'\"]+)")


def hint_of(step: Step, status: int, output: bytes) -> str:
    """Return what to say of a step that failed with this exit status, and wrote this last; "" if it had the network, or
    nothing points to it."""
    if not isinstance(step.action, Execute) or step.action.network:
        return ""
    end = output[-_END:].lower()
    by_status = _BY_STATUS.get(status)
    asked_by_status = by_status is not None and by_status in step.text.lower().encode()
    if not asked_by_status and not any(sign in end for sign in _SIGNS):
        return ""
    keyword = "test" if step.test else "run"
    better = _statement_for(step.text)
    return f"this step had no network: `{keyword}(network)`" + (f", or better: `{better}`" if better else "")


def _statement_for(text: str) -> str:
    """Return the statement that does what a command wanted to do with the network, "" where there is none."""
    joined = text.replace("\\\n", " ")
    for pattern, form in _MANAGERS:
        match = pattern.search(joined)
        if match is not None:
            words = [
                word
                for word in (match[1] if pattern.groups else "").split()
                if word == "-r" or not word.startswith("-")
            ]
            packages = [word.strip("\"'") for word in words if word == "-r" or _PACKAGE.fullmatch(word.strip("\"'"))]
            named = packages[:MAX_NAMED] + (["..."] if len(packages) > MAX_NAMED else [])
            return form.format(" ".join(named) if named else "PACKAGE ...")
    clone = _CLONE.search(joined)
    if clone is not None:
        branch = _BRANCH.search(f"{clone[1]} {clone[3]}")
        return f"fetch git+{clone[2]}{f'@{branch[1]}' if branch is not None else ''} -> DIR"
    address = _ADDRESS.search(joined)
    return f"fetch {address[1]} -> FILE" if address is not None else ""

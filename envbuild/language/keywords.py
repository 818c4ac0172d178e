"""The keywords, where each is allowed, and the options that each takes."""

from __future__ import annotations

from envbuild.record import Record

(
    FLAG,
    TEXT,
    DIRECTORY,
    DURATION,
    COUNT,
    MODE,
    OWNER,
    MOUNT,
    SHA256,
    SECRET,
    INIT,
    CONDITION,
    CACHE,
    NAME,
    IDENTITY,
    NETWORK,
    FILE_MODE,
    TMPFS,
    NODE_MANAGER,
    AGENT,
    DEVICE,
    SOURCE,
    PLATFORM,
) = (
    "flag",
    "text",
    "directory",
    "duration",
    "count",
    "mode",
    "owner",
    "mount",
    "sha256",
    "secret",
    "init",
    "condition",
    "cache",
    "name",
    "identity",
    "network",
    "file mode",
    "tmpfs",
    "manager",
    "agent",
    "device",
    "source",
    "platform",
)


class OptionKind(Record):
    """The type of an option's value; with `repeats` the option may be given more than once."""

    kind: str
    repeats: bool = False


class Keyword(Record):
    """A statement's options besides `when`, whether it takes a block, and whether it belongs to a stage."""

    options: dict[str, OptionKind] = {}
    block: bool = False
    in_stage: bool = True
    anywhere: bool = False
    """Also allowed before the first `from`."""


_OWNED = {"owner": OptionKind(OWNER), "mode": OptionKind(FILE_MODE)}
_COPY = {
    "from": OptionKind(TEXT),
    **_OWNED,
    "include": OptionKind(TEXT, True),
    "exclude": OptionKind(TEXT, True),
    "contents": OptionKind(FLAG),
    "parents": OptionKind(FLAG),
    "optional": OptionKind(FLAG),
    "unpack": OptionKind(FLAG),
}
_RUN = {
    "network": OptionKind(NETWORK),
    "cache": OptionKind(CACHE, True),
    "id": OptionKind(NAME, True),
    "uid": OptionKind(IDENTITY, True),
    "mode": OptionKind(MODE, True),
    "secret": OptionKind(SECRET, True),
    "mount": OptionKind(MOUNT, True),
    "tmpfs": OptionKind(TMPFS, True),
    "ssh": OptionKind(AGENT),
    "device": OptionKind(DEVICE, True),
    "user": OptionKind(OWNER),
    "workdir": OptionKind(DIRECTORY),
    "timeout": OptionKind(DURATION),
    "shell": OptionKind(TEXT),
}
QUALIFIES_CACHE = ("id", "uid", "mode")
"""Options that say more of the `cache` before them."""
_PIP = {
    "into": OptionKind(DIRECTORY),
    "find-links": OptionKind(TEXT, True),
    "extra": OptionKind(NAME, True),
    "group": OptionKind(NAME, True),
    "without": OptionKind(NAME, True),
}
_HEALTH = {
    "every": OptionKind(DURATION),
    "timeout": OptionKind(DURATION),
    "retries": OptionKind(COUNT),
    "start-period": OptionKind(DURATION),
    "start-interval": OptionKind(DURATION),
}

WHEN = OptionKind(CONDITION, True)

KEYWORDS: dict[str, Keyword] = {
    "recipe": Keyword(in_stage=False),
    "context": Keyword(in_stage=False),
    "image": Keyword(in_stage=False, anywhere=True),
    "param": Keyword(in_stage=False, anywhere=True),
    "from": Keyword({"platform": OptionKind(PLATFORM)}, in_stage=False, anywhere=True),
    "include": Keyword(block=True, anywhere=True),
    "apt": Keyword({"recommends": OptionKind(FLAG), "source": OptionKind(SOURCE), "key": OptionKind(TEXT)}, block=True),
    "pip": Keyword(_PIP, block=True),
    "npm": Keyword(
        {"into": OptionKind(DIRECTORY), "scripts": OptionKind(FLAG), "manager": OptionKind(NODE_MANAGER)}, block=True
    ),
    "cargo": Keyword({"into": OptionKind(DIRECTORY)}),
    "go": Keyword({"into": OptionKind(DIRECTORY)}),
    "maven": Keyword({"into": OptionKind(DIRECTORY)}),
    "copy": Keyword(_COPY),
    "render": Keyword(_OWNED),
    "file": Keyword(_OWNED, block=True),
    "fetch": Keyword(
        {
            "sha256": OptionKind(SHA256),
            **_OWNED,
            "unpack": OptionKind(FLAG),
            "submodules": OptionKind(FLAG),
            "keep-git": OptionKind(FLAG),
        }
    ),
    "adduser": Keyword(block=True),
    "shell": Keyword(),
    "run": Keyword(_RUN, block=True),
    "env": Keyword(block=True),
    "workdir": Keyword(),
    "user": Keyword(),
    "discard": Keyword(block=True),
    "test": Keyword(_RUN, block=True),
    "expose": Keyword(block=True),
    "volume": Keyword(block=True),
    "label": Keyword(block=True),
    "unset": Keyword(block=True),
    "entry": Keyword(),
    "start": Keyword({"init": OptionKind(INIT)}, block=True),
    "stop": Keyword(),
    "health": Keyword(_HEALTH, block=True),
}

BASES: dict[str, str] = {
    "scratch": "scratch",
    "host": "host",
    "debian": "debian:SUITE",
    "tar": "tar:FILE",
    "oci": "oci:PATH",
    "registry": "registry:HOST/PATH:TAG",
    "image": "image:NAME",
    "capture": "capture:NAME",
    "recipe": "recipe:FILE",
}
"""The kinds of bases, and the shortest form of each."""

FACTS = ("env", "expose", "volume", "label", "entry", "start", "stop", "health", "user", "workdir")
"""The facts that `unset` can drop."""
ADDUSER = ("uid", "gid", "home", "shell", "groups")

"""The results in a lock: lines that each stand for themselves, in any order, however often a merge left them.

`ARCH step KEY TREE`: the step of this key gave this tree.
`ARCH seen ANSWER SETTINGS AFTER INSTALLED`: when these packages were the answer to a statement, the package manager saw
these settings, and these packages installed after those answers (package_question.py).
`ARCH image DIGEST TREE SIZE`: the image of this digest has this tree, of so many bytes.
`ARCH network KEY ...`: what came through the network when the step of this key ran (network_lines.py).

Digests are sha256 in hexadecimal digits. No two lines of a build contradict each other; after a merge they may.
"""

from __future__ import annotations

from envbuild.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from envbuild.store.network_record import NetworkRecord

STEP, SEEN, IMAGE, NETWORK = "step", "seen", "image", "network"
_MAX_DIGITS = 18
_MAX_SHOWN = 100


class LockedImage(Record):
    """An image that a build came to: its digest, its tree, and its size in bytes."""

    digest: str
    tree: str
    size: int


class Sight(Record):
    """What a package manager saw in the tree when it gave an answer: the digest of its `settings`, and that of what was
    `installed` when the answers before it were those with the digest `after`."""

    settings: str
    after: str
    installed: str


_NONE: Mapping[str, NetworkRecord] = {}


class Results(Record):
    """Trees by the keys of their steps, sights by the digests of answers, and images: one of each, unless a merge left
    several. `network` is what steps asked, by their keys."""

    steps: Mapping[str, tuple[str, ...]]
    seen: Mapping[str, tuple[Sight, ...]]
    images: tuple[LockedImage, ...] = ()
    network: Mapping[str, NetworkRecord] = _NONE


NO_RESULTS = Results({}, {})


def lines_of(architecture: str, results: Results) -> list[str]:
    """Return the lines of results, sorted."""
    lines = [f"{architecture} {STEP} {key} {tree}" for key, trees in results.steps.items() for tree in trees]
    lines += [
        f"{architecture} {SEEN} {answer} {sight.settings} {sight.after} {sight.installed}"
        for answer, sights in results.seen.items()
        for sight in sights
    ]
    lines += [f"{architecture} {IMAGE} {image.digest} {image.tree} {image.size}" for image in results.images]
    if results.network:
        from envbuild.lockfile.network_lines import parts_of  # most locks have none

        for key, record in results.network.items():
            lines += [f"{architecture} {NETWORK} {key} {' '.join(parts)}" for parts in parts_of(record)]
    return sorted(lines)


def results_of(lines: Iterable[str]) -> dict[str, Results]:
    """Return the results by architecture. Raises ValueError for what is no line of results."""
    steps: dict[str, dict[str, tuple[str, ...]]] = {}
    seen: dict[str, dict[str, tuple[Sight, ...]]] = {}
    images: dict[str, tuple[LockedImage, ...]] = {}
    network: dict[str, dict[str, list[tuple[str, ...]]]] = {}
    for line in dict.fromkeys(lines):
        match line.split(" "):
            case [str(architecture), "step", key, tree] if _are_digests(key, tree):
                known = steps.setdefault(architecture, {})
                known[key] = (*known.get(key, ()), tree)
            case [str(architecture), "seen", answer, *digests] if len(digests) == 3 and _are_digests(answer, *digests):
                sights = seen.setdefault(architecture, {})
                sights[answer] = (*sights.get(answer, ()), Sight(*digests))
            case [str(architecture), "image", digest, tree, size] if _are_digests(digest, tree) and _is_size(size):
                image = LockedImage(digest, tree, int(size))
                images[architecture] = (*images.get(architecture, ()), image)
            case [str(architecture), "network", key, *parts] if _are_digests(key):
                network.setdefault(architecture, {}).setdefault(key, []).append(tuple(parts))
            case _:
                raise ValueError(f"{line[:_MAX_SHOWN]!r} is not a result that a lock has")
    records = _records(network) if network else {}
    return {
        name: Results(steps.get(name, {}), seen.get(name, {}), images.get(name, ()), records.get(name, {}))
        for name in steps.keys() | seen.keys() | images.keys() | records.keys()
    }


def _records(network: Mapping[str, Mapping[str, list[tuple[str, ...]]]]) -> dict[str, dict[str, NetworkRecord]]:
    from envbuild.lockfile.network_lines import record_of  # as above

    return {
        architecture: {key: record_of(lines) for key, lines in keys.items()} for architecture, keys in network.items()
    }


def _are_digests(*texts: str) -> bool:
    return all(len(text) == 64 and not text.strip("0123456789abcdef") for text in texts)


def _is_size(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS

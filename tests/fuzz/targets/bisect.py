"""What bisect reads of packages: their records in trees that may be hostile."""

from __future__ import annotations

from envbuild.bisect.package_needs import debian_state, node_states, python_state
from envbuild.bisect.requirements import ABSENT, requirements
from envbuild.bisect.status_stanzas import status_changes
from envbuild.store.trials import Trials
from tests.fuzz.target import Target


class _Memo:
    """A memo in which everything is one value."""

    def __init__(self, value: bytes) -> None:
        self._value = value

    def get(self, kind: str, key: str) -> bytes:
        return self._value


def read_needs(data: bytes) -> None:
    """Two records, apart by a zero byte: whatever they say, it is requirements between differences."""
    old, _, new = data.partition(b"\0")
    texts = [side.decode("utf-8", "surrogateescape") for side in (old, new)]
    states = [
        (debian_state(texts[0]), debian_state(texts[1])),
        (python_state(old, "x"), python_state(new, "x")),
        *node_states({"a/node_modules/b": (old, new), "a/node_modules/b/node_modules/c": (new, None)}).values(),
        (ABSENT, debian_state(texts[0])),
    ]
    required = requirements({number: [pair] for number, pair in enumerate(states)}, [states[0][0]])
    assert all(number not in others for number, others in required.items())


def read_stanzas(data: bytes) -> None:
    """Two versions of dpkg's status, apart by a zero byte: nothing of them is lost."""
    old, _, new = (side.decode("utf-8", "surrogateescape") for side in data.partition(b"\0"))
    changes = status_changes(old, new)
    if changes is not None:
        again = status_changes(changes.text(set()), changes.text(set(changes.changed)))
        assert again is not None
        assert (again.old, again.new) == (changes.old, changes.new)


def read_trials(data: bytes) -> None:
    for run in Trials(_Memo(data)).get("key"):  # type: ignore[arg-type]
        assert isinstance(run[0], int)


TARGETS = [
    Target(
        "bisect-needs", read_needs, (), (b"Depends: ", b"Requires-Dist: ", b" (>= ", b"|", b'"dependencies":', b"\0")
    ),
    Target("bisect-status", read_stanzas, (), (b"Package: ", b"Architecture: ", b"\n\n", b"\0", b"Version: 1\n")),
    Target("bisect-trials", read_trials, (), (b"[", b"]", b"true", b"1.5", b'"')),
]

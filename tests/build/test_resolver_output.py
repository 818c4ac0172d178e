"""What a package manager prints while it resolves: its errors are said once, by whoever says that it failed."""

import pytest

from envbuild.build.resolver_output import ResolverOutput

PRINTED = b"Reading package lists...\nE: Unable to locate package a\nN: a note\n"


def shown(failure: str | None, *pieces: bytes) -> bytes:
    parts: list[bytes] = []
    output = ResolverOutput(parts.append)
    for piece in pieces:
        output.write(piece)
    output.end(failure)
    return b"".join(parts)


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_errors_wait_until_it_is_known_who_says_them(size):
    twice = PRINTED * 2
    pieces = [twice[at : at + size] for at in range(0, len(twice), size)]
    rest = b"Reading package lists...\nN: a note\n" * 2
    assert shown(None, *pieces) == rest, "it went well in the end"
    assert shown("apt can't resolve it:\nE: Unable to locate package a", *pieces) == rest
    assert shown("it took too long", *pieces) == rest + b"E: Unable to locate package a\n"


def test_lines_are_shown_as_they_come_and_errors_have_a_limit():
    parts: list[bytes] = []
    output = ResolverOutput(parts.append)
    output.write(b"10 %")
    assert parts == [b"10 %"], "a line that goes on is not waited for"
    output.write(b"\rE: no error, but the rest of a line\nE: x")
    output.end("other")
    assert b"".join(parts) == b"10 %\rE: no error, but the rest of a line\nE: x\n"
    assert shown(None, b"ERROR: " + b"x" * (2 << 20) + b"\n")[:7] == b"ERROR: "

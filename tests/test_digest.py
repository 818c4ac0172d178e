"""The sha256 of what is fed in pieces, whichever program computes it."""

import hashlib

import pytest

from envbuild.digest import LITTLE, Sha256


@pytest.mark.parametrize("sizes", [(), (0,), (1, 2, 3), (LITTLE - 1, 1), (LITTLE, 5), (5, LITTLE, 5), (3 * LITTLE,)])
def test_pieces_give_the_digest_of_the_whole(sizes):
    state, whole = Sha256(), b""
    buffer = bytearray(3 * LITTLE)
    for number, size in enumerate(sizes):
        # As readers do: one buffer for all that is read.
        buffer[:size] = bytes([number + 65]) * size
        state.update(memoryview(buffer)[:size])
        whole += bytes(buffer[:size])
        assert state.hexdigest() == hashlib.sha256(whole).hexdigest()
    assert state.hexdigest() == hashlib.sha256(whole).hexdigest()


def test_what_it_begins_with_counts():
    state = Sha256(b"ab")
    state.update(b"c")
    assert state.hexdigest() == hashlib.sha256(b"abc").hexdigest()

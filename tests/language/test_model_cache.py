"""The model as bytes and back, cheaply."""

from pathlib import Path

import pytest

from envbuild.language import model_cache
from envbuild.language.load import load_recipe
from tests.imports import imported

EXAMPLE = str(Path(__file__).parent / "example.env")


def test_what_is_dumped_loads_to_the_same():
    recipe = load_recipe(EXAMPLE, {}, arch="amd64")
    again = model_cache.load(model_cache.dump(recipe))
    assert again == recipe
    assert model_cache.dump(again) == model_cache.dump(recipe)


@pytest.mark.parametrize("damage", [b"", b"x", b"envbuild recipe 2\n", b"envbuild recipe 2\n\0\0\0\0"])
def test_other_bytes_are_refused(damage):
    with pytest.raises(ValueError, match="model"):
        model_cache.load(damage)


def test_every_flipped_byte_and_every_cut_is_noticed():
    data = model_cache.dump(load_recipe(EXAMPLE, {}, arch="amd64"))
    for position in range(0, len(data), 7):
        flipped = bytearray(data)
        flipped[position] ^= 0x20
        for damaged in (bytes(flipped), data[:position]):
            with pytest.raises(ValueError, match="model"):
                model_cache.load(damaged)


def test_loading_imports_nothing_heavy():
    assert imported("model_cache", "lark", "re", "json", "dataclasses", "typing", "inspect") == set()

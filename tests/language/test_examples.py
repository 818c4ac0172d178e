"""The recipes that come with envbuild are read without an error; most of them are built only at night."""

from pathlib import Path

import pytest

from envbuild.language.load import load_recipe

RECIPES = Path(__file__).parents[2] / "recipes"
EXAMPLES = sorted(path for path in RECIPES.rglob("*.env") if path.parent.name != "parts")
"""Parts are included by others."""


@pytest.mark.parametrize("path", EXAMPLES, ids=[str(path.relative_to(RECIPES)) for path in EXAMPLES])
def test_an_example_is_read(path: Path):
    recipe = load_recipe(str(path), {}, arch="amd64")
    assert recipe.stages
    assert recipe.stages[-1].statements

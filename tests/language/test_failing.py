"""Each folder of failing/ is a recipe that is wrong, and exactly what is said about it."""

from pathlib import Path

import pytest

from envbuild.language.load import load_recipe
from envbuild.text.diagnostics import RecipeErrors

CASES = sorted(path for path in (Path(__file__).parent / "failing").iterdir() if path.is_dir())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_errors_are_these_byte_for_byte(case, monkeypatch):
    monkeypatch.chdir(case)
    with pytest.raises(RecipeErrors) as raised:
        load_recipe("recipe.env", {}, arch="amd64")
    assert f"{raised.value}\n" == (case / "expected.txt").read_text(encoding="utf-8")


def test_there_are_many_of_them():
    assert len(CASES) >= 40

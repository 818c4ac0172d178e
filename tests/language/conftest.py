import pytest

from envbuild.language.load import load_recipe
from envbuild.text.diagnostics import RecipeErrors


@pytest.fixture
def load():
    """Loads recipes given as text, from a folder that exists only in this dictionary."""

    def load_texts(recipe, *, settings=None, path="web.env", **files):
        texts = {path: recipe, **{name.replace("__", "/") + ".env": text for name, text in files.items()}}

        def read(name):
            if name not in texts:
                raise FileNotFoundError(2, "No such file or directory", name)
            text = texts[name]
            return text if isinstance(text, bytes) else text.encode()

        return load_recipe(path, settings or {}, arch="amd64", read=read)

    return load_texts


@pytest.fixture
def errors_of(load):
    """What is wrong with a recipe, as (message, file, line, column, hint)."""

    def collect(*texts, **files):
        with pytest.raises(RecipeErrors) as raised:
            load(*texts, **files)
        return [(wrong.message, wrong.file, wrong.line, wrong.column, wrong.hint) for wrong in raised.value.diagnostics]

    return collect

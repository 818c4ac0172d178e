"""The recipe that a command line means: by its path, its name without `.env`, its folder, or as the only one here."""

from __future__ import annotations

import os

from envbuild.errors import UsageError, fields

SUFFIX = ".env"
DOCKERFILES = ("Dockerfile", "Containerfile")
MAX_BYTES = 4 << 20
"""What is read of a file to see whether it is a recipe."""
MAX_NAMED = 8
"""Recipes that an error lists."""


@fields
class NoRecipeHere(UsageError):
    """A directory without a recipe, where one was to be found by itself."""

    folder: str
    dockerfile: str

    def text(self) -> tuple[str, str]:
        hint = "name it, as in: envbuild build services/web.env; a first one may say: from debian:bookworm"
        if self.dockerfile:
            hint = (
                f"{self.dockerfile} is no recipe; `envbuild build -f {self.dockerfile}` says for each of its lines how "
                "a recipe says it"
            )
        return f"there is no recipe in {_shown(self.folder)}", hint


@fields
class WhichRecipe(UsageError):
    """A directory with several recipes, where one was to be found by itself."""

    folder: str
    paths: list[str]
    command: str

    def text(self) -> tuple[str, str]:
        named = ", ".join(self.paths[:MAX_NAMED]) + (", ..." if len(self.paths) > MAX_NAMED else "")
        return f"which recipe? {_shown(self.folder)} has {named}", f"name one: envbuild {self.command} {self.paths[0]}"


def recipe_path(word: str | None, command: str) -> str:
    """Return the path of the recipe that `word` means, of the only one here without a word.

    A path that leads nowhere is returned as it is: whoever reads the file says so. Raises NoRecipeHere, WhichRecipe.
    """
    if word is None:
        return only_recipe(".", command)
    if not os.path.isfile(word):
        if word and not word.endswith(("/", SUFFIX)) and os.path.isfile(word + SUFFIX):
            return os.path.normpath(word + SUFFIX)
        if os.path.isdir(word):
            return only_recipe(word, command)
    return os.path.normpath(word)


def recipe_of_file_option(file: str, word: str | None) -> str:
    """Return the recipe of `-f FILE [FOLDER]`, docker's form. Raises UsageError where FOLDER is another than FILE's."""
    path = recipe_path(file, "build")
    if word is not None and os.path.realpath(word) != os.path.dirname(os.path.realpath(path)):
        raise UsageError(
            f"-f {file}: a recipe takes its files from its own directory, not from {word}",
            f"put the recipe into {word}, and name it alone: envbuild build FILE",
        )
    return path


def only_recipe(folder: str, command: str) -> str:
    """Return the path of the only recipe in a directory. Raises NoRecipeHere and WhichRecipe."""
    paths = recipes_in(folder)
    if not paths:
        dockerfile = next((name for name in DOCKERFILES if os.path.isfile(os.path.join(folder, name))), "")
        raise NoRecipeHere(folder, os.path.normpath(os.path.join(folder, dockerfile)) if dockerfile else "")
    if len(paths) > 1:
        raise WhichRecipe(folder, paths, command)
    return paths[0]


def recipes_in(folder: str) -> list[str]:
    """Return the recipes in a directory, those that only serve to be included left out.

    Other programs' files of variables are called `NAME.env`, too: where several are, a recipe is one that has a `from`.
    """
    try:
        with os.scandir(folder) as entries:
            names = sorted(
                entry.name
                for entry in entries
                if entry.name.endswith(SUFFIX) and not entry.name.startswith(".") and entry.is_file()
            )
    except OSError:
        return []
    paths = [os.path.normpath(os.path.join(folder, name)) for name in names]
    if len(paths) < 2:
        return paths
    return [path for path in paths if _has(path, b"from")] or [path for path in paths if _has(path, b"include")]


def image_name(path: str) -> str:
    """Return the name of the image that a recipe makes: what its `recipe` line says, else the file's."""
    for line in _content(path).splitlines():
        words = line.split()
        if line.startswith(b"recipe") and len(words) > 1 and words[0] == b"recipe":
            return words[1].decode("utf-8", "replace").strip('"')
    return os.path.basename(path).removesuffix(SUFFIX)


def _has(path: str, keyword: bytes) -> bool:
    """Tell whether a line of the file begins with a keyword, in any case: who writes FROM means it, too."""
    words = (line.split(maxsplit=1) for line in _content(path).splitlines() if not line[:1].isspace())
    return any(word[0].lower() == keyword for word in words if word)


def _content(path: str) -> bytes:
    from envbuild.linux.nofollow import read_plain  # only where no recipe was named

    try:
        return read_plain(os.path.realpath(path), MAX_BYTES)
    except OSError:
        return b""


def _shown(folder: str) -> str:
    return "this directory" if os.path.normpath(folder) == "." else os.path.normpath(folder)

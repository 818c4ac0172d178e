"""Places with files by their hashes, as users name them: directories and web addresses."""

from __future__ import annotations

import os
from urllib.parse import unquote

from envbuild.errors import BadOption
from envbuild.http.addresses import BadAddress, WebAddress

_FILE = "file://"


def place(word: str, where: str) -> str:
    """Return the absolute path or the address that a word means; `where` is the option or variable that has it.
    Raises BadOption."""
    if word.startswith(f"{_FILE}/"):
        return os.path.abspath(unquote(word.removeprefix(_FILE)))
    if "://" not in word:
        return os.path.abspath(word)
    try:
        return WebAddress(word.rstrip("/"))
    except BadAddress:
        raise BadOption(where, word, "directory or web address", f"{where}=https://HOST/PATH") from None

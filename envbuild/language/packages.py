"""The statements that install packages: apt, pip, npm."""

from __future__ import annotations

from envbuild.language import model, values
from envbuild.language.options import Options
from envbuild.language.reader import Context
from envbuild.language.syntax import Word, Written


def read_apt(statement: Written, options: Options, context: Context) -> model.Apt | None:
    packages = [
        package
        for word, text in _texts(statement, context, "apt PKG, or an indented block")
        if (package := context.checked(values.package, text, word.span))
    ]
    start = context.place(statement), context.folder, statement.source
    return model.Apt(*start, tuple(packages), options.flag("recommends"), options.text("source"), options.text("key"))


def read_pip(statement: Written, options: Options, context: Context) -> model.Pip | None:
    shape = "pip(into=/opt/venv) REQUIREMENT, or -r FILE"
    requirements: list[str] = []
    files: dict[str, list[str]] = {"-r": [], "-c": []}
    words = iter(_texts(statement, context, shape))
    for word, text in words:
        if text in files:
            _, path = next(words, (word, ""))
            if not path or path.startswith("-"):
                context.error(word.span, f"'{text}' needs a file", f"as in: {shape}")
            else:
                files[text].append(path)
        elif text.startswith("-") or not text:
            context.error(word.span, f"pip takes no '{text}'", "it takes requirements, -r FILE and -c FILE")
        else:
            requirements.append(text)
    if files["-c"] and not files["-r"] and not requirements:
        context.error(statement.span, "pip has constraints but no requirements", f"as in: {shape}")
    into = _into(statement, options, context, "/opt/venv")
    if into is None:
        return None
    start = context.place(statement), context.folder, statement.source
    given = tuple(requirements), tuple(files["-r"]), tuple(files["-c"]), options.texts("find-links")
    return model.Pip(*start, into, *given)


def read_npm(statement: Written, options: Options, context: Context) -> model.Npm | None:
    shape = "npm(into=/srv/app) PKG@RANGE, or -r DIR"
    packages: list[str] = []
    project: str | None = None
    words = iter(_texts(statement, context, shape))
    for word, text in words:
        if text == "-r":
            _, path = next(words, (word, ""))
            if not path or path.startswith("-"):
                context.error(word.span, "'-r' needs a folder", f"as in: {shape}")
            elif project is not None:
                context.error(word.span, "npm takes one '-r'", "write one npm statement for each folder")
            else:
                project = path
        elif text.startswith("-") or not text:
            context.error(word.span, f"npm takes no '{text}'", "it takes packages and -r DIR")
        else:
            packages.append(text)
    into = _into(statement, options, context, "/srv/app")
    if into is None:
        return None
    start = context.place(statement), context.folder, statement.source
    return model.Npm(*start, into, tuple(packages), project, options.flag("scripts"))


def _into(statement: Written, options: Options, context: Context, example: str) -> str | None:
    """Where to install; an error unless the option stands there (one with a wrong value has its error)."""
    if not options.flag("into"):
        hint = f"as in: {statement.keyword}(into={example})"
        context.error(statement.span, f"{statement.keyword} needs to know where to install", hint)
    return options.text("into")


def _texts(statement: Written, context: Context, shape: str) -> list[tuple[Word, str]]:
    words = context.words(statement)
    if not words:
        context.error(statement.span, f"{statement.keyword} names no package", f"as in: {shape}")
    pairs = [(word, context.expand(word)) for word in words]
    return [(word, text) for word, text in pairs if text is not None]

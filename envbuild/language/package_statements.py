"""The statements that install packages: apt, pip, npm, cargo, go, maven."""

from __future__ import annotations

from envbuild.language import model, values
from envbuild.language.options import Options
from envbuild.language.reader import Reader
from envbuild.language.syntax import StatementSyntax, Word
from envbuild.text.pattern import Pattern

_PROJECT = Pattern(r"\.{1,2}(?:/[^\[\]]*)?(?:\[[A-Za-z0-9._, -]+\])?")
"""A directory of the context, with extras."""
_SOURCE_FORM = "source packages are unpacked with: apt(source) NAME -> /src"
_OF_LOCK_FILES = ("extra", "group", "without")
"""Options that choose from a lock file of another tool."""


_VERBS = ("add", "install", "remove", "update", "upgrade")
"""Commands of apt-get, which no package is called like."""


def read_apt(statement: StatementSyntax, options: Options, reader: Reader) -> model.Apt | None:
    words = _texts(statement, reader, "apt PKG, or an indented block")
    if words and words[0][1] in _VERBS:
        rest = " ".join(text for _, text in words[1:] if not text.startswith("-")) or "PACKAGE ..."
        reader.error(words[0][0].span, f"'{words[0][1]}' is not a package", f"as in: apt {rest[:200]}")
        return None
    at = next((number for number, (_, text) in enumerate(words) if text == "->"), len(words))
    packages = [name for word, text in words[:at] if (name := reader.checked(values.package, text, word.span))]
    destination = _check_source(statement, options, reader, words, at)
    start = reader.start_of(statement)
    recommends, source, key = options.flag("recommends"), options.text("source"), options.text("key")
    return model.Apt(*start, tuple(packages), recommends, source, key, destination)


def _check_source(
    statement: StatementSyntax, options: Options, reader: Reader, words: list[tuple[Word, str]], at: int
) -> str | None:
    """Return the directory behind the arrow at `at`, where source packages are unpacked; None without one. What is
    wrong with it is reported."""
    flag = next((option for option in statement.options if option.name == "source" and option.value is None), None)
    if at == len(words):
        if flag is not None:
            archive = 'another archive is source="deb https://HOST/PATH SUITE COMPONENT"'
            hint = f"as in: apt(source) NAME -> /src; {archive}"
            reader.error(flag.span, "source packages need a directory to be unpacked at", hint)
        return None
    arrow = words[at][0]
    if at == 0 or at != len(words) - 2:
        reader.error(arrow.span, "'->' stands between source packages and one directory", _SOURCE_FORM)
        return None
    word, path = words[at + 1]
    if not options.flag("source"):
        reader.error(arrow.span, "apt installs packages where they say", _SOURCE_FORM)
    elif options.flag("recommends"):
        reader.error(statement.span, "source packages recommend nothing", "leave the option 'recommends' out")
    elif at > 1 and not path.endswith("/"):
        hint = f"a slash at the end gives each its own directory below: -> {path}/"
        reader.error(word.span, f"several source packages can't all be '{path}'", hint)
    return reader.checked(values.path, path, word.span)


def read_pip(statement: StatementSyntax, options: Options, reader: Reader) -> model.Pip | None:
    shape = "pip(into=/opt/venv) REQUIREMENT, or -r FILE"
    requirements: list[str] = []
    projects: list[str] = []
    files: dict[str, list[str]] = {"-r": [], "-c": []}
    words = iter(_texts(statement, reader, shape))
    lock: tuple[Word, str] | None = None
    for word, text in words:
        if text in files:
            file, path = next(words, (word, ""))
            if not path or path.startswith("-"):
                reader.error(word.span, f"'{text}' needs a file", f"as in: {shape}")
            else:
                files[text].append(path)
                lock = (file, path) if text == "-r" and model.is_lock_file(path) else lock
        elif text.startswith("-") or not text:
            reader.error(word.span, f"pip does not take '{text}'", "it takes requirements, -r FILE and -c FILE")
        elif text == "." or text.startswith(("./", ".[", "../")):
            if _PROJECT.fullmatch(text):
                projects.append(text)
            else:
                reader.error(word.span, f"'{text}' is not a project", 'as in: pip(into=/opt/venv) ".[extra]"')
        else:
            requirements.append(text)
    if files["-c"] and not files["-r"] and not requirements and not projects:
        reader.error(statement.span, "pip has constraints but no requirements", f"as in: {shape}")
    if lock is not None and (requirements or len(files["-r"]) > 1 or files["-c"]):
        hint = "write another pip statement for what else goes into the same environment"
        reader.error(lock[0].span, f"'{lock[1]}' pins all that is installed, and stands alone", hint)
    for option in statement.options if lock is None else ():
        if option.name in _OF_LOCK_FILES:
            hint = f"as in: pip(into=/opt/venv, {option.name}=...) -r uv.lock"
            reader.error(option.span, f"'{option.name}' chooses from a lock file, and there is none", hint)
    into = _into(statement, options, reader, "/opt/venv")
    if into is None:
        return None
    start = reader.start_of(statement)
    given = tuple(requirements), tuple(files["-r"]), tuple(files["-c"]), options.texts("find-links")
    extras, groups, without = (options.texts(name) for name in _OF_LOCK_FILES)
    return model.Pip(*start, into, *given, extras, groups, without, tuple(projects))


def read_npm(statement: StatementSyntax, options: Options, reader: Reader) -> model.Npm | None:
    shape = "npm(into=/srv/app) PKG@RANGE, or -r DIR"
    packages: list[str] = []
    project: str | None = None
    words = iter(_texts(statement, reader, shape))
    for word, text in words:
        if text == "-r":
            _, path = next(words, (word, ""))
            if not path or path.startswith("-"):
                reader.error(word.span, "'-r' needs a directory", f"as in: {shape}")
            elif project is not None:
                reader.error(word.span, "npm takes one '-r'", "write one npm statement for each directory")
            else:
                project = path
        elif text.startswith("-") or not text:
            reader.error(word.span, f"npm does not take '{text}'", "it takes packages and -r DIR")
        else:
            packages.append(text)
    into = _into(statement, options, reader, "/srv/app")
    if into is None:
        return None
    start = reader.start_of(statement)
    manager = options.text("manager") or ""
    if manager not in ("", "npm") and (packages or project is None):
        # The place of the option's value is gone by now; its name is all that this is about.
        message = f"with manager={manager} the project's own lock says which packages it has"
        reader.error(statement.span, message, f"as in: npm(into=/srv/app, manager={manager}) -r DIR")
        return None
    return model.Npm(*start, into, tuple(packages), project, options.flag("scripts"), manager)


def read_cargo(statement: StatementSyntax, options: Options, reader: Reader) -> model.Cargo | None:
    said = _of_lock(statement, options, reader, "Cargo.lock", "/src")
    return model.Cargo(*reader.start_of(statement), *said) if said is not None else None


def read_go(statement: StatementSyntax, options: Options, reader: Reader) -> model.Go | None:
    said = _of_lock(statement, options, reader, "go.sum", "/root/go/pkg/mod")
    return model.Go(*reader.start_of(statement), *said) if said is not None else None


def read_maven(statement: StatementSyntax, options: Options, reader: Reader) -> model.Maven | None:
    said = _of_lock(statement, options, reader, "lockfile.json", "/root/.m2/repository")
    return model.Maven(*reader.start_of(statement), *said) if said is not None else None


def _of_lock(
    statement: StatementSyntax, options: Options, reader: Reader, lock: str, example: str
) -> tuple[str, str] | None:
    """Return where to install, and the directory with the lock."""
    texts = [text for _, text in reader.texts(statement)]
    into = _into(statement, options, reader, example)
    if len(texts) != 2 or texts[0] != "-r" or not texts[1] or texts[1].startswith("-"):
        message = f"{statement.keyword} takes '-r' and one directory with a {lock}"
        reader.error(statement.span, message, f"as in: {statement.keyword}(into={example}) -r .")
        return None
    return (into, texts[1]) if into is not None else None


def _into(statement: StatementSyntax, options: Options, reader: Reader, example: str) -> str | None:
    """Return where to install, and report a missing option (a wrong value is already reported)."""
    if not options.flag("into"):
        hint = f"as in: {statement.keyword}(into={example})"
        reader.error(statement.span, f"{statement.keyword} needs the option 'into'", hint)
    return options.text("into")


def _texts(statement: StatementSyntax, reader: Reader, shape: str) -> list[tuple[Word, str]]:
    if not reader.words(statement):
        reader.error(statement.span, f"{statement.keyword} names no package", f"as in: {shape}")
    return reader.texts(statement)

"""The statements of a stage, from syntax to model: the table of all, and those that describe the image.

Each function reads one statement of the language.
"""

from __future__ import annotations

from envbuild.language import model, values
from envbuild.language.command_statements import (
    read_entry,
    read_health,
    read_run,
    read_shell,
    read_start,
    read_test,
)
from envbuild.language.file_statements import read_copy, read_fetch, read_file, read_render
from envbuild.language.foreign_forms import single_quotes
from envbuild.language.keywords import ADDUSER, FACTS
from envbuild.language.options import Options
from envbuild.language.package_statements import read_apt, read_cargo, read_go, read_maven, read_npm, read_pip
from envbuild.language.quoting import Parts
from envbuild.language.reader import Reader
from envbuild.language.syntax import StatementSyntax, Word
from envbuild.text.suggestion import did_you_mean


def read_statement(statement: StatementSyntax, options: Options, reader: Reader) -> model.Statement | None:
    """Return the model of a statement in a stage; report errors and return None if it is wrong."""
    return _READERS[statement.keyword](statement, options, reader)


def _adduser(statement: StatementSyntax, options: Options, reader: Reader) -> model.AddUser | None:
    if not reader.some(statement, "adduser NAME uid=1000 home=/srv/app"):
        return None
    name: str | None = None
    given: dict[str, str] = {}
    for index, (word, text) in enumerate(reader.texts(statement)):
        key, equals, value = text.partition("=")
        if index == 0 and not equals:
            name = reader.checked(values.user, text, word.span)
        elif index == 0:
            reader.error(word.span, "adduser needs a name first", "as in: adduser NAME uid=1000")
        elif not equals or key not in ADDUSER:
            hint = did_you_mean(key, ADDUSER, f"it takes: {', '.join(f'{key}=' for key in ADDUSER)}")
            reader.error(word.span, f"unknown word '{text}' for adduser", hint)
        elif key in given:
            reader.error(word.span, f"'{key}' is given twice", "give it once")
        else:
            check = {"uid": values.identity, "gid": values.identity, "groups": _groups}.get(key, values.absolute)
            if reader.checked(check, value, word.span) is not None:
                given[key] = value
    if name is None:
        return None
    uid, gid = (int(given[key]) if key in given else None for key in ("uid", "gid"))
    groups = tuple(given["groups"].split(",")) if "groups" in given else ()
    start = reader.start_of(statement)
    return model.AddUser(*start, name, uid, gid, given.get("home"), given.get("shell"), groups)


def _groups(text: str) -> tuple[str, ...]:
    return tuple(values.user(group) for group in text.split(","))


def _env(statement: StatementSyntax, options: Options, reader: Reader) -> model.Env | None:
    if not reader.some(statement, "env NAME=VALUE"):
        return None
    words = reader.words(statement)
    if _single_quotes(statement, words, reader):
        return None
    pairs = []
    for word in words:
        name, value = _split(word)
        if name is None:
            following = words[1].literal() if word is words[0] and len(words) == 2 else None
            form = f'env {word.literal()}="{following}"' if following else 'env APP_ENV=production, or NAME=""'
            reader.error(word.span, "env needs NAME=VALUE", f"as in: {form}")
            if following:
                return None  # `env NAME VALUE`, as a Dockerfile has it: one mistake
        elif reader.checked(values.variable, name, word.span) is not None:
            pairs.append((name, reader.expand_environment(value)))
    return model.Env(*reader.start_of(statement), tuple(pairs))


def _single_quotes(statement: StatementSyntax, words: list[Word], reader: Reader) -> bool:
    """Report a value in single quotes; tell whether there is one."""
    quoted = single_quotes(words, reader.tree.lines)
    if quoted is not None:
        word, form = quoted
        reader.error(word.span, "single quotes have no meaning in a recipe", f"as in: {statement.keyword} {form}")
    return quoted is not None


def _split(word: Word) -> tuple[str | None, Parts]:
    """Return the name and the parts of the value of a word NAME=VALUE; None as the name if there is no `=`."""
    first = word.parts[0] if word.parts else ""
    if not isinstance(first, str) or "=" not in first:
        return None, word.parts
    name, _, rest = first.partition("=")
    return name, ((rest, *word.parts[1:]) if rest else word.parts[1:])


def _label(statement: StatementSyntax, options: Options, reader: Reader) -> model.Label | None:
    if not reader.some(statement, "label NAME=VALUE"):
        return None
    if _single_quotes(statement, reader.words(statement), reader):
        return None
    pairs = []
    for word, text in reader.texts(statement):
        name, equals, value = text.partition("=")
        if not equals:
            reader.error(word.span, "label needs NAME=VALUE", "as in: label version=1.0")
        elif reader.checked(values.label, name, word.span) is not None:
            pairs.append((name, value))
    return model.Label(*reader.start_of(statement), tuple(pairs))


def _workdir(statement: StatementSyntax, options: Options, reader: Reader) -> model.WorkDir | None:
    argument = reader.only(statement, "workdir /srv/app")
    directory = argument and reader.checked(values.absolute, argument[1], argument[0].span)
    return model.WorkDir(*reader.start_of(statement), directory) if directory else None


def _user(statement: StatementSyntax, options: Options, reader: Reader) -> model.User | None:
    argument = reader.only(statement, "user NAME or user NAME:GROUP")
    name = argument and reader.checked(values.owner, argument[1], argument[0].span)
    return model.User(*reader.start_of(statement), name) if name else None


def _stop(statement: StatementSyntax, options: Options, reader: Reader) -> model.Stop | None:
    argument = reader.only(statement, "stop TERM")
    signal = argument and reader.checked(values.signal, argument[1], argument[0].span)
    return model.Stop(*reader.start_of(statement), signal) if signal else None


def _discard(statement: StatementSyntax, options: Options, reader: Reader) -> model.Discard | None:
    if not reader.some(statement, "discard /var/log/**"):
        return None
    patterns = [text for word, text in reader.texts(statement) if reader.checked(values.text, text, word.span)]
    return model.Discard(*reader.start_of(statement), tuple(patterns))


def _expose(statement: StatementSyntax, options: Options, reader: Reader) -> model.Expose | None:
    if not reader.some(statement, "expose 8080"):
        return None
    ranges = [reader.checked(values.ports, text, word.span) for word, text in reader.texts(statement)]
    return model.Expose(*reader.start_of(statement), tuple(port for ports in ranges for port in ports or ()))


def _volume(statement: StatementSyntax, options: Options, reader: Reader) -> model.Volume | None:
    if not reader.some(statement, "volume /srv/data"):
        return None
    directories = [text for word, text in reader.texts(statement) if reader.checked(values.absolute, text, word.span)]
    return model.Volume(*reader.start_of(statement), tuple(directories))


def _unset(statement: StatementSyntax, options: Options, reader: Reader) -> model.Unset | None:
    if not reader.some(statement, "unset start env:NAME"):
        return None
    names = []
    for word, text in reader.texts(statement):
        kind, colon, member = text.partition(":")
        if kind not in FACTS or (colon and kind not in _MEMBERS):
            hint = did_you_mean(kind, FACTS, f"it can drop: {', '.join(FACTS)}, env:NAME, label:NAME")
            if kind in FACTS:
                hint = f"write just {kind}"
            reader.error(word.span, f"unset can't drop '{text}'", hint)
        elif not colon:
            names.append(text)
        else:
            checked = reader.checked(_MEMBERS[kind], member, word.span)
            names.append(f"{kind}:{checked}")
    return model.Unset(*reader.start_of(statement), tuple(names))


_MEMBERS = {"env": values.variable, "label": values.label, "expose": values.port, "volume": values.absolute}

_READERS = {
    "apt": read_apt,
    "pip": read_pip,
    "npm": read_npm,
    "cargo": read_cargo,
    "go": read_go,
    "maven": read_maven,
    "copy": read_copy,
    "render": read_render,
    "file": read_file,
    "fetch": read_fetch,
    "adduser": _adduser,
    "run": read_run,
    "shell": read_shell,
    "test": read_test,
    "health": read_health,
    "entry": read_entry,
    "start": read_start,
    "env": _env,
    "label": _label,
    "workdir": _workdir,
    "user": _user,
    "stop": _stop,
    "discard": _discard,
    "expose": _expose,
    "volume": _volume,
    "unset": _unset,
}

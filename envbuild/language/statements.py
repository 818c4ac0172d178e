"""The statements of a stage, from syntax to model. Each function reads one statement of the language."""

from __future__ import annotations

import re

from envbuild.language import model, values
from envbuild.language.foreign_forms import command_of_list, json_list, single_quotes
from envbuild.language.keywords import ADDUSER, FACTS
from envbuild.language.options import Options
from envbuild.language.package_statements import read_apt, read_npm, read_pip
from envbuild.language.quoting import Parts
from envbuild.language.reader import Reader
from envbuild.language.syntax import StatementSyntax, TextLine, Word
from envbuild.text.suggestion import did_you_mean

_IMAGE = re.compile(
    r"(image:)?[A-Za-z0-9][A-Za-z0-9._/-]*(:[A-Za-z0-9._-]+)?(@\S+)?|sha256:[0-9a-f]{6,64}|image:git:.+:.+|recipe:.+"
)


_BASES_ONLY = ("oci:", "tar:", "registry:")
"""Bases that a stage may start from but copy may not name: they need a stage."""


def read_statement(statement: StatementSyntax, options: Options, reader: Reader) -> model.Statement | None:
    """Return the model of a statement in a stage; report errors and return None if it is wrong."""
    return _READERS[statement.keyword](statement, options, reader)


def texts(statement: StatementSyntax, reader: Reader) -> list[tuple[Word, str]]:
    """Return the statement's words with their text, without those that use unknown parameters."""
    pairs = [(word, reader.expand(word)) for word in reader.words(statement)]
    return [(word, text) for word, text in pairs if text is not None]


def some(statement: StatementSyntax, reader: Reader, shape: str) -> bool:
    """Return whether there is at least one word; else report an error that shows the statement's form."""
    if reader.words(statement):
        return True
    reader.error(statement.span, f"{statement.keyword} needs more than its keyword", f"as in: {shape}")
    return False


def only(statement: StatementSyntax, reader: Reader, shape: str) -> tuple[Word, str] | None:
    """Return the only word of the statement; report an error and return None if there are more or none."""
    words = reader.words(statement)
    if not some(statement, reader, shape):
        return None
    if len(words) > 1:
        reader.error(words[1].span, f"{statement.keyword} takes one word", f"as in: {shape}")
        return None
    text = reader.expand(words[0])
    return None if text is None else (words[0], text)


def _start_of(statement: StatementSyntax, reader: Reader) -> tuple[model.Place, str, str]:
    return reader.place(statement), reader.context, statement.source


def _copy(statement: StatementSyntax, options: Options, reader: Reader) -> model.Copy | None:
    destination = _destination(statement, reader)
    sources = [text for word, text in texts(statement, reader) if reader.checked(values.path, text, word.span)]
    origin = options.text("from")
    if origin is not None and (not _IMAGE.fullmatch(origin) or origin.startswith(_BASES_ONLY)):
        span = next(option.span for option in statement.options if option.name == "from")
        hint = "copy can take from a stage, NAME:TAG, image:NAME or recipe:FILE"
        reader.error(span, f"'{origin}' is not a stage or an image", hint)
    if destination is None:
        return None
    parents = options.flag("parents")
    for word, text in texts(statement, reader) if parents else ():
        if ".." in text.split("/"):
            hint = "name a path below the context, or say where files come from at the top: context .."
            reader.error(word.span, f"copy(parents) can't keep the path '{text}'", hint)
    place, folder, source = _start_of(statement, reader)
    return model.Copy(
        place,
        folder if origin is None else reader.folder,
        source,
        tuple(sources),
        destination,
        origin,
        options.text("owner"),
        options.mode(),
        options.texts("exclude"),
        options.texts("include"),
        options.flag("contents"),
        parents,
        options.flag("optional"),
    )


def _destination(statement: StatementSyntax, reader: Reader) -> str | None:
    assert statement.destination is not None
    text = reader.expand(statement.destination)
    return None if text is None else reader.checked(values.path, text, statement.destination.span)


def _render(statement: StatementSyntax, options: Options, reader: Reader) -> model.Render | None:
    source, destination = only(statement, reader, "render TEMPLATE -> DESTINATION"), _destination(statement, reader)
    if source is None or destination is None:
        return None
    owner, mode = options.text("owner"), options.mode()
    for name, _ in reader.scope.parameters():
        reader.scope.use(name, reader.where(statement.span))
    start = _start_of(statement, reader)
    return model.Render(*start, source[1], destination, reader.scope.parameters(), owner, mode)


def _file(statement: StatementSyntax, options: Options, reader: Reader) -> model.File | None:
    path = only(statement, reader, "file PATH, and an indented block")
    lines = [line for line in statement.block if isinstance(line, TextLine)]
    if not lines:
        hint = "indent the lines of the file below it"
        reader.error(statement.span, "file needs a block with the file's content", hint)
    content = [reader.expand_text(line.text, line.span) for line in lines]
    if path is None or reader.checked(values.path, path[1], path[0].span) is None:
        return None
    if path[1].endswith("/"):
        reader.error(path[0].span, f"'{path[1]}' is a directory", "file needs the path of a file")
    text = "".join(f"{line}\n" for line in content)
    return model.File(*_start_of(statement, reader), path[1], text, options.text("owner"), options.mode())


def _fetch(statement: StatementSyntax, options: Options, reader: Reader) -> model.Fetch | None:
    source, destination = only(statement, reader, "fetch URL -> DESTINATION"), _destination(statement, reader)
    if source is None or destination is None:
        return None
    url = reader.checked(values.url, source[1], source[0].span)
    if url is None:
        return None
    return model.Fetch(
        *_start_of(statement, reader),
        url,
        destination,
        sha256=options.text("sha256"),
        owner=options.text("owner"),
        mode=options.mode(),
        unpack=options.flag("unpack"),
    )


def _adduser(statement: StatementSyntax, options: Options, reader: Reader) -> model.AddUser | None:
    if not some(statement, reader, "adduser NAME uid=1000 home=/srv/app"):
        return None
    name: str | None = None
    given: dict[str, str] = {}
    for index, (word, text) in enumerate(texts(statement, reader)):
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
    start = _start_of(statement, reader)
    return model.AddUser(*start, name, uid, gid, given.get("home"), given.get("shell"), groups)


def _groups(text: str) -> tuple[str, ...]:
    return tuple(values.user(group) for group in text.split(","))


def _command(statement: StatementSyntax, reader: Reader) -> model.Command | None:
    command = reader.text(statement)
    if command is None:
        hint = f"as in: {statement.keyword} COMMAND, or an indented block"
        reader.error(statement.span, f"{statement.keyword} needs a command", hint)
        return None
    first = statement.text
    meant = command_of_list(statement.keyword, command.text) if first is not None and not statement.block else None
    if first is not None and meant is not None:
        message = f"{statement.keyword} takes a command for the shell"
        reader.error(first.span, message, f"as in: {statement.keyword} {meant}")
        return None
    return command


def _run_options(options: Options) -> model.RunOptions:
    return model.RunOptions(
        network=options.network(),
        caches=options.caches(),
        secrets=options.texts("secret"),
        mounts=options.mounts(),
        user=options.text("user"),
        workdir=options.text("workdir"),
        timeout=options.seconds("timeout"),
        shell=options.text("shell"),
    )


def _run(statement: StatementSyntax, options: Options, reader: Reader) -> model.Run | None:
    command = _command(statement, reader)
    return model.Run(*_start_of(statement, reader), command, _run_options(options)) if command else None


def _test(statement: StatementSyntax, options: Options, reader: Reader) -> model.Test | None:
    command = _command(statement, reader)
    return model.Test(*_start_of(statement, reader), command, _run_options(options)) if command else None


def _health(statement: StatementSyntax, options: Options, reader: Reader) -> model.Health | model.NoHealth | None:
    command = _command(statement, reader)
    if command is None:
        return None
    times = {name: options.seconds(name.replace("_", "-")) for name in _HEALTH_TIMES}
    given = {
        name: value for name, value in (*times.items(), ("retries", options.whole("retries"))) if value is not None
    }
    if command.text.strip() != "none":
        return model.Health(*_start_of(statement, reader), command).replace(**given)
    if given:
        reader.error(statement.span, "a check that is none has no options", "write: health none")
    return model.NoHealth(*_start_of(statement, reader))


def _entry(statement: StatementSyntax, options: Options, reader: Reader) -> model.Entry | None:
    text = statement.text
    if text is None or not text.text.startswith("["):
        span = statement.span if text is None else text.span
        reader.error(span, "entry needs a list: nothing could follow a command for the shell", _LISTS["entry"])
        return None
    listed = _list(text, reader, "entry")
    if isinstance(listed, str):
        reader.error(text.span, "the list is not a JSON array on one line", _LISTS["entry"])
        return None
    return model.Entry(*_start_of(statement, reader), listed) if listed else None


def _start(statement: StatementSyntax, options: Options, reader: Reader) -> model.Start | None:
    text = statement.text
    init = options.text("init") != values.NO_INIT
    if text is not None and not statement.block and text.text.startswith("["):
        if (meant := json_list(text.text.strip())) is not None:
            reader.error(text.span, "a list is a JSON array, with double quotes", f"as in: start {meant}")
            return None
        listed = _list(text, reader)
        if not isinstance(listed, str):
            return model.Start(*_start_of(statement, reader), argv=listed, init=init) if listed else None
    command = _command(statement, reader)
    return model.Start(*_start_of(statement, reader), command=command, init=init) if command else None


def _list(text: TextLine, reader: Reader, keyword: str = "start") -> tuple[str, ...] | str | None:
    """Return the words of a JSON array; the text itself if it is a command, such as `[ -f x ] && y`."""
    import json  # most recipes have no such list

    try:
        items, end = json.JSONDecoder().raw_decode(text.text)
    except ValueError as error:
        if not re.match(r'\["|\[ *"[^"]*" *,', text.text):
            return text.text
        column = error.colno if isinstance(error, json.JSONDecodeError) else 1
        span = text.span.replace(column=text.span.column + column - 1, length=1)
        reader.error(span, "the list is not a JSON array on one line", _LISTS[keyword])
        return None
    rest = text.text[end:].strip(" \t")
    if rest and not re.match(r"[ \t]+#", text.text[end:]):
        span = text.span.replace(column=text.span.column + end, length=len(text.text) - end)
        reader.error(span, "there is text after the list", "a command for the shell is not a list")
        return None
    if not items or not all(isinstance(item, str) and "\0" not in item for item in items):
        message = "the list is empty" if not items else "the list has an item that is not a string"
        reader.error(text.span, message, _LISTS[keyword])
        return None
    words = [reader.expand_text(item, text.span.replace(length=1)) for item in items]
    return tuple(word for word in words if word is not None)


def _env(statement: StatementSyntax, options: Options, reader: Reader) -> model.Env | None:
    if not some(statement, reader, "env NAME=VALUE"):
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
    return model.Env(*_start_of(statement, reader), tuple(pairs))


def _single_quotes(statement: StatementSyntax, words: list[Word], reader: Reader) -> bool:
    """Report a value in single quotes; tell whether there is one."""
    found = single_quotes(words, reader.tree.lines)
    if found is not None:
        word, form = found
        reader.error(word.span, "single quotes have no meaning in a recipe", f"as in: {statement.keyword} {form}")
    return found is not None


def _split(word: Word) -> tuple[str | None, Parts]:
    """Return the name and the parts of the value of a word NAME=VALUE; None as the name if there is no `=`."""
    first = word.parts[0] if word.parts else ""
    if not isinstance(first, str) or "=" not in first:
        return None, word.parts
    name, _, rest = first.partition("=")
    return name, ((rest, *word.parts[1:]) if rest else word.parts[1:])


def _label(statement: StatementSyntax, options: Options, reader: Reader) -> model.Label | None:
    if not some(statement, reader, "label NAME=VALUE"):
        return None
    if _single_quotes(statement, reader.words(statement), reader):
        return None
    pairs = []
    for word, text in texts(statement, reader):
        name, equals, value = text.partition("=")
        if not equals:
            reader.error(word.span, "label needs NAME=VALUE", "as in: label version=1.0")
        elif reader.checked(values.label, name, word.span) is not None:
            pairs.append((name, value))
    return model.Label(*_start_of(statement, reader), tuple(pairs))


def _workdir(statement: StatementSyntax, options: Options, reader: Reader) -> model.WorkDir | None:
    argument = only(statement, reader, "workdir /srv/app")
    directory = argument and reader.checked(values.absolute, argument[1], argument[0].span)
    return model.WorkDir(*_start_of(statement, reader), directory) if directory else None


def _user(statement: StatementSyntax, options: Options, reader: Reader) -> model.User | None:
    argument = only(statement, reader, "user NAME or user NAME:GROUP")
    name = argument and reader.checked(values.owner, argument[1], argument[0].span)
    return model.User(*_start_of(statement, reader), name) if name else None


def _shell(statement: StatementSyntax, options: Options, reader: Reader) -> model.Shell | None:
    shape = "shell /bin/bash -eo pipefail"
    if not some(statement, reader, shape):
        return None
    words = texts(statement, reader)
    argv = model.shell_words(" ".join(text for _, text in words))
    if words and not argv:
        reader.error(words[0][0].span, "shell needs a program", f"as in: {shape}")
    return model.Shell(*_start_of(statement, reader), argv) if argv else None


def _stop(statement: StatementSyntax, options: Options, reader: Reader) -> model.Stop | None:
    argument = only(statement, reader, "stop TERM")
    signal = argument and reader.checked(values.signal, argument[1], argument[0].span)
    return model.Stop(*_start_of(statement, reader), signal) if signal else None


def _discard(statement: StatementSyntax, options: Options, reader: Reader) -> model.Discard | None:
    if not some(statement, reader, "discard /var/log/**"):
        return None
    patterns = [text for word, text in texts(statement, reader) if reader.checked(values.text, text, word.span)]
    return model.Discard(*_start_of(statement, reader), tuple(patterns))


def _expose(statement: StatementSyntax, options: Options, reader: Reader) -> model.Expose | None:
    if not some(statement, reader, "expose 8080"):
        return None
    ranges = [reader.checked(values.ports, text, word.span) for word, text in texts(statement, reader)]
    return model.Expose(*_start_of(statement, reader), tuple(port for ports in ranges for port in ports or ()))


def _volume(statement: StatementSyntax, options: Options, reader: Reader) -> model.Volume | None:
    if not some(statement, reader, "volume /srv/data"):
        return None
    directories = [text for word, text in texts(statement, reader) if reader.checked(values.absolute, text, word.span)]
    return model.Volume(*_start_of(statement, reader), tuple(directories))


def _unset(statement: StatementSyntax, options: Options, reader: Reader) -> model.Unset | None:
    if not some(statement, reader, "unset start env:NAME"):
        return None
    names = []
    for word, text in texts(statement, reader):
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
    return model.Unset(*_start_of(statement, reader), tuple(names))


_HEALTH_TIMES = ("every", "timeout", "start_period", "start_interval")
_LISTS = {"entry": 'as in: entry ["docker-entrypoint.sh"]', "start": 'as in: start ["python", "-m", "app"]'}
_MEMBERS = {"env": values.variable, "label": values.label, "expose": values.port, "volume": values.absolute}

_READERS = {
    "apt": read_apt,
    "pip": read_pip,
    "npm": read_npm,
    "copy": _copy,
    "render": _render,
    "file": _file,
    "fetch": _fetch,
    "adduser": _adduser,
    "run": _run,
    "shell": _shell,
    "test": _test,
    "health": _health,
    "entry": _entry,
    "start": _start,
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

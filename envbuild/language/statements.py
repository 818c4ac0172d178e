"""From a statement's syntax to its place in the model. Each function is one statement of the language."""

from __future__ import annotations

import json
import re

from envbuild.language import model, values
from envbuild.language.keywords import ADDUSER, FACTS
from envbuild.language.options import Options
from envbuild.language.packages import read_apt, read_npm, read_pip
from envbuild.language.quoting import Parts
from envbuild.language.reader import Context
from envbuild.language.syntax import TextLine, Word, Written
from envbuild.text.suggestion import did_you_mean

_IMAGE = re.compile(
    r"(image:)?[A-Za-z0-9][A-Za-z0-9._/-]*(:[A-Za-z0-9._-]+)?(@\S+)?|sha256:[0-9a-f]{6,64}|image:git:.+:.+|recipe:.+"
)


_BASES_ONLY = ("oci:", "tar:", "registry:")
"""What a stage may start from and copy may not take from: it goes through a stage."""


def read_statement(statement: Written, options: Options, context: Context) -> model.Statement | None:
    """The model of a statement that stands in a stage; None, and errors, if it has none."""
    return _READERS[statement.keyword](statement, options, context)


def texts(statement: Written, context: Context) -> list[tuple[Word, str]]:
    """The statement's words with their text; those with unknown parameters are left out."""
    pairs = [(word, context.expand(word)) for word in context.words(statement)]
    return [(word, text) for word, text in pairs if text is not None]


def some(statement: Written, context: Context, shape: str) -> bool:
    """Whether there is at least one word; else an error that shows how the statement looks."""
    if context.words(statement):
        return True
    context.error(statement.span, f"{statement.keyword} needs more than its keyword", f"as in: {shape}")
    return False


def only(statement: Written, context: Context, shape: str) -> tuple[Word, str] | None:
    """The one word that the statement takes."""
    words = context.words(statement)
    if not some(statement, context, shape):
        return None
    if len(words) > 1:
        context.error(words[1].span, f"{statement.keyword} takes one word", f"as in: {shape}")
        return None
    text = context.expand(words[0])
    return None if text is None else (words[0], text)


def _start_of(statement: Written, context: Context) -> tuple[model.Place, str, str]:
    return context.place(statement), context.folder, statement.source


def _copy(statement: Written, options: Options, context: Context) -> model.Copy | None:
    destination = _destination(statement, context)
    sources = [text for word, text in texts(statement, context) if context.checked(values.path, text, word.span)]
    origin = options.text("from")
    if origin is not None and (not _IMAGE.fullmatch(origin) or origin.startswith(_BASES_ONLY)):
        span = next(option.span for option in statement.options if option.name == "from")
        hint = "copy takes from a stage, NAME:TAG, image:NAME or recipe:FILE"
        context.error(span, f"'{origin}' is neither a stage nor an image", hint)
    if destination is None:
        return None
    owner, mode = options.text("owner"), options.whole("mode")
    start = _start_of(statement, context)
    return model.Copy(*start, tuple(sources), destination, origin, owner, mode, options.texts("exclude"))


def _destination(statement: Written, context: Context) -> str | None:
    assert statement.destination is not None
    text = context.expand(statement.destination)
    return None if text is None else context.checked(values.path, text, statement.destination.span)


def _render(statement: Written, options: Options, context: Context) -> model.Render | None:
    source, destination = only(statement, context, "render TEMPLATE -> DESTINATION"), _destination(statement, context)
    if source is None or destination is None:
        return None
    owner, mode = options.text("owner"), options.whole("mode")
    for name, _ in context.scope.parameters():
        context.scope.use(name, context.where(statement.span))
    start = _start_of(statement, context)
    return model.Render(*start, source[1], destination, context.scope.parameters(), owner, mode)


def _file(statement: Written, options: Options, context: Context) -> model.File | None:
    path = only(statement, context, "file PATH, and an indented block")
    lines = [line for line in statement.block if isinstance(line, TextLine)]
    if not lines:
        hint = "the lines of the file are indented below it"
        context.error(statement.span, "file needs a block with the file's content", hint)
    content = [context.expand_text(line.text, line.span) for line in lines]
    if path is None or context.checked(values.path, path[1], path[0].span) is None:
        return None
    if path[1].endswith("/"):
        context.error(path[0].span, f"'{path[1]}' is a directory", "file needs the path of a file")
    text = "".join(f"{line}\n" for line in content)
    return model.File(*_start_of(statement, context), path[1], text, options.text("owner"), options.whole("mode"))


def _fetch(statement: Written, options: Options, context: Context) -> model.Fetch | None:
    source, destination = only(statement, context, "fetch URL -> DESTINATION"), _destination(statement, context)
    if source is None or destination is None:
        return None
    url = context.checked(values.url, source[1], source[0].span)
    if url is None:
        return None
    return model.Fetch(
        *_start_of(statement, context),
        url,
        destination,
        sha256=options.text("sha256"),
        owner=options.text("owner"),
        mode=options.whole("mode"),
        unpack=options.flag("unpack"),
    )


def _adduser(statement: Written, options: Options, context: Context) -> model.AddUser | None:
    if not some(statement, context, "adduser NAME uid=1000 home=/srv/app"):
        return None
    name: str | None = None
    given: dict[str, str] = {}
    for index, (word, text) in enumerate(texts(statement, context)):
        key, equals, value = text.partition("=")
        if index == 0 and not equals:
            name = context.checked(values.user, text, word.span)
        elif index == 0:
            context.error(word.span, "adduser needs a name first", "as in: adduser NAME uid=1000")
        elif not equals or key not in ADDUSER:
            hint = did_you_mean(key, ADDUSER, f"after the name come: {', '.join(f'{key}=' for key in ADDUSER)}")
            context.error(word.span, f"unknown word '{text}' for adduser", hint)
        elif key in given:
            context.error(word.span, f"'{key}' is given twice", "once is enough")
        else:
            check = {"uid": values.identity, "gid": values.identity, "groups": _groups}.get(key, values.absolute)
            if context.checked(check, value, word.span) is not None:
                given[key] = value
    if name is None:
        return None
    uid, gid = (int(given[key]) if key in given else None for key in ("uid", "gid"))
    groups = tuple(given["groups"].split(",")) if "groups" in given else ()
    start = _start_of(statement, context)
    return model.AddUser(*start, name, uid, gid, given.get("home"), given.get("shell"), groups)


def _groups(text: str) -> tuple[str, ...]:
    return tuple(values.user(group) for group in text.split(","))


def _command(statement: Written, context: Context) -> model.Command | None:
    command = context.text(statement)
    if command is None:
        hint = f"as in: {statement.keyword} COMMAND, or an indented block"
        context.error(statement.span, f"{statement.keyword} needs a command", hint)
    return command


def _run_options(options: Options) -> model.RunOptions:
    return model.RunOptions(
        network=options.flag("network"),
        caches=options.texts("cache"),
        secrets=options.texts("secret"),
        mounts=options.mounts(),
        user=options.text("user"),
        workdir=options.text("workdir"),
        timeout=options.seconds("timeout"),
        shell=options.text("shell"),
    )


def _run(statement: Written, options: Options, context: Context) -> model.Run | None:
    command = _command(statement, context)
    return model.Run(*_start_of(statement, context), command, _run_options(options)) if command else None


def _test(statement: Written, options: Options, context: Context) -> model.Test | None:
    command = _command(statement, context)
    return model.Test(*_start_of(statement, context), command, _run_options(options)) if command else None


def _health(statement: Written, options: Options, context: Context) -> model.Health | None:
    command = _command(statement, context)
    if command is None:
        return None
    made = model.Health(*_start_of(statement, context), command)
    every, timeout, retries = options.seconds("every"), options.seconds("timeout"), options.whole("retries")
    return made.replace(
        every=made.every if every is None else every,
        timeout=made.timeout if timeout is None else timeout,
        retries=made.retries if retries is None else retries,
    )


def _start(statement: Written, options: Options, context: Context) -> model.Start | None:
    text = statement.text
    if text is not None and not statement.block and text.text.startswith("["):
        listed = _list(text, context)
        if not isinstance(listed, str):
            return model.Start(*_start_of(statement, context), argv=listed) if listed else None
    command = _command(statement, context)
    return model.Start(*_start_of(statement, context), command=command) if command else None


def _list(text: TextLine, context: Context) -> tuple[str, ...] | str | None:
    """The words of a JSON array; the text itself if it is a command, such as `[ -f x ] && y`."""
    try:
        items, end = json.JSONDecoder().raw_decode(text.text)
    except ValueError as error:
        if not re.match(r'\["|\[ *"[^"]*" *,', text.text):
            return text.text
        column = error.colno if isinstance(error, json.JSONDecodeError) else 1
        span = text.span.replace(column=text.span.column + column - 1, length=1)
        context.error(span, "the list is not a JSON array on one line", 'as in: start ["python", "-m", "app"]')
        return None
    rest = text.text[end:].strip(" \t")
    if rest and not re.match(r"[ \t]+#", text.text[end:]):
        span = text.span.replace(column=text.span.column + end, length=len(text.text) - end)
        context.error(span, "a list stands alone on its line", "a command for the shell is written without a list")
        return None
    if not items or not all(isinstance(item, str) and "\0" not in item for item in items):
        message = "the list needs a program" if not items else "the list holds something that is no text"
        context.error(text.span, message, 'as in: start ["python", "-m", "app"]')
        return None
    words = [context.expand_text(item, text.span.replace(length=1)) for item in items]
    return tuple(word for word in words if word is not None)


def _env(statement: Written, options: Options, context: Context) -> model.Env | None:
    if not some(statement, context, "env NAME=VALUE"):
        return None
    pairs = []
    for word in context.words(statement):
        name, value = _split(word)
        if name is None:
            context.error(word.span, "env needs NAME=VALUE", 'as in: env APP_ENV=production, or NAME=""')
        elif context.checked(values.variable, name, word.span) is not None:
            pairs.append((name, context.expand_environment(value)))
    return model.Env(*_start_of(statement, context), tuple(pairs))


def _split(word: Word) -> tuple[str | None, Parts]:
    """A word NAME=VALUE as its name and the parts of its value; None for a name without `=`."""
    first = word.parts[0] if word.parts else ""
    if not isinstance(first, str) or "=" not in first:
        return None, word.parts
    name, _, rest = first.partition("=")
    return name, ((rest, *word.parts[1:]) if rest else word.parts[1:])


def _label(statement: Written, options: Options, context: Context) -> model.Label | None:
    if not some(statement, context, "label NAME=VALUE"):
        return None
    pairs = []
    for word, text in texts(statement, context):
        name, equals, value = text.partition("=")
        if not equals:
            context.error(word.span, "label needs NAME=VALUE", "as in: label version=1.0")
        elif context.checked(values.label, name, word.span) is not None:
            pairs.append((name, value))
    return model.Label(*_start_of(statement, context), tuple(pairs))


def _workdir(statement: Written, options: Options, context: Context) -> model.WorkDir | None:
    one = only(statement, context, "workdir /srv/app")
    directory = one and context.checked(values.absolute, one[1], one[0].span)
    return model.WorkDir(*_start_of(statement, context), directory) if directory else None


def _user(statement: Written, options: Options, context: Context) -> model.User | None:
    one = only(statement, context, "user NAME or user NAME:GROUP")
    name = one and context.checked(values.owner, one[1], one[0].span)
    return model.User(*_start_of(statement, context), name) if name else None


def _stop(statement: Written, options: Options, context: Context) -> model.Stop | None:
    one = only(statement, context, "stop TERM")
    signal = one and context.checked(values.signal, one[1], one[0].span)
    return model.Stop(*_start_of(statement, context), signal) if signal else None


def _discard(statement: Written, options: Options, context: Context) -> model.Discard | None:
    if not some(statement, context, "discard /var/log/**"):
        return None
    patterns = [text for word, text in texts(statement, context) if context.checked(values.text, text, word.span)]
    return model.Discard(*_start_of(statement, context), tuple(patterns))


def _expose(statement: Written, options: Options, context: Context) -> model.Expose | None:
    if not some(statement, context, "expose 8080"):
        return None
    ports = [context.checked(values.port, text, word.span) for word, text in texts(statement, context)]
    return model.Expose(*_start_of(statement, context), tuple(port for port in ports if port))


def _volume(statement: Written, options: Options, context: Context) -> model.Volume | None:
    if not some(statement, context, "volume /srv/data"):
        return None
    found = [text for word, text in texts(statement, context) if context.checked(values.absolute, text, word.span)]
    return model.Volume(*_start_of(statement, context), tuple(found))


def _unset(statement: Written, options: Options, context: Context) -> model.Unset | None:
    if not some(statement, context, "unset start env:NAME"):
        return None
    names = []
    for word, text in texts(statement, context):
        kind, colon, member = text.partition(":")
        if kind not in FACTS or (colon and kind not in _MEMBERS):
            hint = did_you_mean(kind, FACTS, f"it drops: {', '.join(FACTS)}, env:NAME, label:NAME")
            if kind in FACTS:
                hint = f"write just {kind}"
            context.error(word.span, f"unset can't drop '{text}'", hint)
        elif not colon:
            names.append(text)
        else:
            checked = context.checked(_MEMBERS[kind], member, word.span)
            names.append(f"{kind}:{checked}")
    return model.Unset(*_start_of(statement, context), tuple(names))


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
    "test": _test,
    "health": _health,
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

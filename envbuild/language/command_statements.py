"""The statements that have a command: run, test, health, entry, start; and shell, which says what runs them."""

from __future__ import annotations

from envbuild.language import model, values
from envbuild.language.foreign_forms import command_of_list, json_list
from envbuild.language.options import Options
from envbuild.language.reader import Reader
from envbuild.language.statement_parts import Command, RunOptions, shell_words
from envbuild.language.syntax import StatementSyntax, TextLine
from envbuild.text.instruction_forms import form_of
from envbuild.text.pattern import Pattern

_HEALTH_TIMES = ("every", "timeout", "start_period", "start_interval")
_LIST = Pattern(r'\["|\[ *"[^"]*" *,')
"""How a JSON array begins that a command of the shell would not."""
_FLAGS = ("--device=", "--mount=", "--network=", "--security=")
"""What a Dockerfile's `RUN` begins with; no shell takes it."""
_REMARK = Pattern(r"[ \t]+#")
_LISTS = {"entry": 'as in: entry ["docker-entrypoint.sh"]', "start": 'as in: start ["python", "-m", "app"]'}


def _command(statement: StatementSyntax, reader: Reader) -> Command | None:
    command = reader.text(statement)
    if command is None:
        hint = f"as in: {statement.keyword} COMMAND, or an indented block"
        reader.error(statement.span, f"{statement.keyword} needs a command", hint)
        return None
    first = statement.text
    if first is not None and statement.keyword == "run" and command.text.startswith(_FLAGS):
        form = form_of("run", command.text) or "run(OPTION) COMMAND"
        reader.error(first.span, "options of run stand in parentheses", f"as in: {form}")
        return None
    meant = command_of_list(statement.keyword, command.text) if first is not None and not statement.block else None
    if first is not None and meant is not None:
        message = f"{statement.keyword} takes a command for the shell"
        reader.error(first.span, message, f"as in: {statement.keyword} {meant}")
        return None
    return command


def _run_options(options: Options) -> RunOptions:
    return RunOptions(
        network=options.network(),
        caches=options.caches(),
        secrets=options.texts("secret"),
        mounts=options.mounts(),
        user=options.text("user"),
        workdir=options.text("workdir"),
        timeout=options.seconds("timeout"),
        shell=options.text("shell"),
        tmpfs=options.tmpfs(),
        ssh=options.text("ssh") or "",
        devices=options.devices(),
    )


def read_run(statement: StatementSyntax, options: Options, reader: Reader) -> model.Run | None:
    command = _command(statement, reader)
    return model.Run(*reader.start_of(statement), command, _run_options(options)) if command else None


def read_test(statement: StatementSyntax, options: Options, reader: Reader) -> model.Test | None:
    command = _command(statement, reader)
    return model.Test(*reader.start_of(statement), command, _run_options(options)) if command else None


def read_health(statement: StatementSyntax, options: Options, reader: Reader) -> model.Health | model.NoHealth | None:
    command = _command(statement, reader)
    if command is None:
        return None
    times = {name: options.seconds(name.replace("_", "-")) for name in _HEALTH_TIMES}
    given = {
        name: value for name, value in (*times.items(), ("retries", options.whole("retries"))) if value is not None
    }
    if command.text.strip() != "none":
        return model.Health(*reader.start_of(statement), command).replace(**given)
    if given:
        reader.error(statement.span, "a check that is none has no options", "write: health none")
    return model.NoHealth(*reader.start_of(statement))


def read_entry(statement: StatementSyntax, options: Options, reader: Reader) -> model.Entry | None:
    text = statement.text
    if text is None or not text.text.startswith("["):
        span = statement.span if text is None else text.span
        reader.error(span, "entry needs a list: nothing could follow a command for the shell", _LISTS["entry"])
        return None
    listed = _list(text, reader, "entry")
    if isinstance(listed, str):
        reader.error(text.span, "the list is not a JSON array on one line", _LISTS["entry"])
        return None
    return model.Entry(*reader.start_of(statement), listed) if listed else None


def read_start(statement: StatementSyntax, options: Options, reader: Reader) -> model.Start | None:
    text = statement.text
    init = options.text("init") != values.NO_INIT
    if text is not None and not statement.block and text.text.startswith("["):
        if (meant := json_list(text.text.strip())) is not None:
            reader.error(text.span, "a list is a JSON array, with double quotes", f"as in: start {meant}")
            return None
        listed = _list(text, reader)
        if not isinstance(listed, str):
            return model.Start(*reader.start_of(statement), argv=listed, init=init) if listed else None
    command = _command(statement, reader)
    return model.Start(*reader.start_of(statement), command=command, init=init) if command else None


def _list(text: TextLine, reader: Reader, keyword: str = "start") -> tuple[str, ...] | str | None:
    """Return the words of a JSON array; the text itself if it is a command, such as `[ -f x ] && y`."""
    import json  # most recipes have no such list

    try:
        items, end = json.JSONDecoder().raw_decode(text.text)
    except ValueError as error:
        if not _LIST.match(text.text):
            return text.text
        column = error.colno if isinstance(error, json.JSONDecodeError) else 1
        span = text.span.replace(column=text.span.column + column - 1, length=1)
        reader.error(span, "the list is not a JSON array on one line", _LISTS[keyword])
        return None
    rest = text.text[end:].strip(" \t")
    if rest and not _REMARK.match(text.text, end):
        span = text.span.replace(column=text.span.column + end, length=len(text.text) - end)
        reader.error(span, "there is text after the list", "a command for the shell is not a list")
        return None
    if not items or not all(isinstance(item, str) and "\0" not in item for item in items):
        message = "the list is empty" if not items else "the list has an item that is not a string"
        reader.error(text.span, message, _LISTS[keyword])
        return None
    words = [reader.expand_text(item, text.span.replace(length=1), operators=True) for item in items]
    return tuple(word for word in words if word is not None)


def read_shell(statement: StatementSyntax, options: Options, reader: Reader) -> model.Shell | None:
    shape = "shell /bin/bash -eo pipefail"
    if not reader.some(statement, shape):
        return None
    words = reader.texts(statement)
    argv = shell_words(" ".join(text for _, text in words))
    if words and not argv:
        reader.error(words[0][0].span, "shell needs a program", f"as in: {shape}")
    return model.Shell(*reader.start_of(statement), argv) if argv else None

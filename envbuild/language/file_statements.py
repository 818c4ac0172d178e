"""The statements that put files into an image: copy, render, file, fetch."""

from __future__ import annotations

from envbuild.language import git_address, model, values
from envbuild.language.options import Options
from envbuild.language.origins import is_origin
from envbuild.language.reader import Reader
from envbuild.language.syntax import StatementSyntax, TextLine, Word


def read_copy(statement: StatementSyntax, options: Options, reader: Reader) -> model.Copy | None:
    destination = _destination(statement, reader)
    sources = [text for word, text in reader.texts(statement) if reader.checked(values.path, text, word.span)]
    origin = options.text("from")
    if origin is not None and not is_origin(origin):
        span = next(option.span for option in statement.options if option.name == "from")
        hint = "copy can take from a stage, NAME:TAG, image:NAME or recipe:FILE"
        reader.error(span, f"'{origin}' is not a stage or an image", hint)
    if options.flag("unpack"):
        _refuse_options(statement, "beside 'unpack'", _NOT_WITH_UNPACK, reader)
    if destination is None:
        return None
    parents = options.flag("parents")
    for word, text in reader.texts(statement) if parents else ():
        if ".." in text.split("/"):
            hint = "name a path below the context, or say where files come from at the top: context .."
            reader.error(word.span, f"copy(parents) can't keep the path '{text}'", hint)
    place, context, source = reader.start_of(statement)
    return model.Copy(
        place,
        context if origin is None else reader.folder,
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
        options.flag("unpack"),
    )


_NOT_WITH_UNPACK = {
    "mode": "an archive has the modes of its files; change them below, as in: run chmod -R go-w DIR",
    "contents": "unpack alone puts what is in the archive into the destination",
    "parents": "the paths are those in the archive; name the directory that they begin in: -> DIR",
    "include": "all of an archive is unpacked; take a part of it from a stage: copy(from=STAGE, include=...)",
    "exclude": "all of an archive is unpacked; leave out with: discard DIR/PATTERN",
}
"""Options that mean nothing beside `unpack`, each with the form that does."""


def _refuse_options(statement: StatementSyntax, where: str, options: dict[str, str], reader: Reader) -> None:
    """Report the options of a statement that mean nothing `where` they stand."""
    for option in statement.options:
        if option.name in options:
            message = f"option '{option.name}' has no meaning {where}"
            reader.error(option.span, message, options[option.name])


def _destination(statement: StatementSyntax, reader: Reader) -> str | None:
    assert statement.destination is not None
    text = reader.expand(statement.destination)
    return None if text is None else reader.checked(values.path, text, statement.destination.span)


def read_render(statement: StatementSyntax, options: Options, reader: Reader) -> model.Render | None:
    source, destination = reader.only(statement, "render TEMPLATE -> DESTINATION"), _destination(statement, reader)
    if source is None or destination is None:
        return None
    owner, mode = options.text("owner"), options.mode()
    for name, _ in reader.scope.parameters():
        reader.scope.use(name, reader.where(statement.span))
    start = reader.start_of(statement)
    return model.Render(*start, source[1], destination, reader.scope.parameters(), owner, mode)


def read_file(statement: StatementSyntax, options: Options, reader: Reader) -> model.File | None:
    path = reader.only(statement, "file PATH, and an indented block")
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
    return model.File(*reader.start_of(statement), path[1], text, options.text("owner"), options.mode())


def read_fetch(statement: StatementSyntax, options: Options, reader: Reader) -> model.Fetch | None:
    source, destination = reader.only(statement, "fetch URL -> DESTINATION"), _destination(statement, reader)
    if source is None or destination is None:
        return None
    if git_address.is_git(source[1]):
        return _read_git(statement, options, source, destination, reader)
    if options.flag("unpack"):
        _refuse_options(statement, "beside 'unpack'", _NOT_WITH_UNPACK, reader)
    _refuse_options(statement, "for a file", _ONLY_OF_GIT, reader)
    url = reader.checked(values.url, source[1], source[0].span)
    if url is None:
        return None
    return model.Fetch(
        *reader.start_of(statement),
        url,
        destination,
        sha256=options.text("sha256"),
        owner=options.text("owner"),
        mode=options.mode(),
        unpack=options.flag("unpack"),
    )


_OF_GIT = (git_address.SUBMODULES, git_address.KEEP_GIT)
_GIT_FORM = "as in: fetch({option}) git+https://HOST/REPOSITORY@REF -> DIRECTORY"
_ONLY_OF_GIT = {
    git_address.SUBMODULES: f"git repositories have submodules, {_GIT_FORM.format(option=git_address.SUBMODULES)}",
    git_address.KEEP_GIT: f"git repositories have a .git, {_GIT_FORM.format(option=git_address.KEEP_GIT)}",
}
_NOT_OF_GIT = {
    "sha256": "a commit's id says what is in it: git+https://HOST/REPOSITORY@COMMIT",
    "mode": "git has the modes of its files; change them below, as in: run chmod -R go-w DIR",
    "unpack": "the files of the commit are put into the directory as they are",
}
"""Options that mean nothing for a git repository, each with the form that does."""


def _read_git(
    statement: StatementSyntax, options: Options, source: tuple[Word, str], destination: str, reader: Reader
) -> model.Fetch | None:
    """Read the fetch of a repository's commit: a directory, as what is unpacked."""
    word, url = source
    _refuse_options(statement, "for a git repository", _NOT_OF_GIT, reader)
    behind = url[len(git_address.without_options(url)) + 1 :]
    if behind:
        hint = _GIT_FORM.format(option=behind.replace(",", ", "))
        reader.error(word.span, f"'{behind}' is asked for by an option", hint)
        return None
    if reader.checked(git_address.git_address, url, word.span) is None:
        return None
    url = git_address.with_options(url, [name for name in _OF_GIT if options.flag(name)])
    start = reader.start_of(statement)
    return model.Fetch(*start, url, destination, owner=options.text("owner"), unpack=True)

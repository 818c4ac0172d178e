"""The model of a recipe with all files that it includes: the entry point of the language."""

from __future__ import annotations

import os

from envbuild.digest import sha256_of
from envbuild.language import model, values
from envbuild.language.base_kinds import Base, StageBase
from envbuild.language.bases import read_base
from envbuild.language.context_statement import read_context
from envbuild.language.image_statement import NamedImage, numbered, read_image
from envbuild.language.keywords import KEYWORDS
from envbuild.language.options import read_options, wanted_lines
from envbuild.language.parameters import Declarations
from envbuild.language.parse import parse_all
from envbuild.language.reader import Reader
from envbuild.language.scope import BUILT_IN, Scope
from envbuild.language.stage_uses import Use, check_uses
from envbuild.language.statements import read_statement
from envbuild.language.syntax import Broken, StatementSyntax
from envbuild.linux.nofollow import read_plain
from envbuild.text.diagnostics import Diagnostic, RecipeErrors
from envbuild.text.suggestion import did_you_mean, nearest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_INCLUDES = 50
"""The depth of includes. A cycle is found long before; this ends one that names its file differently each time."""


MAX_BYTES = 4 << 20
"""The size of a recipe, or of a file that it includes."""


def read_file(path: str) -> bytes:
    return read_plain(os.path.realpath(path), MAX_BYTES)


def load_recipe(
    path: str,
    settings: Mapping[str, str],
    *,
    arch: str,
    read: Callable[[str], bytes] = read_file,
    look: Callable[[str], object] = os.listdir,
) -> model.Recipe:
    """Return the model of the recipe at `path`. `settings` (of `--set`) override the defaults of its parameters.

    `read` returns a file's bytes, or raises OSError; `look` raises it for what is no directory that files may come
    from. Raises RecipeErrors with all errors, in the order of the files and of the places in each.
    """
    loader = _Loader(path, settings, arch, read, look)
    loader.load()
    return loader.recipe()


class _Loader:
    """The state while one recipe and its includes are read."""

    def __init__(
        self,
        path: str,
        settings: Mapping[str, str],
        arch: str,
        read: Callable[[str], bytes],
        look: Callable[[str], object],
    ) -> None:
        self.path = path
        self.stem = os.path.splitext(os.path.basename(path))[0]
        self.settings = settings
        self.read = read
        self.look = look
        self.report: list[Diagnostic] = []
        self.files: dict[str, str] = {}
        self.scope = Scope(settings, self.stem, arch)
        self.declarations = Declarations(self.scope)
        self.bases: list[Base | None] = []
        self.names: list[str | None] = []
        self.statements: list[list[model.Statement]] = []
        self.uses: list[Use] = []
        self.images: list[NamedImage] = []
        self.numbered: tuple[tuple[str, int], ...] = ()
        self.name_at = ""

    def load(self) -> None:
        try:
            source = self.read(self.path)
        except OSError as error:
            hint = "name the recipe's file, NAME.env" if isinstance(error, FileNotFoundError) else ""
            raise RecipeErrors([Diagnostic(_unreadable("recipe", self.path, error), self.path, hint=hint)]) from None
        self.file(self.path, source, (), (), {}, True)
        if not self.bases and not self.scope.incomplete:
            hint = "a recipe needs a base, as in: from debian:bookworm"
            self.report.append(Diagnostic("the recipe has no 'from'", self.path, hint=hint))
        if not self.name_at and not self.scope.incomplete and not _is_name(self.stem):
            message = f"'{self.stem}' can't be the name of an image"
            self.report.append(Diagnostic(message, self.path, hint="name it in the recipe: recipe NAME"))
        check_uses(self.uses, self.names)
        self.numbered = numbered(self.images, self.names) if not self.scope.incomplete else ()
        self._settings()
        if not self.scope.incomplete:
            self.report += [error for name, error in self.scope.unknown if name not in self.scope.declared]
        if self.report:
            raise RecipeErrors(self._sorted())

    def recipe(self) -> model.Recipe:
        stages = []
        for name, base, statements in zip(self.names, self.bases, self.statements, strict=True):
            assert base is not None  # else there was an error
            stages.append(model.Stage(name, base, tuple(statements)))
        files = tuple(self.files.items())
        return model.Recipe(
            self.scope.values["recipe"], self.path, tuple(stages), self.scope.own(), files, self.numbered
        )

    def file(
        self,
        path: str,
        source: bytes,
        chain: tuple[str, ...],
        ancestors: tuple[str, ...],
        given: Mapping[str, str],
        wanted: bool,
    ) -> None:
        """Read the statements of one file.

        `chain` are the places of the includes that led here, innermost first; `ancestors` the files, outermost
        first; `given` the include's NAME=VALUE. Unless `wanted`, a `when=` has dropped the include.
        """
        self.files.setdefault(path, sha256_of(source))
        tree, errors = parse_all(source, path)
        self.report.extend(diagnostic.replace(chain=chain) for diagnostic in errors)
        reader = Reader(tree, self.scope, chain, self.report)
        for item in tree.items:
            if isinstance(item, Broken):
                self._broken(item)
            elif isinstance(item, StatementSyntax):
                self._statement(item, reader, (*ancestors, path), given, wanted)

    def _broken(self, item: Broken) -> None:
        """Note lines that seem to be a param, an include or a from: they may declare names, so don't report unknown
        ones."""
        meant = item.keyword if item.keyword in KEYWORDS else nearest(item.keyword, KEYWORDS)
        self.scope.incomplete |= meant is not None and KEYWORDS[meant].anywhere
        if meant == "from":
            self._open(None, None)

    def _open(self, name: str | None, base: Base | None) -> None:
        self.names.append(name)
        self.bases.append(base)
        self.statements.append([])

    def _statement(
        self,
        statement: StatementSyntax,
        reader: Reader,
        ancestors: tuple[str, ...],
        given: Mapping[str, str],
        wanted: bool,
    ) -> None:
        keyword = KEYWORDS[statement.keyword]
        options = read_options(statement, reader)
        if statement.block and not keyword.block:
            hint = f"{statement.keyword} is written on one line"
            line = statement.block[0]
            span = line.span if not hasattr(line, "words") else line.words[0].span
            reader.error(span, f"{statement.keyword} takes no block", hint)
            statement = statement.replace(block=())
        chosen = wanted_lines(statement, reader)
        if chosen is None:
            return
        statement = chosen
        match statement.keyword:
            case "recipe":
                self._name(statement, reader)
            case "context":
                read_context(statement, reader, self.look)
            case "image":
                image = read_image(statement, reader, self.images)
                self.images += [image] if image is not None else []
            case "param":
                self.declarations.declare(statement, reader, given)
            case "from":
                reader.taken_by = reader.taken_by or "from"
                self._from(statement, options.text("platform") or "", reader, wanted)
            case "include":
                self._include(statement, reader, ancestors, wanted and options.wanted)
            case _:
                reader.taken_by = reader.taken_by or statement.keyword
                if not self.bases and not self.scope.incomplete:
                    hint = "only recipe, context, image, param and include may stand before it"
                    reader.error(statement.span, f"{statement.keyword} stands before the first 'from'", hint)
                made = read_statement(statement, options, reader)
                if made is not None and self.bases and wanted and options.wanted:
                    self.statements[-1].append(made)
                if made is not None and self.bases:
                    span = next(
                        (
                            o.value.span
                            for o in statement.options
                            if o.name in ("from", "mount") and o.value is not None
                        ),
                        statement.span,
                    )
                    self.uses += [
                        Use(origin, len(self.bases) - 1, False, reader, span) for origin in model.origins_of(made)
                    ]

    def _name(self, statement: StatementSyntax, reader: Reader) -> None:
        words = statement.words
        if len(words) != 1:
            span = words[1].span if words else statement.span
            reader.error(span, "recipe takes one name", "as in: recipe web")
            return
        text = reader.expand(words[0])
        if text is None or reader.checked(values.name, text, words[0].span) is None:
            self.name_at = self.name_at or reader.where(statement.span)
            return
        if reader.chain:
            reader.error(statement.span, "an included file can't name the recipe", "move it to the recipe itself")
        elif self.name_at:
            reader.error(statement.span, "the recipe is named twice", f"it has its name from {self.name_at}")
        elif self.bases:
            reader.error(statement.span, "recipe stands after a 'from'", "it belongs at the top")
        elif used := self.scope.first_uses.get("recipe"):
            message = f"the recipe is named after the use of its name at {used}"
            reader.error(statement.span, message, "move it to the top")
        self.name_at = self.name_at or reader.where(statement.span)
        self.scope.values["recipe"] = text

    def _from(self, statement: StatementSyntax, platform: str, reader: Reader, wanted: bool) -> None:
        name = None
        if len(statement.words) > (1 if statement.programs is None else 0):
            word = statement.words[-1]
            text = reader.expand(word)
            name = text and reader.checked(values.name, text, word.span)
            if name in ("scratch", "host"):
                reader.error(word.span, f"a stage can't be named '{name}'", "that is a base")
            elif name is not None and name in self.names:
                reader.error(word.span, f"a stage named '{name}' already exists", "each stage has its own name")
        if not wanted:
            hint = "drop when= from the include, or the 'from' from this file"
            reader.error(statement.span, "a stage can't be included under a condition", hint)
        base = read_base(statement, platform, reader)
        self._open(name or None, base)
        if isinstance(base, StageBase):
            self.uses.append(Use(base.name, len(self.bases) - 1, True, reader, statement.words[0].span))

    def _include(self, statement: StatementSyntax, reader: Reader, ancestors: tuple[str, ...], wanted: bool) -> None:
        words = reader.words(statement)
        if not words:
            reader.error(statement.span, "include needs a path", "as in: include common/python.env version=3.11")
            return
        given = self.declarations.given(words[1:], reader)
        target = reader.expand(words[0])
        if target is None or reader.checked(values.path, target, words[0].span) is None:
            self.scope.incomplete = True
            return
        path = target if reader.folder == "." else os.path.join(reader.folder, target)
        cycle = [os.path.normpath(ancestor) for ancestor in ancestors]
        if os.path.normpath(path) in cycle or len(ancestors) > MAX_INCLUDES:
            start = cycle.index(os.path.normpath(path)) if os.path.normpath(path) in cycle else 0
            shown = " -> ".join([*ancestors[start:], ancestors[start]])
            reader.error(words[0].span, f"the includes form a cycle: {shown}", "remove one of them")
            return
        try:
            source = self.read(path)
        except OSError as error:
            reader.error(words[0].span, _unreadable("file", path, error), "the path is relative to this file")
            self.scope.incomplete = True
            return
        declared = set(self.scope.declared)
        seen = set(self.declarations.met)
        chain = (reader.where(statement.span), *reader.chain)
        self.file(path, source, chain, ancestors, {name: value for name, (value, _) in given.items()}, wanted)
        met = (self.declarations.met - seen) | (set(self.scope.declared) - declared)
        for name, (_, word) in given.items():
            if name not in met and name not in self.declarations.by_file.get(path, ()) and not self.scope.incomplete:
                hint = did_you_mean(name, self.declarations.by_file.get(path, ()), "the file declares no such 'param'")
                reader.error(word.span, f"{path} has no parameter '{name}'", hint)

    def _settings(self) -> None:
        for name in self.settings:
            if name in BUILT_IN:
                message = f"the parameter '{name}' can't be set"
                self.report.append(Diagnostic(message, self.path, hint="it is predefined"))
            elif name not in self.scope.declared and not self.scope.incomplete:
                known = ", ".join(self.scope.declared)
                otherwise = f"its parameters are: {known}" if known else "it has no parameters"
                hint = did_you_mean(name, self.scope.declared, otherwise)
                self.report.append(Diagnostic(f"the recipe has no parameter '{name}' to set", self.path, hint=hint))

    def _sorted(self) -> list[Diagnostic]:
        """Return the errors by file in the order of reading, then by place; each only once, however often it is
        included."""
        order = {path: number for number, path in enumerate(self.files)}
        first: dict[tuple[int, int, int, str], Diagnostic] = {}
        for error in self.report:
            first.setdefault((order.get(error.file, 0), error.line, error.column, error.message), error)
        return [first[key] for key in sorted(first)]


def _is_name(text: str) -> bool:
    try:
        return bool(values.name(text))
    except values.InvalidValue:
        return False


def _unreadable(what: str, path: str, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return f"there is no {what} '{path}'"
    if isinstance(error, IsADirectoryError):
        return f"'{path}' is a directory, not a {what}"
    return f"'{path}' can't be read: {error.strerror or error}"

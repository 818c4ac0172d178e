"""The text of a syntax tree: parse(print_recipe(tree)) equals tree, except for positions. `envbuild fmt` will begin
here."""

from __future__ import annotations

from envbuild.language.quoting import format_word
from envbuild.language.syntax import (
    BlankLine,
    BlockLine,
    Broken,
    Comment,
    Item,
    Option,
    StatementSyntax,
    SyntaxTree,
    TextLine,
    Word,
)


def print_recipe(tree: SyntaxTree) -> str:
    """Return the recipe's text: blocks indented by four spaces, one space between words, comments kept."""
    return "".join(f"{line}\n" for item in tree.items for line in _item(item))


def _item(item: Item) -> list[str]:
    match item:
        case BlankLine():
            return [""]
        case Comment():
            return [item.text]
        case Broken():
            return item.source.split("\n")
        case StatementSyntax():
            return [_head(item), *(_block_line(line, _has_text(item)) for line in item.block)]


def _has_text(item: StatementSyntax) -> bool:
    return any(isinstance(line, TextLine) for line in item.block)


def _head(item: StatementSyntax) -> str:
    options = f"({', '.join(map(_option, item.options))})" if item.options else ""
    words = _words(item)
    if item.text is not None:
        words = [item.text.text]
    if item.destination is not None:
        words += ["->", format_word(item.destination)]
    if item.comment:
        words.append(item.comment)
    return " ".join([f"{item.keyword}{options}", *words])


def _words(item: StatementSyntax) -> list[str]:
    words = [format_word(word) for word in item.words]
    if item.keyword == "param":
        _, value, *choices = words
        return [_literal(item.words[0]), "=", value, *(["in", *choices] if choices else [])]
    if item.keyword == "from":
        if item.programs is not None:
            words.insert(0, f"host({', '.join(map(format_word, item.programs))})")
        return words[:1] + [word for name in words[1:] for word in ("as", name)]
    return words


def _literal(word: Word) -> str:
    return word.literal() or ""


def _option(option: Option) -> str:
    return option.name if option.value is None else f"{option.name}={format_word(option.value)}"


def _block_line(line: BlockLine, in_text: bool) -> str:
    match line:
        case TextLine():
            return f"    {line.text}" if line.text else ""
        case Comment():
            # In a block of text, an indented '#' would be part of the text.
            return line.text if in_text else f"    {line.text}"
        case _:
            options = f"({', '.join(map(_option, line.options))}) " if line.options else ""
            words = options + " ".join(format_word(word) for word in line.words)
            return f"    {words}  {line.comment}" if line.comment else f"    {words}"

"""Printing and parsing again; and what happens to recipes that a cat has walked over."""

import random
import re
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from envbuild.language.format import print_recipe
from envbuild.language.load import load_recipe
from envbuild.language.parse import parse
from envbuild.language.syntax import NOWHERE, Span
from envbuild.record import Record, values
from envbuild.text.diagnostics import RecipeErrors

EXAMPLE = (Path(__file__).parent / "example.env").read_text(encoding="utf-8")
GRAMMAR = (Path(__file__).parents[2] / "grammar" / "recipe.lark").read_text(encoding="utf-8")
TERMINALS = {name.strip("_") for name in re.findall(r"^(_?[A-Z_]{3,})(?:\.\d)?:", GRAMMAR, re.MULTILINE)}

bare = st.text("abz09/._*=>#@^~'-", min_size=1, max_size=8).filter(lambda word: word[0] not in "#")
piece = st.one_of(
    bare,
    st.just("${name}"),
    st.sampled_from(["${name:-x}", "${name:+:${other}}", '"${name:-a  b${c}}"']),
    st.just("\\${"),
    st.text('abc #(),$\\"é\t', max_size=6).map(
        lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t") + '"'
    ),
)
word = st.lists(piece, min_size=1, max_size=3).map("".join).filter(lambda text: text != "->" and text[0] != "#")
words = st.lists(word, min_size=1, max_size=4).map(" ".join)
value = st.sampled_from(["1", "/a-b", '"a, b"', "${x}", "a==b", "x:y", '""', "\\${"])
option = st.one_of(st.just("network"), st.tuples(st.just("cache="), value).map("".join))
options = st.one_of(st.just(""), st.lists(option, min_size=1, max_size=3).map(lambda all: f"({', '.join(all)})"))
remark = st.sampled_from(["", " # why", "\t#"])
line = st.text("ab $#\\\"'(){}é\t", min_size=1, max_size=12).filter(lambda text: text.strip(" \t"))
comment = st.sampled_from(["# one", "#", "", "    # indented", "  "])
text_block = st.lists(
    st.one_of(line.map(lambda text: f"  {text}"), st.just(""), st.just("# out")), min_size=0, max_size=4
).map(lambda lines: "".join(f"\n{text}" for text in lines))
word_block = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["", "(when=a==b) ", "(when=a!=${b}, when=c==1) "]), words, remark).map(
            lambda parts: f"   {''.join(parts)}"
        ),
        comment,
    ),
    max_size=3,
).map(lambda lines: "".join(f"\n{text}" for text in lines))
statement = st.one_of(
    st.tuples(
        st.sampled_from(["apt", "env", "include", "unset"]), options, words.map(" {}".format), remark, word_block
    ),
    st.tuples(st.sampled_from(["run", "test", "start"]), options, line.map(" {}".format), text_block),
    st.tuples(st.just("health"), options, text_block),
    st.tuples(st.just("file"), options, word.map(" {}".format), remark, text_block),
    st.tuples(st.just("copy"), options, words.map(" {}".format), word.map(" -> {}".format), remark),
    st.tuples(st.just("param name = "), word, st.one_of(st.just(""), words.map(" in {}".format)), remark),
    st.tuples(st.just("from "), word, st.one_of(st.just(""), word.map(" as {}".format)), remark),
    st.tuples(st.just("from host(bash, python3)"), st.sampled_from(["", " as a"]), remark),
    st.tuples(comment),
).map("".join)
recipes = st.lists(statement, max_size=6).map("\n".join)


# Nothing is written (the checkout may be somebody else's); the first parse builds the parser, hence no deadline.
@given(recipes)
def test_what_is_printed_parses_to_the_same(text):
    tree = parse(text, "web.env")
    again = parse(print_recipe(tree), "web.env")
    assert without_positions(again) == without_positions(tree)
    assert print_recipe(again) == print_recipe(tree)


def without_positions(record):
    """Return the syntax with every position, and what else tells the layout, made equal."""
    return type(record)(
        *[_bare(name, value) for name, value in zip(record.__match_args__, values(record), strict=True)]
    )


def _bare(name, value):
    if isinstance(value, Span):
        return NOWHERE
    if name in ("source", "file"):
        return ""
    if name == "lines":
        return ()
    if isinstance(value, Record):
        return without_positions(value)
    if isinstance(value, tuple):
        return tuple(_bare("", item) for item in value)
    return value


def test_comments_stay_where_they_are():
    text = "# top\n\nfrom scratch  \napt a   # why\n    b  # this\n    # and\n    c\n# end\n"
    assert print_recipe(parse(text, "x")) == (
        "# top\n\nfrom scratch\napt a # why\n    b  # this\n    # and\n    c\n# end\n"
    )


def test_only_spaces_and_tabs_are_white_space():
    text = "from scratch\napt\n    a # why\u00a0\n"
    tree = parse(text, "x")
    assert without_positions(parse(print_recipe(tree), "x")) == without_positions(tree)


def _load(text):
    def read(path):
        if path == "web.env":
            return text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
        raise FileNotFoundError(2, "No such file or directory", path)

    try:
        load_recipe("web.env", {}, arch="amd64", read=read)
    except RecipeErrors as errors:
        return str(errors)
    return ""


def _unusual(message):
    """Words in what we say (not in the lines that are shown) that the grammar calls its terminals."""
    said = [part for part in message.split("\n") if not re.match(r" +\d+ \|", part)]
    return set(re.findall(r"[A-Z_]{3,}", "\n".join(said))) & TERMINALS


def test_mangled_recipes_give_only_readable_errors():
    chance = random.Random(1)
    odd = ["\n", " ", "(", ")", '"', "${", "->", "#", "\t", "\\", ",", "=", "from", "x", "\0", "é", "[", "\r"]
    for _ in range(400):
        text = EXAMPLE
        for _ in range(chance.randint(1, 4)):
            place = chance.randrange(len(text) + 1)
            if chance.random() < 0.5:
                text = text[:place] + text[place + chance.randint(1, 12) :]
            else:
                text = text[:place] + chance.choice(odd) + text[place:]
        assert not _unusual(_load(text)), text


@settings(database=None, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_give_only_readable_errors(data):
    assert not _unusual(_load(data))


def test_the_terminals_are_known_to_this_test():
    assert {"NEWLINE", "BARE", "WORDS_KEYWORD", "CLOSE"} <= TERMINALS

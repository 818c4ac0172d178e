"""Recipes and edits at random: `build --trace` gives what a build without a cache gives."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from tests.conftest import Project

pytestmark = pytest.mark.namespaces

paths = st.sampled_from(
    [f"/d{number}{inner}" for number in range(4) for inner in ("", "/a", "/b.html", "/e", "/e/x", "/link")]
)
words = st.sampled_from(["1", "2"])
dates = st.sampled_from(["@5", "@1700000000", "@1700000001", "@1700000400"])
modes = st.sampled_from(["644", "755", "0"])
COMMANDS = [  # that do the same each time: no order of a directory, no time of the machine
    "cat {a} > {b}",
    "echo {w} > {a}",
    "echo {w} >> {a}",
    "cp {a} {b}",
    "cp -p {a} {b}",
    "cp -r {a} /tmp/copy; cp -r /tmp/copy {b}",
    "mv {a} {b}",
    "rm -rf {a}",
    "rm {a}",
    "mkdir -p {a}",
    "rmdir {a}",
    "rm -r {a}; mkdir {a}; echo {w} > {a}/a",
    "ln -sfn {a} {b}",
    "ln {a} {b}",
    "ls {a} > {b}",
    "find {a} | sort > /tmp/list; cat /tmp/list > {b}",
    "test -e {a} && echo there > {b}",
    "test {a} -nt {b} && echo newer > /newer",
    "touch {a}",
    "touch -d {t} {a}",
    "touch -r {a} {b}",
    "chmod {m} {a}",
    "sed -i s/1/3/ {a}",
    "cd {a} && cat x a > {b}",
    "tar cf /t.tar {a}; rm -r {a}; tar xf /t.tar; rm /t.tar",
    "echo {w} > {a}.new; mv {a}.new {a}",
]  # fmt: skip


@st.composite
def commands(draw) -> str:
    command = draw(st.sampled_from(COMMANDS))
    return command.format(a=draw(paths), b=draw(paths), w=draw(words), t=draw(dates), m=draw(modes))


statements = (
    st.lists(commands(), min_size=1, max_size=3).map(lambda lines: f"run set +e; {'; '.join(lines)}; true")
    | st.builds("file {}\n    {}".format, paths, words)
    | commands().map("test set +e; {}; true".format)
)
FIRST = "run mkdir -p /d0/e /d1 /d2/e; echo 1 > /d0/a; echo 2 > /d1/b.html; echo 1 > /d2/e/x; ln -s /d0/e /d1/link"
recipes = st.lists(statements, min_size=3, max_size=7).map(lambda lines: [FIRST, *lines])
places = st.sampled_from([0, 0, 0, 1, 1, 2, 3])
edits = st.lists(st.tuples(places, st.sampled_from(["insert", "replace"]), statements), min_size=1, max_size=2)


def edited(recipe: list[str], changes) -> list[str]:
    lines = list(recipe)
    for place, what, statement in changes:
        at = min(place, len(lines) - 1)
        lines[at : at + (what != "insert")] = [statement]
    return lines


NUMBERS = itertools.count()


def check(project: Project, recipe: list[str], changes) -> None:
    # A recipe of its own in each example; the store is the same, so that runs of others are at hand, too.
    name = f"web{next(NUMBERS)}.env"
    first = project.build(*recipe, options=("--trace",), name=name)
    if first.code:
        event(
            "the first build fails: " + first.of("step-failed")[0]["message"]
            if first.of("step-failed")
            else first.err[:300]
        )
        return
    done = project.build(*edited(recipe, changes), options=("--trace",), name=name)
    again = project.build(options=("--no-cache",), name=name)
    assert done.code == again.code, done.err + again.err
    if done.code:
        event("the second build fails")
        return
    event(f"{len(done.of('step-reused'))} reused")
    assert done.image == again.image, (done.of("step-reused"), done.of("step-explained"))
    ahead = project.build(options=("--no-cache", "--trace", "--speculate", "-j", "3"), name=name)
    assert ahead.image == again.image, ahead.of("step-explained")


FIXTURE = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@settings(max_examples=4, deadline=None, suppress_health_check=FIXTURE, database=None)
@given(recipes, edits)
def test_a_few_recipes(project, recipe, changes):
    check(project, recipe, changes)


@pytest.mark.nightly
@settings(max_examples=300, deadline=None, suppress_health_check=FIXTURE)
@given(recipes, edits)
def test_many_recipes(project, recipe, changes):
    check(project, recipe, changes)

"""The tests of an image that came without its recipe: texts that anybody may have written."""

import json
import os

import pytest

from envbuild.build.recipe_tests import MAX_SECONDS, MAX_TESTS, image_tests
from envbuild.plan.image_config import Facts, dump, image_digest
from envbuild.plan.step import Execute
from envbuild.store.images import Image
from envbuild.store.store import Store
from envbuild.tree.lookup import MemoryTrees

EMPTY = MemoryTrees().save(())
FACTS = Facts("amd64", 0, environment=(("APP", "1"),), user="app", workdir="/srv")


def step(text, kind="test"):
    return {
        "text": text,
        "file": "",
        "line": 0,
        "kind": kind,
        "key": "",
        "tree": "",
        "output": "",
        "seconds": 0,
        "owners_kept": True,
    }


@pytest.fixture
def tests_of(tmp_path):
    """Returns the tests that an image with these statements on record has: (commands, what is left out)."""
    with Store.open(str(tmp_path / "store")) as store:
        tree = store.trees.save(())

        def tests_of(*texts, sources=None):
            stage = {"stage": "1", "base": "x", "origin": "x", "tree": tree, "steps": [step(text) for text in texts]}
            detail = json.dumps({"stages": [stage], **({"sources": sources} if sources else {})})
            image = Image(image_digest(tree, FACTS), tree, dump(FACTS), detail, 0.0)
            with image_tests(store, image, FACTS) as tests:
                return tests.checks, dict(tests.left_out)

        yield tests_of


def test_they_are_planned_on_the_facts_of_the_image(tests_of):
    (check,), left_out = tests_of('test(timeout=5s) [ "$APP" = 1 ]')
    action = check.step.action
    assert isinstance(action, Execute)
    assert (action.argv[-1], action.user, action.workdir, dict(action.environment)["APP"]) == (
        '[ "$APP" = 1 ]',
        "app",
        "/srv",
        "1",
    )
    assert (check.step.timeout, left_out) == (5.0, {})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("test(network=host) curl x", "a network"),
        ("test(network) curl x", "a network"),
        ("test(secret=token) cat /run/secrets/token", "secrets"),
        ("test(ssh) ssh x", "an SSH agent"),
        ("test(mount=/etc/shadow:/x) cat /x", ""),
        ("test(mount=0.env:/x) cat /x", "files beside its recipe"),
        ("test(cache=/c) ls /c", "a cache"),
        ("test(device=/dev/fuse) ls /dev", "devices"),
        ("test echo {unknown}", ""),
        ("test(", ""),
        ("include ../../etc/passwd", ""),
        ("\x1b[2J", ""),
    ],
)
def test_what_needs_more_than_the_tree_is_not_run(tests_of, text, reason):
    checks, left_out = tests_of(text)
    assert checks == () or "{unknown}" in text
    assert all(reason in why for why in left_out.values())


def test_other_statements_than_tests_are_nothing(tests_of):
    checks, _ = tests_of("test true\nrun touch /stolen\nfrom host\ntest echo second", "run true", "from scratch")
    assert all(isinstance(check.step.action, Execute) for check in checks)
    assert [check.step.action.argv[-1] for check in checks] in ([], ["true"], ["echo second"])


def test_neither_their_number_nor_their_time_is_without_limit(tests_of):
    checks, _ = tests_of(*(f"test sleep {number}" for number in range(MAX_TESTS + 5)))
    assert len(checks) == MAX_TESTS
    assert {check.step.timeout for check in checks} == {MAX_SECONDS}
    (slow,), _ = tests_of("test(timeout=1h) sleep 3600")
    assert slow.step.timeout == MAX_SECONDS


@pytest.mark.parametrize("recipe", ["../../../etc/passwd", "/etc/passwd", "web.env", "", "a/../../x.env"])
@pytest.mark.parametrize("lock", ["../stolen", "/stolen", "web.env.lock"])
def test_a_record_that_names_files_which_are_not_its_own(tests_of, tmp_path, recipe, lock):
    sources = {"tree": EMPTY, "recipe": recipe, "locks": {lock: "x"}, "files": []}
    checks, left_out = tests_of("test true", sources=sources)
    assert (checks, list(left_out)) == ((), ["the tests of its recipe"])
    assert not any("stolen" in name for name in os.listdir("/"))


def test_sources_that_the_store_lacks_are_not_missed(tests_of):
    checks, left_out = tests_of("test true", sources={"tree": "0" * 64, "recipe": "x", "locks": {}, "files": []})
    assert (len(checks), left_out) == (1, {})

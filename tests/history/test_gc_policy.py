"""What gc keeps: tags, so much of their history, locks, and of the cache what fits."""

import json
import os
import sqlite3

import pytest

pytestmark = pytest.mark.namespaces


def images(project) -> set[str]:
    listed = json.loads(project.command("images", "--all", "--format", "json").out)
    return {image["digest"].removeprefix("sha256:") for image in listed}


def built_five_times(project) -> None:
    """Builds five times with a megabyte each. The lock that would keep the last one's steps is gone."""
    for number in range(5):
        project.build(
            f"run head -c 3000000 /dev/urandom > /old{number}; echo > /x",
            f"run rm /old{number}; head -c 1000000 /dev/urandom > /new{number}",
        )
    os.unlink(project.folder / "web.env.lock")


@pytest.fixture
def five(project, made_once, tmp_path):
    """The project that was built five times, and its images, the first one first."""
    with made_once.again(project, built_five_times, tmp_path / "made"):
        entries = json.loads(project.command("log", "web", "--format", "json").out)
        yield project, [entry["image"].removeprefix("sha256:") for entry in reversed(entries)]


def test_all_history_is_kept_unless_a_policy_says_otherwise(five):
    project, made = five
    assert project.command("gc").code == 0
    assert images(project) == set(made)


def test_n_entries_are_kept(five):
    project, made = five
    assert project.command("gc", "--keep", "2").code == 0
    assert images(project) == set(made[-3:])
    project.command("gc", "--keep", "0")
    assert images(project) == {made[-1]}


def test_the_last_days_are_kept_and_the_larger_of_both_counts(five):
    project, made = five
    database = sqlite3.connect(project.store / "store.db")
    database.execute("UPDATE history SET moved = moved - 10 * 86400 WHERE image IN (?, ?)", made[:2])
    database.commit()
    database.close()
    dry = json.loads(project.command("gc", "--days", "5", "--dry-run", "--format", "json").out)
    assert (dry["images"], dry["dry_run"]) == (2, True)
    assert images(project) == set(made)
    assert project.command("gc", "--days", "5", "--keep", "3").code == 0
    assert images(project) == set(made[1:])
    project.command("gc", "--days", "5")
    assert images(project) == set(made[2:])


def test_within_its_budget_a_store_loses_nothing(five):
    project, _ = five
    freed = json.loads(project.command("gc", "--budget", "1GB", "--format", "json").out)
    assert (freed["size"], freed["steps"]) == (0, 0)


def test_beyond_it_the_cache_goes_that_was_not_used_for_the_longest_time(five):
    project, made = five
    database = sqlite3.connect(project.store / "store.db")
    keys = [
        [step["key"] for stage in json.loads(detail)["stages"] for step in stage["steps"]]
        for (detail,) in (
            database.execute("SELECT detail FROM images WHERE digest = ?", (digest,)).fetchone() for digest in made
        )
    ]
    for number, (first, second) in enumerate(keys):
        # The middle one was used last.
        used = 10 if number == 2 else number
        database.execute("UPDATE steps SET used = ? WHERE key IN (?, ?)", (used, first, second))
    database.commit()
    database.close()
    # Tags and history need 7 MB; the results between take 3 MB each.
    done = project.command("gc", "--budget", "15MB")
    assert done.code == 0, done.err
    assert images(project) == set(made)
    total = json.loads(project.command("du", "--format", "json").out)["total"]
    assert 10_000_000 < total <= 15_000_000
    database = sqlite3.connect(project.store / "store.db")
    left = {row[0] for row in database.execute("SELECT key FROM steps")}
    database.close()
    assert keys[2][0] in left
    assert keys[4][0] in left
    assert keys[0][0] not in left
    assert project.cat("/x", f"sha256:{made[0][:12]}") == "\n"


def test_a_budget_that_cannot_be_held_is_said(five):
    project, made = five
    done = project.command("gc", "--budget", "1kB")
    assert done.code == 1
    assert "the store still takes" in done.err
    assert images(project) == set(made)


def test_a_registered_lock_keeps_its_steps_under_any_budget(project):
    project.build("run head -c 3000000 /dev/urandom > /old", "run rm /old")
    project.command("gc", "--budget", "1kB")
    assert project.build().ran == []


@pytest.mark.parametrize("words", [("--keep", "-1"), ("--budget", "much"), ("--days", "-2")])
def test_nonsense_is_refused(project, words):
    project.build("run true")
    assert project.command("gc", *words).code == 2

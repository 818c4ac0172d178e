"""Names, where they have been, and back again."""

import getpass
import json
import sqlite3
import time

import pytest

from envbuild.text.dates import BadMoment, moment_of

pytestmark = pytest.mark.namespaces


@pytest.fixture
def three(project):
    """web:latest was 1, then 2, then 3; returns the project and the three digests."""
    return project, [project.build(f"file /a\n    {number}").image for number in (1, 2, 3)]


def image(project, reference: str) -> str:
    return project.show(reference)["digest"].removeprefix("sha256:")


def test_what_a_name_was_is_found_by_number_and_by_time(three):
    project, images = three
    assert [image(project, f"web@{{{back}}}") for back in (0, 1, 2)] == images[::-1]
    assert image(project, "web:latest@{1}") == images[1]
    assert image(project, "web@{now}") == images[2]
    assert project.cat("/a", "web@{2}") == "1\n"
    too_far = project.command("show", "web@{3}")
    assert (too_far.code, "it has moved 3 times" in too_far.err) == (2, True)
    early = project.command("show", "web@{yesterday}")
    assert (early.code, "its history begins later" in early.err) == (2, True)
    assert "not a date that envbuild understands" in project.command("show", "web@{noon or so}").err


@pytest.mark.user
def test_who_built_is_the_user_also_where_steps_ran(project):
    for lines in (["file /a\n    1"], ["file /a", "    1"]):
        assert project.build(*lines).code == 0
    history = json.loads(project.command("log", "web", "--format", "json").out)
    assert {entry["who"]["user"] if "who" in entry else entry["user"] for entry in history} == {getpass.getuser()}


def test_every_place_that_takes_an_image_takes_its_history(three):
    project, _ = three
    for words in (("ls", "web@{1}"), ("packages", "web@{1}"), ("output", "web@{1}"), ("tag", "web@{1}", "web:old")):
        assert project.command(*words).code == 0
    assert project.command("run", "web@{1}", "--", "cat", "/a").out == "2\n"
    project.write("next.env", "from image:web:old", "run cat /a > /b")
    assert project.command("build", "next.env").code == 0
    assert project.cat("/b", "next") == "2\n"


def test_the_log_tells_when_by_which_build_and_what_changed(three):
    project, images = three
    entries = json.loads(project.command("log", "web", "--format", "json").out)
    assert [entry["image"] for entry in entries] == [f"sha256:{digest}" for digest in images[::-1]]
    assert [entry["back"] for entry in entries] == [0, 1, 2]
    assert entries[0]["changed"] == "1 path: /a"
    assert entries[0]["recipe"] == "web.env"
    assert (entries[0]["action"], entries[0]["ran"], entries[0]["cached"]) == ("build", 1, 1)
    text = project.command("log", "web", "-n", "1").out
    assert f"web:latest@{{0}}  {images[2][:12]}" in text
    assert "1 step ran, 1 cached" in text
    assert "changed  1 path: /a" in text
    assert len(project.command("log", "web", "--oneline").out.splitlines()) == 3


def test_a_build_that_changes_nothing_is_no_entry(three):
    project, _ = three
    project.build()
    assert len(project.command("log", "web", "--oneline").out.splitlines()) == 3


def test_rollback_goes_back_one_each_time_and_is_an_entry_itself(three):
    project, images = three
    assert project.command("rollback", "web").out == f"web:latest: {images[2][:12]} -> {images[1][:12]}\n"
    assert image(project, "web") == images[1]
    assert project.command("rollback", "web").code == 0
    assert image(project, "web") == images[0]
    nothing = project.command("rollback", "web")
    assert (nothing.code, "has no earlier image" in nothing.err) == (2, True)
    actions = [entry["action"] for entry in json.loads(project.command("log", "web", "--format", "json").out)]
    assert actions == ["rollback", "rollback", "build", "build", "build"]
    # A build of the recipe as it stands moves the name on.
    project.build()
    assert image(project, "web") == images[2]
    assert project.command("rollback", "web").code == 0
    assert image(project, "web") == images[1]


@pytest.mark.parametrize("to", ["2", "@{2}", "stable", "web:stable", "DIGEST", "sha256:DIGEST", "30 minutes ago"])
def test_rollback_takes_a_number_a_tag_a_digest_and_a_date(three, to):
    project, images = three
    project.command("tag", "web@{2}", "web:stable")
    if to == "30 minutes ago":
        with sqlite3.connect(project.store / "store.db") as database:
            database.execute("UPDATE history SET moved = moved - 3600")
        database.close()
        project.build("file /a\n    4")
        assert project.command("rollback", "web", "--to", to).code == 0
        assert image(project, "web") == images[2]
        return
    done = project.command("rollback", "web", "--to", to.replace("DIGEST", images[0][:10]))
    assert done.code == 0, done.err
    assert image(project, "web") == images[0]


@pytest.mark.parametrize("to", ["nonsense", "", "web:none", "2026-99-99"])
def test_a_target_that_is_none_is_told(three, to):
    project, images = three
    done = project.command("rollback", "web", "--to", to)
    assert (done.code, "is not a number, a tag of web, a digest or a date" in done.err) == (2, True)
    assert image(project, "web") == images[2]


def test_immutable_tags_refuse_to_move_and_to_go(three):
    project, images = three
    assert project.command("tag", "web@{1}", "web:v1", "--immutable").code == 0
    for words in (("tag", "web", "web:v1"), ("rollback", "web:v1", "--to", images[0][:8]), ("untag", "web:v1")):
        refused = project.command(*words)
        assert refused.code == 1
        assert f"web:v1 is immutable and names {images[1][:12]}" in refused.err
    assert project.build(options=("--tag", "web:v1")).code == 1
    assert image(project, "web:v1") == images[1]
    # The same image again is no move.
    assert project.command("tag", "web@{1}", "web:v1").code == 0
    assert project.command("untag", "--force", "web:v1").code == 0
    assert project.build(options=("--tag", "web:v2", "--immutable")).code == 0
    assert project.command("tag", "web@{2}", "web:v2").code == 1


def test_promotion_leaves_a_trace(three):
    project, images = three
    project.command("tag", "web", "web:dev")
    project.command("tag", "web:dev", "web:qa")
    project.command("tag", "web:qa", "web:prod")
    assert image(project, "web:prod") == images[2]
    (entry,) = json.loads(project.command("log", "web:prod", "--format", "json").out)
    assert [stop["name"] for stop in entry["way"]] == ["web:latest", "web:dev", "web:qa"]
    assert entry["source"] == "web:qa"
    assert "web:qa" in project.command("log", "web:prod").out


def test_what_was_untagged_can_be_read_in_its_history(three):
    project, images = three
    project.command("tag", "web", "web:old")
    project.command("untag", "web:old")
    entries = json.loads(project.command("log", "web:old", "--format", "json").out)
    assert [(entry["action"], entry["image"]) for entry in entries] == [("untag", None), ("tag", f"sha256:{images[2]}")]
    assert project.command("rollback", "web:old").code == 0
    assert image(project, "web:old") == images[2]


def test_an_image_that_gc_removed_is_told_and_its_history_stays(three):
    project, images = three
    # Its lock would keep the steps, not the image.
    assert project.command("gc", "--keep", "1").code == 0
    gone = project.command("show", "web@{2}")
    assert (gone.code, f"was {images[0][:12]}, which is no longer in the store" in gone.err) == (2, True)
    entries = json.loads(project.command("log", "web", "--format", "json").out)
    assert [entry["in_store"] for entry in entries] == [True, True, False]
    # What changed was written down before the image went.
    assert entries[1]["changed"] == "1 path: /a"


def test_names_that_are_near_are_proposed(three):
    project, _ = three
    assert "did you mean 'web:latest'?" in project.command("log", "wep").err


class TestMoments:
    NOW = 1_800_000_000.0

    @pytest.mark.parametrize(
        ("text", "before"),
        [("now", 0), ("yesterday", 86400), ("2 days ago", 172800), ("3.hours.ago", 10800), ("1 week ago", 604800)],
    )
    def test_relative(self, text, before):
        assert moment_of(text, self.NOW) == self.NOW - before

    def test_dates_with_a_zone_and_without_a_time(self):
        assert moment_of("2026-11-20T12:00:00Z", self.NOW) == 1795176000
        whole = moment_of("2026-11-20", self.NOW)
        assert time.strftime("%Y-%m-%d %H:%M", time.localtime(whole)) == "2026-11-20 23:59"
        assert time.strftime("%H:%M", time.localtime(moment_of("2026-11-20 14:05", self.NOW))) == "14:05"

    @pytest.mark.parametrize("text", ["", "tomorrow", "x days ago", "2026-13-40", "5 parsecs ago"])
    def test_others_are_refused_in_words(self, text):
        with pytest.raises(BadMoment, match="not a date that envbuild understands"):
            moment_of(text, self.NOW)

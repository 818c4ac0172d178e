"""Builds that find all as it was are answered from a note, and no build is whose outcome could be another."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from envbuild.build.context_scan import RACY_NANOSECONDS
from envbuild.build.unchanged import FOLDER, answer
from envbuild.cli.environment import Environment
from envbuild.cli.unchanged_build import question
from tests.conftest import wait_for

pytestmark = pytest.mark.namespaces
RECIPE = (
    "from tar:base/busybox.tar",
    "include more.env",
    "copy app -> /srv/app",
    "render hello.txt -> /hello",
    "run cat /srv/app/a > /b",
)
LOADED = Path(__file__).parents[1] / "cli" / "loaded_modules.py"


def test_a_build_that_finds_all_as_it_was_loads_nothing_of_builds(noted):
    words = [sys.executable, str(LOADED), "envbuild.build.walk envbuild.store.database envbuild.build.unchanged"]
    done = subprocess.run(
        [*words, "build", "web.env"],
        cwd=noted.folder,
        env=noted.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "0 ['envbuild.build.unchanged']"
    forget_notes(noted)
    assert without_time(done.stderr) == without_time(noted.command("build", "web.env").err)
    assert "all 4 cached" in done.stderr


def test_events_are_told_again_with_the_time_that_it_took(noted):
    keep_note(noted, "build", "web.env", "--progress", "json")
    again = noted.command("build", "web.env", "--progress", "json").out
    forget_notes(noted)
    assert without_time(again) == without_time(noted.command("build", "web.env", "--progress", "json").out)


CHANGES = {
    "the recipe": lambda project: append(project, "web.env", "run echo more > /more\n"),
    "the recipe's time": lambda project: os.utime(project.folder / "web.env", ns=(1, 1)),
    "an included file": lambda project: append(project, "more.env", "env EVEN_MORE=1\n"),
    "the base": lambda project: append(project, "base/busybox.tar", "\0" * 512),
    "a copied file": lambda project: append(project, "app/a", "more"),
    "a copied file deep inside": lambda project: append(project, "app/inner/b", "more"),
    "a file more": lambda project: append(project, "app/inner/c", "new"),
    "a file less": lambda project: (project.folder / "app/inner/c").unlink(),
    "a right to execute": lambda project: (project.folder / "app/a").chmod(0o755),
    "the template": lambda project: append(project, "hello.txt", "more"),
    "patterns": lambda project: append(project, ".envignore", "none\n"),
    "docker's patterns": lambda project: append(project, ".dockerignore", "none\n"),
    "no lock": lambda project: (project.folder / "web.env.lock").unlink(),
    "the lock": lambda project: append(project, "web.env.lock", "# mine\n"),
    "another branch": lambda project: git(project, "checkout", "-q", "-b", "other"),
    "no repository": lambda project: (project.folder / ".git").rename(project.folder / "was-git"),
    "a repository": lambda project: (project.folder / "was-git").rename(project.folder / ".git"),
    "settings of caches": lambda project: append(project, ".config/envbuild/cache.toml", ""),
    "a tag that is gone": lambda project: project.command("untag", "web"),
    "another image in the store": lambda project: project.build("run echo other", name="other.env"),
    "a folder that became a link": lambda project: to_link(project.folder / "app"),
}


def test_what_changed_is_looked_at(noted):
    for name, change in CHANGES.items():
        assert is_answered(noted, "web.env"), f"before {name}"
        change(noted)
        assert not is_answered(noted, "web.env"), name
        if name != list(CHANGES)[-1]:  # links are not noted
            keep_note(noted, "build", "web.env")


def test_a_policy_that_came_counts(noted):
    append(noted, ".config/envbuild/policy.toml", "")
    assert not is_answered(noted, "web.env")


def test_another_question_has_another_answer(noted):
    assert not is_answered(noted, "./web.env")
    assert not is_answered(noted, "web.env", "--locked")
    assert not is_answered(noted, "web.env", SOURCE_DATE_EPOCH="1700000000")
    assert is_answered(noted, "web.env", SHLVL="7")


def test_a_build_without_a_name_sees_a_second_recipe(noted):
    keep_note(noted, "build")
    assert is_answered(noted)
    noted.write("second.env", "from scratch")
    assert not is_answered(noted)
    assert "which recipe?" in noted.command("build").err


def test_an_edit_is_built_and_found_as_it_was_again(noted):
    (noted.folder / "app" / "a").write_text("edited\n")
    assert noted.build().ran == ["copy app -> /srv/app", "render hello.txt -> /hello", "run cat /srv/app/a > /b"]
    keep_note(noted, "build", "web.env")
    assert "all 4 cached" in noted.command("build", "web.env").err
    assert noted.cat("/b") == "edited\n"


LOOKS_FURTHER = {
    "wildcards": "copy app/* -> /srv/",
    "patterns": "copy(include=a) app -> /srv/",
    "what may be missing": "copy(optional) absent -> /srv/",
    "a mount of the folder": "run(mount=app:/app) cat /app/a",
}


def test_a_build_that_looks_further_is_not_noted(noted):
    for name, line in LOOKS_FURTHER.items():
        done = noted.build(*RECIPE, line)
        assert done.code == 0, done.out + done.err
        build_when_it_could_be_noted(noted)
        assert notes(noted) == [], name


def test_a_build_with_options_that_do_more_is_not_noted(noted):
    for options in ("--no-cache",), ("--explain",), ("--tag", "web:v1"), ("--trace",):
        noted.command("build", "web.env", *options)
        build_when_it_could_be_noted(noted, *options)
        assert notes(noted) == [], options


def test_what_changed_a_moment_ago_is_not_noted(noted):
    """It could change again without another time."""
    moment = time.time_ns() + 10**9  # on a busy machine the build begins late
    os.utime(noted.folder / "hello.txt", ns=(moment, moment))
    build_when_it_could_be_noted(noted)
    assert notes(noted) == []


def test_a_damaged_note_is_no_answer(noted):
    (note,) = notes(noted)
    whole = note.read_bytes()
    for damaged in b"", whole[:100], whole[:-1] + b"x":
        note.write_bytes(damaged)
        assert not is_answered(noted, "web.env")
    assert "all 4 cached" in noted.command("build", "web.env").err


def test_what_is_no_file_of_the_users_own_is_no_answer(noted):
    (note,) = notes(noted)
    whole = note.read_bytes()
    note.unlink()
    os.mkfifo(note)
    assert not is_answered(noted, "web.env")
    note.unlink()
    (note.parent / "elsewhere").write_bytes(whole)
    note.symlink_to("elsewhere")
    assert not is_answered(noted, "web.env")
    note.unlink()
    note.write_bytes(whole)
    assert is_answered(noted, "web.env")


def test_nothing_is_written_or_tidied_over_a_link(noted, tmp_path):
    folder, elsewhere = noted.store / FOLDER, tmp_path / "elsewhere"
    shutil.rmtree(folder)
    elsewhere.mkdir()
    for number in range(200):
        (elsewhere / str(number)).touch()
    folder.symlink_to(elsewhere)
    let_it_age(noted)
    assert noted.command("build", "web.env").code == 0
    assert len(list(elsewhere.iterdir())) == 200


@pytest.mark.root
def test_what_another_user_wrote_is_no_answer(noted):
    (note,) = notes(noted)
    os.chown(note, 65534, 65534)
    assert not is_answered(noted, "web.env")


def test_many_notes_are_thrown_away(noted):
    folder = noted.store / FOLDER
    for number in range(200):
        (folder / str(number)).touch()

    def is_thrown_away() -> bool:
        assert noted.command("build", "./web.env").code == 0
        return len(notes(noted)) == 1

    assert wait_for(is_thrown_away)


@pytest.fixture
def noted(project):
    """A project in a repository whose last build is noted."""
    project.write("web.env", *RECIPE)
    project.write("more.env", "env MORE=1")
    project.write("app/a", "first")
    project.write("app/inner/b", "second")
    project.write("hello.txt", "hello")
    git(project, "init", "-q", "-b", "main")
    assert project.command("build", "web.env").code == 0
    keep_note(project, "build", "web.env")
    return project


def keep_note(project, *words: str) -> None:
    """Run a build again until it is noted: what changed a moment ago is not."""

    def is_noted() -> bool:
        let_it_age(project)
        assert project.command(*words).code == 0
        return bool(notes(project))

    forget_notes(project)
    assert wait_for(is_noted)


def let_it_age(project) -> None:
    """Wait until what was changed up to now can be noted."""
    marker = project.folder.with_name("now")
    marker.touch()
    begun = marker.stat().st_mtime_ns

    def is_old() -> bool:
        marker.touch()
        return marker.stat().st_mtime_ns - begun > 1.5 * RACY_NANOSECONDS

    assert wait_for(is_old)


def build_when_it_could_be_noted(project, *options: str) -> None:
    """Build once more, without notes, when all that was written to the store is old enough."""
    forget_notes(project)
    let_it_age(project)
    assert project.command("build", "web.env", *options).code == 0


def is_answered(project, *words: str, **variables: str) -> bool:
    before = os.getcwd()
    os.chdir(project.folder)
    try:
        environment = {**project.environment, **variables}
        asked = question(words, Environment(environment, sys.stdin, sys.stdout, sys.stderr))
    finally:
        os.chdir(before)
    assert asked is not None
    return answer(asked) is not None


def notes(project) -> list[Path]:
    folder = project.store / FOLDER
    return sorted(folder.iterdir()) if folder.exists() else []


def forget_notes(project) -> None:
    for path in notes(project):
        path.unlink()


def without_time(text: str) -> str:
    return re.sub(r'"(time|seconds)":[0-9.e-]+|[0-9.]+m?s;', "TIME", text)


def append(project, path: str, text: str) -> None:
    (project.folder / path).parent.mkdir(parents=True, exist_ok=True)
    with open(project.folder / path, "a") as file:
        file.write(text)


def git(project, *words: str) -> None:
    subprocess.run(["git", *words], cwd=project.folder, check=True, capture_output=True)


def to_link(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))
    folder.symlink_to("elsewhere")

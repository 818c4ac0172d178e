"""The lock: written in one way, read in any, never a half."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envbuild.errors import UsageError
from envbuild.lockfile import lock as locks
from envbuild.lockfile import lock_file
from envbuild.lockfile.lock import BadLock, BasePackages, Lock, LockedStage, LockedStep, Package
from envbuild.record import values

digests = st.text("0123456789abcdef", min_size=64, max_size=64)
texts = st.text(st.characters(exclude_categories=["Cs", "Cc", "Co", "Cn"]), max_size=20)
steps = st.builds(LockedStep, texts.filter(str.strip), digests, digests)
packages = st.builds(
    lambda name, digest: Package(name, "1", f"sha256:{digest}", f"debian/pool/{name}.deb"),
    st.from_regex(r"[a-z][a-z0-9]{1,8}", fullmatch=True),
    digests,
)
several_packages = st.lists(packages, max_size=3, unique=True).map(lambda chosen: tuple(sorted(chosen, key=values)))
plain_stages = st.builds(
    LockedStage, texts, texts, digests, texts, st.integers(0, 2**33), st.lists(steps, max_size=2).map(tuple)
)
stages = plain_stages | st.builds(
    lambda stage, asked, pulled: stage.replace(packages=BasePackages(asked, pulled), released=7),
    plain_stages,
    several_packages.filter(bool),
    several_packages,
)
digest_pairs = st.dictionaries(texts, digests, max_size=2).map(lambda d: tuple(sorted(d.items())))
text_pairs = st.dictionaries(texts, texts, max_size=2).map(lambda d: tuple(sorted(d.items())))
all_locks = st.builds(
    Lock,
    texts,
    digests,
    digests,
    st.integers(0, 2**40),
    st.integers(0, 2**33),
    st.lists(stages, min_size=1, max_size=2).map(tuple),
    text_pairs,
    digest_pairs,
    digest_pairs,
)
ONE = Lock(
    "web", "1" * 64, "2" * 64, 10, 7,
    (LockedStage("1", "scratch", "3" * 64, "nothing", 7, (LockedStep("run true", "4" * 64, "5" * 64),)),),
    parameters=(("x", "yes"),), fetched=(("https://h/x", "6" * 64),),
)  # fmt: skip


@given(all_locks)
def test_a_lock_reads_back_what_was_written(lock):
    assert lock_file.parse(lock_file.dump(lock), "x.lock") == lock
    assert lock_file.from_plain(lock_file.to_plain(lock)) == lock


def test_the_text_is_line_by_line_and_sorted():
    assert lock_file.dump(ONE).splitlines()[1:] == [
        "version: 2",
        'recipe: "web"',
        f"image: sha256:{'1' * 64}",
        f"tree: sha256:{'2' * 64}",
        "size: 10",
        "epoch: 7",
        "parameters:",
        '  "x": "yes"',
        "fetched:",
        f'  "https://h/x": sha256:{"6" * 64}',
        "stages:",
        '  - stage: "1"',
        '    base: "scratch"',
        f"    digest: sha256:{'3' * 64}",
        '    origin: "nothing"',
        "    epoch: 7",
        "    steps:",
        '      - step: "run true"',
        f"        key: sha256:{'4' * 64}",
        f"        tree: sha256:{'5' * 64}",
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<<<<<<< ours\n" + lock_file.dump(ONE), "conflict markers"),
        (lock_file.dump(ONE).replace("version: 2", "version: 3"), "this envbuild knows version 2"),
        (lock_file.dump(ONE).replace("image: sha256:", "image: md5:"), "not a sha256 digest"),
        ("- a\n- b\n", "TypeError"),
        ("", "TypeError"),
        ("version: 1\n", "KeyError"),
        ("{", "not a lock"),
    ],
)
def test_a_bad_lock_is_refused_in_words(text, reason):
    with pytest.raises(BadLock, match=r"web\.lock: not a lock") as caught:
        lock_file.parse(text, "web.lock")
    assert reason in caught.value.message
    assert "git checkout" in caught.value.hint or "version: 3" in text
    assert "remove" not in caught.value.hint


@pytest.mark.parametrize(
    ("manager", "hash", "forms"),
    [
        ("apt", "md5:" + "0" * 32, "sha1: and 40"),
        ("apt", "sha1:" + "0" * 40, "sha256: and 64"),
        ("pip", "sha512:" + "0" * 128, "sha256: and 64"),
        ("pip", "sha256:" + "0" * 63, "sha256: and 64"),
        ("npm", "sha224:" + "0" * 56, "sha512: and 128"),
    ],
)
def test_a_hash_that_no_package_has_is_an_error_of_its_line(manager, hash, forms):
    package = Package("ok", "1", "sha256:" + "0" * 64, "x/y")
    step = LockedStep(f"{manager} ok", "4" * 64, "5" * 64, "6" * 64, (package,))
    text = lock_file.dump(ONE.replace(stages=(ONE.stages[0].replace(steps=(step,)),)))
    with pytest.raises(BadLock) as caught:
        lock_file.parse(text.replace(package.hash, hash), "web.env.lock")
    assert caught.value.message.startswith("web.env.lock:24: ")
    assert f"'ok' has the hash '{hash[:100]}'" in caught.value.message
    assert forms in caught.value.message
    assert "git log -p -- web.env.lock" in caught.value.hint


def test_writing_replaces_at_once_and_leaves_nothing_beside(fs):
    fs.create_file("/project/web.env.lock", contents="old")
    lock_file.write("/project/web.env.lock", "new")
    with open("/project/web.env.lock") as file:
        assert file.read() == "new"
    assert os.listdir("/project") == ["web.env.lock"]


def test_a_folder_that_can_not_be_written_keeps_the_old_lock(fs, monkeypatch):
    fs.create_file("/project/web.env.lock", contents="old")

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(UsageError, match="can't be written") as caught:
        lock_file.write("/project/web.env.lock", "new")
    assert "free space" in caught.value.hint
    assert os.listdir("/project") == ["web.env.lock"]
    with open("/project/web.env.lock") as file:
        assert file.read() == "old"


def test_a_difference_is_readable():
    other = ONE.replace(image="9" * 64)
    lines = locks.difference("web.env.lock", lock_file.dump(ONE), lock_file.dump(other)).splitlines()
    assert f"-image: sha256:{'1' * 64}" in lines
    assert f"+image: sha256:{'9' * 64}" in lines


def test_statements_are_shown_by_their_first_line():
    assert locks.first_line("run\n    a\n    b") == "run ..."
    assert locks.first_line("run a") == "run a"


def test_a_date_that_no_release_has_is_refused():
    stage = ONE.stages[0].replace(packages=BasePackages((Package("a", "1", f"sha256:{'7' * 64}", "debian/a.deb"),)))
    text = lock_file.dump(ONE.replace(stages=(stage.replace(released=7),)))
    assert lock_file.parse(text, "x.lock").stages[0].released == 7
    with pytest.raises(BadLock, match="not the date of a release"):
        lock_file.parse(text.replace("released: 7", "released: 99999999999999999"), "x.lock")

"""The lock: written in one way, read in any, never a half."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envbuild.errors import UsageError
from envbuild.linux.machine import architecture
from envbuild.lockfile import lock as locks
from envbuild.lockfile import lock_fields, lock_file
from envbuild.lockfile.lock import BadLock, BasePackages, Earlier, Lock, LockedInstall, LockedStage, Package, Section
from envbuild.lockfile.merge import merge
from envbuild.lockfile.results import LockedImage, Results, Sight
from envbuild.record import values
from envbuild.store.network_record import ANY, LISTED, MACHINE, Answer, NetworkRecord

HERE = architecture()
ELSEWHERE = "riscv64"
digests = st.text("0123456789abcdef", min_size=64, max_size=64)
texts = st.text(st.characters(), max_size=20)
long_texts = st.builds(lambda text, length: text + "x" * length, texts, st.integers(1000, 3000))
packages = st.builds(
    lambda name, digest: Package(name, "1", f"sha256:{digest}", f"debian/pool/{name}.deb"),
    st.from_regex(r"[a-z][a-z0-9]{1,8}", fullmatch=True),
    digests,
)
several_packages = st.lists(packages, max_size=3, unique_by=lambda package: package.name).map(
    lambda chosen: tuple(sorted(chosen, key=values))
)
words = st.lists(texts, max_size=3, unique=True).map(lambda chosen: tuple(sorted(chosen)))
installs = st.builds(
    LockedInstall, st.sampled_from(["apt", "pip", "npm"]), words, digests, several_packages, sources=words
)
plain_stages = st.builds(
    LockedStage, texts, texts, digests, texts, st.integers(0, 2**33), st.lists(installs, max_size=2).map(tuple)
).filter(lambda stage: not stage.follows)
stages = plain_stages | st.builds(
    lambda stage, asked, pulled: stage.replace(packages=BasePackages(asked, pulled), released=7),
    plain_stages,
    several_packages.filter(bool),
    several_packages,
)
digest_pairs = st.dictionaries(texts | long_texts, digests, max_size=2).map(lambda d: tuple(sorted(d.items())))
text_pairs = st.dictionaries(texts | long_texts, texts, max_size=2).map(lambda d: tuple(sorted(d.items())))
hosts = st.lists(st.sampled_from(["a.example:80", "[2001:db8::1]:443", "********:1"]), unique=True).map(
    lambda chosen: tuple(sorted(chosen))
)
answers = st.builds(
    Answer,
    st.sampled_from(["GET", "#", "!-"]),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20).map(lambda text: f"http://a/{text}"),
    st.integers(100, 599),
    digests,
    st.integers(0, 2**40),
)
networks = st.builds(
    NetworkRecord,
    st.sampled_from([ANY, LISTED, MACHINE]),
    hosts,
    hosts,
    st.lists(answers, max_size=3, unique=True).map(lambda chosen: tuple(sorted(chosen, key=values))),
    st.integers(0, 2**40),
)
results = st.builds(
    Results,
    st.dictionaries(digests, st.tuples(digests), max_size=3),
    st.dictionaries(digests, st.tuples(st.builds(Sight, digests, digests, digests)), max_size=2),
    st.lists(st.builds(LockedImage, digests, digests, st.integers(0, 2**40)), max_size=1).map(tuple),
    st.dictionaries(digests, networks, max_size=2),
)


commits = st.dictionaries(
    (texts | long_texts).map(lambda text: f"git+https://h/{text}"),
    st.sampled_from(["1" * 40, f"tag {'2' * 40}", "3" * 64]),
    max_size=2,
).map(lambda d: tuple(sorted(d.items())))


def sections(name: str):
    return st.builds(
        Section, st.just(name), st.lists(stages, max_size=2).map(tuple), digest_pairs, digest_pairs, results, commits
    )


all_locks = st.builds(
    Lock,
    texts,
    sections(HERE),
    text_pairs,
    st.just(()) | sections(ELSEWHERE).map(lambda section: (section,)),
    st.sampled_from(["", "P7D"]),
)
BASE = LockedStage("1", "debian:bookworm", "3" * 64, "archive", 7)
APT = LockedInstall("apt", ("jq", "zip"), "6" * 64, (Package("zip", "3.0", f"sha256:{'7' * 64}", "debian/zip.deb"),))
RESULTS = Results(
    {"4" * 64: ("5" * 64,)},
    {"8" * 64: (Sight("9" * 64, "a" * 64, "b" * 64),)},
    (LockedImage("1" * 64, "2" * 64, 10),),
)
OWN = Section(HERE, (BASE.replace(installs=(APT,)),), (("https://h/x", "6" * 64),), (), RESULTS)
ONE = Lock("web", OWN, parameters=(("x", "yes"),))


@given(all_locks)
def test_a_lock_reads_back_what_was_written(lock):
    assert lock_file.parse(lock_file.dump(lock), "x.lock") == lock
    assert lock_fields.from_plain(lock_fields.to_plain(lock)) == lock


def test_a_commit_of_a_repository_has_a_line_that_merges_and_is_checked():
    url = "git+https://h/x@main"
    lock = ONE.replace(own=OWN.replace(commits=((url, "1" * 40),)))
    text = lock_file.dump(lock)
    assert f'    commits:\n      "{url}": {"1" * 40}\n    stages:' in text
    assert f"fetched {url}" not in locks.readable(lock)  # its file is not in this lock
    theirs = lock.replace(own=lock.own.replace(commits=((url, f"tag {'2' * 40}"),), fetched=((url, "7" * 64),)))
    assert merge(lock, lock, theirs).lock.own.commits == theirs.own.commits
    assert f"fetched {url} tag {'2' * 20}, {'7' * 20}" in locks.readable(theirs)
    for commit in ("main", "1" * 39, "tag", f"branch {'1' * 40}", f"--{'1' * 40}"):
        with pytest.raises(BadLock, match="not a commit of a git repository"):
            lock_file.parse(text.replace(f": {'1' * 40}", f": {commit}"), "x.lock")
    with pytest.raises(BadLock, match="not a commit of a git repository"):
        lock_file.parse(text.replace(url, "https://h/x"), "x.lock")


def test_the_text_is_line_by_line_and_sorted():
    assert lock_file.dump(ONE).splitlines()[1:] == [
        "version: 3",
        "compatibility: 1",
        'recipe: "web"',
        "parameters:",
        '  "x": "yes"',
        "",
        "# What a build takes: review it, and let git merge it.",
        "pins:",
        f"  {HERE}:",
        "    fetched:",
        f'      "https://h/x": sha256:{"6" * 64}',
        "    stages:",
        '      - stage: "1"',
        '        base: "debian:bookworm"',
        f"        digest: sha256:{'3' * 64}",
        '        origin: "archive"',
        "        epoch: 7",
        "        installs:",
        "          - install: apt",
        "            wants:",
        '              - "jq"',
        '              - "zip"',
        "            packages:",
        f'              - {{name: "zip", version: "3.0", hash: "sha256:{"7" * 64}", from: "debian/zip.deb"}}',
        f"            asks: sha256:{'6' * 64}",
        "",
        "# What came of it. Each line stands for itself; a build adds those that are missing.",
        "# Lines that nobody asks for any more do no harm: leave them to the next build.",
        "# After a merge without `envbuild git install`, keep the lines of both sides.",
        "results:",
        f"  - {HERE} image {'1' * 64} {'2' * 64} 10",
        f"  - {HERE} seen {'8' * 64} {'9' * 64} {'a' * 64} {'b' * 64}",
        f"  - {HERE} step {'4' * 64} {'5' * 64}",
    ]


@pytest.mark.parametrize("character", ["\u2028", "\u2029", "\x85", "\x7f", "\ufeff", "\ud800"])
def test_characters_that_yaml_takes_for_others_are_escapes(character):
    lock = ONE.replace(parameters=((f"a{character}b", f"c{character}d"),))
    assert lock_file.parse(lock_file.dump(lock), "x.lock") == lock


def test_an_address_longer_than_a_key_may_be_has_a_line_of_its_own():
    shortest, longest = f"https://h/{'x' * 1012}", f"https://h/{'x' * 1013}"
    lock = ONE.replace(own=OWN.replace(fetched=((shortest, "6" * 64), (longest, "7" * 64))))
    lines = lock_file.dump(lock).splitlines()
    assert f'      "{shortest}": sha256:{"6" * 64}' in lines
    at = lines.index(f'      ? "{longest}"')
    assert lines[at + 1] == f"      : sha256:{'7' * 64}"
    assert lock_file.parse("\n".join(lines), "x.lock") == lock
    with pytest.raises(BadLock):  # two branches renewed it, and git kept both lines
        lock_file.parse("\n".join([*lines[: at + 2], f"      : sha256:{'8' * 64}", *lines[at + 2 :]]), "x.lock")


def test_what_follows_from_another_stage_or_recipe_is_not_pinned():
    stage = LockedStage("2", "build", "", "stage build", 0)
    text = lock_file.dump(ONE.replace(own=OWN.replace(stages=(BASE, stage))))
    assert text.count("digest:") == text.count("epoch:") == 1
    assert lock_file.parse(text, "web.env.lock").stages[1] == stage


def test_other_architectures_stay_and_are_no_word_about_this_one():
    other = OWN.replace(architecture=ELSEWHERE)
    text = lock_file.dump(ONE.replace(own=Section(HERE), others=(other,)))
    lock = lock_file.parse(text, "web.env.lock")
    assert (lock.image, lock.stages, lock.others) == ("", (), (other,))
    assert lock_file.dump(lock) == text


class TestBothSidesOfAMerge:
    """git kept the lines of both sides (merge=union), wherever it did."""

    def twice(self, *lines: str):
        text = lock_file.dump(ONE)
        for line in lines:
            head, _, tail = text.partition(f"{line}\n")
            text = f"{head}{line}\n{line.replace('3' * 64, 'c' * 64).replace('5' * 64, 'd' * 64)}\n{tail}"
        return lock_file.parse(text, "web.env.lock")

    def test_a_line_that_both_have_is_one(self):
        assert self.twice(f"  - {HERE} image {'1' * 64} {'2' * 64} 10", '              - "zip"') == ONE

    def test_a_base_that_both_renewed_is_unknown_with_its_packages(self):
        stage = self.twice(f"        digest: sha256:{'3' * 64}").stages[0]
        assert (stage.digest, stage.packages.all) == ("", ())
        assert stage.installs == (APT,)

    def test_two_trees_for_one_key_are_both_there(self):
        lock = self.twice(f"  - {HERE} step {'4' * 64} {'5' * 64}")
        assert lock.results.steps == {"4" * 64: ("5" * 64, "d" * 64)}

    def test_two_images_are_none_that_is_known(self):
        text = lock_file.dump(ONE) + f"  - {HERE} image {'e' * 64} {'2' * 64} 11\n"
        lock = lock_file.parse(text, "web.env.lock")
        assert (lock.image, lock.size, len(lock.results.images)) == ("", 0, 2)

    def test_lists_and_maps_that_both_began_are_joined(self):
        text = lock_file.dump(ONE)
        pip = "        installs:\n          - install: pip\n            asks: unknown\n            packages: []\n"
        text = text.replace("        installs:\n", f"{pip}        installs:\n")
        text = text.replace("    fetched:\n", f'    fetched:\n      "https://h/y": sha256:{"0" * 64}\n    fetched:\n')
        lock = lock_file.parse(text, "web.env.lock")
        assert [install.manager for install in lock.stages[0].installs] == ["pip", "apt"]
        assert [url for url, _ in lock.own.fetched] == ["https://h/x", "https://h/y"]

    def test_wants_that_stand_behind_packages_are_wants(self):
        package = APT.packages[0]
        text = lock_file.dump(ONE)
        line = lock_file.package_line(package)
        other = lock_file.package_line(package.replace(name="jq"))
        text = text.replace(
            line, f'{other}\n              - "zip"\n              - "tar"\n            packages:\n{line}'
        )
        install = lock_file.parse(text, "web.env.lock").stages[0].installs[0]
        assert install.wants == ("jq", "tar", "zip")
        assert [known.name for known in install.packages] == ["jq", "zip"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<<<<<<< ours\n" + lock_file.dump(ONE), "conflict markers"),
        (lock_file.dump(ONE).replace("version: 3", "version: 4"), "this envbuild knows version 3"),
        (lock_file.dump(ONE).replace("compatibility: 1", "compatibility: 2"), "this envbuild knows 1"),
        (lock_file.dump(ONE).replace("digest: sha256:", "digest: md5:"), "not a sha256 digest"),
        (lock_file.dump(ONE).replace(" step ", " stop "), "is not a result that a lock has"),
        (lock_file.dump(ONE).replace(f" {HERE} image ", " ../x image "), "is not an architecture"),
        (lock_file.dump(ONE).replace("install: apt", 'install: "../x"'), "is not a package manager"),
        (lock_file.dump(ONE).replace("version: 3", "version: 3\nversion: 2"), "two branches wrote it"),
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
    assert "git checkout" in caught.value.hint or "version: 4" in text or "compatibility: 2" in text
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
    install = LockedInstall(manager, ("ok",), "6" * 64, (package,))
    text = lock_file.dump(ONE.replace(own=OWN.replace(stages=(BASE.replace(installs=(install,)),))))
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
    image = LockedImage("f" * 64, "2" * 64, 10)
    other = ONE.replace(own=OWN.replace(results=RESULTS.replace(images=(image,))))
    lines = locks.difference("web.env.lock", lock_file.dump(ONE), lock_file.dump(other)).splitlines()
    assert f"-  - {HERE} image {'1' * 64} {'2' * 64} 10" in lines
    assert f"+  - {HERE} image {'f' * 64} {'2' * 64} 10" in lines


def test_statements_are_shown_by_their_first_line():
    assert locks.first_line("run\n    a\n    b") == "run ..."
    assert locks.first_line("run a") == "run a"


def test_a_date_that_no_release_has_is_refused():
    stage = BASE.replace(packages=BasePackages((Package("a", "1", f"sha256:{'7' * 64}", "debian/a.deb"),)), released=7)
    text = lock_file.dump(ONE.replace(own=OWN.replace(stages=(stage,))))
    assert lock_file.parse(text, "x.lock").stages[0].released == 7
    with pytest.raises(BadLock, match="not the date of a release"):
        lock_file.parse(text.replace("released: 7", "released: 99999999999999999"), "x.lock")


VERSION_2 = f"""\
version: 2
recipe: "web"
image: sha256:{"1" * 64}
tree: sha256:{"2" * 64}
size: 10
epoch: 7
parameters:
  "x": "yes"
stages:
  - stage: "1"
    base: "debian:bookworm"
    digest: sha256:{"3" * 64}
    origin: "archive"
    epoch: 7
    steps:
      - step: "apt ..."
        key: sha256:{"4" * 64}
        tree: sha256:{"2" * 64}
        asks: sha256:{"6" * 64}
        sees: sha256:{"9" * 64}
        packages:
          - {{name: "zip", version: "3.0", hash: "sha256:{"7" * 64}", from: "debian/zip.deb"}}
"""


def test_a_lock_of_version_2_is_read_with_all_that_it_says():
    lock = lock_file.parse(VERSION_2, "web.env.lock")
    assert (lock.version, lock.is_earlier, lock.parameters) == (2, False, ONE.parameters)
    assert lock.results == Results({"4" * 64: ("2" * 64,)}, {}, (LockedImage("1" * 64, "2" * 64, 10),))
    (install,) = lock.stages[0].installs
    assert (install.manager, install.packages) == ("apt", APT.packages)
    assert install.earlier == Earlier("6" * 64, "9" * 64, "4" * 64, "3" * 64, 7)
    # What git makes of it and a lock of now, or a merge of two, keeps how a build knows the question again.
    again = lock_file.parse(lock_file.dump(lock), "web.env.lock")
    assert again == lock.replace(version=3)


def test_version_1_is_of_an_earlier_compatibility():
    lock = lock_file.parse(VERSION_2.replace("version: 2", "version: 1"), "web.env.lock")
    assert (lock.is_earlier, lock.compatibility) == (True, 0)
    assert lock.stages[0].installs[0].packages == APT.packages

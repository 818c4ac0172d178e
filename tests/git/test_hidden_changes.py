"""Nothing hides in the readable diff of a lock: content that changed although no version did comes first and in red."""

import json
from pathlib import Path

import pytest

from envbuild.linux.machine import architecture
from envbuild.lockfile.lock import BasePackages, Lock, LockedInstall, LockedStage, Package, Section
from envbuild.lockfile.lock_file import dump
from envbuild.lockfile.results import LockedImage, Results
from envbuild.packages import pin_changes

RED = "\x1b[1;31m"
SAME = "same version, other content"


def package(name: str, version: str, digit: str, origin: str = "debian/pool/main/n/x.deb") -> Package:
    return Package(name, version, f"sha256:{digit * 64}", origin)


def lock(
    *packages: Package,
    base: str = "b",
    made_of: tuple[Package, ...] = (),
    manager: str = "apt",
    image: str = "4",
    **more,
) -> Lock:
    install = LockedInstall(manager, ("nginx",), "3" * 64, packages, sources=more.pop("sources", ()))
    origin = more.pop("origin", "debian bookworm, 12.5 of 2024-02-10")
    stage = LockedStage(
        "1", "debian:bookworm", base * 64, origin, 9, (install,), BasePackages(made_of), 5 if made_of else 0
    )
    results = Results({"1" * 64: ("2" * 64,)}, {}, (LockedImage(image * 64, "2" * 64, 5),))
    return Lock("web", Section(more.pop("arch", architecture()), (stage,), results=results, **more))


NGINX, FLASK = package("nginx", "1.22", "a"), package("flask", "3.0", "c", "index/flask-3.0-py3-none-any.whl")
LESS = package("less", "590-2", "d")
GIT = "git+https://x.test/r@v1"
BEFORE = lock(
    NGINX,
    made_of=(LESS,),
    fetched=(("https://x.test/f", "e" * 64), (GIT, "e" * 64)),
    commits=((GIT, "1" * 40),),
)


@pytest.fixture
def changed(project, git):
    """A repository in whose last commit the lock of web.env is another one."""

    def commit(before: Lock, after: Lock):
        project.write("web.env", "from debian:bookworm", "apt nginx")
        path = Path(project.folder / "web.env.lock")
        path.write_text(dump(before))
        git.commit("before")
        done = project.command("git", "install")
        assert done.code == 0, done.err
        path.write_text(dump(after))
        git("add", "-A")
        git("commit", "--quiet", "--no-verify", "-m", "after")
        return project

    return commit


def pins(project) -> list[dict]:
    (change,) = json.loads(project.command("git", "check", "HEAD~1..HEAD", "--format", "json").out)
    return change["pins"]


def test_other_content_of_the_same_version_is_first_and_red(changed, git):
    added = package("zip", "3.0", "f")
    after = lock(NGINX.replace(hash=f"sha256:{'9' * 64}"), added, made_of=(LESS,), fetched=BEFORE.own.fetched)
    project = changed(BEFORE, after)
    text = f"{SAME}: apt nginx 1.22 (sha256:aaaaaaaaaaaa -> sha256:999999999999)"
    shown = git("diff", "HEAD~1..HEAD")
    first, second, *rest = shown.splitlines()
    assert (first, second) == ("diff of web.env.lock", f"! {text}")
    assert "-      apt nginx 1.22 (aaaaaaaaaaaaaaaaaaaa, debian/pool/main/n)" in rest
    assert "+      apt nginx 1.22 (99999999999999999999, debian/pool/main/n)" in rest
    git("config", "color.diff", "always")
    assert f"{RED}! {text}\x1b[0m" in git("diff", "HEAD~1..HEAD")
    git("config", "color.diff", "auto")
    git.environment["GIT_PAGER_IN_USE"] = "true"
    assert f"{RED}! {text}\x1b[0m" in git("diff", "HEAD~1..HEAD")
    del git.environment["GIT_PAGER_IN_USE"]
    # `git log -p` shows one side at a time to a converter: the lines differ.
    logged = git("log", "-p", "-1")
    assert "+      apt nginx 1.22 (99999999999999999999" in logged
    assert SAME in git("log", "-p", "--ext-diff", "-1")
    (change,) = pins(project)
    assert (change["kind"], change["name"], change["alarming"], change["text"]) == ("content", "nginx", True, text)
    comment = project.command("git", "check", "HEAD~1..HEAD").out
    assert comment.splitlines()[2:5] == ["> [!CAUTION]", "> **`web.env`**", f"> - `{text}`"]


@pytest.mark.parametrize(
    ("after", "text", "alarming"),
    [
        (
            lock(NGINX.replace(origin="evil/pool/x.deb"), made_of=(LESS,), fetched=BEFORE.own.fetched),
            "same file, other source: apt nginx 1.22 (debian/pool/main/n/x.deb -> evil/pool/x.deb)",
            True,
        ),
        (
            lock(NGINX, made_of=(package("less", "590-2", "9"),), fetched=BEFORE.own.fetched),
            f"{SAME}: base less 590-2 (sha256:dddddddddddd -> sha256:999999999999)",
            True,
        ),
        (
            lock(NGINX, base="8", made_of=(LESS,), fetched=BEFORE.own.fetched),
            "base debian:bookworm of stage 1: bbbbbbbbbbbb -> 888888888888 (no package moved, other content)",
            True,
        ),
        (
            lock(
                NGINX,
                base="8",
                made_of=(package("less", "590-3", "9"),),
                origin="debian bookworm, 12.6 of 2024-06-29",
                fetched=BEFORE.own.fetched,
            ),
            "base debian:bookworm of stage 1: bbbbbbbbbbbb -> 888888888888 (debian bookworm, 12.5 of 2024-02-10 -> "
            "debian bookworm, 12.6 of 2024-06-29; 1 package moved)",
            False,
        ),
        (
            lock(NGINX, made_of=(LESS,), fetched=(("https://x.test/f", "7" * 64),)),
            "same address, other content: fetch https://x.test/f (eeeeeeeeeeee -> 777777777777)",
            True,
        ),
        *(
            (
                lock(NGINX, made_of=(LESS,), fetched=((GIT, "7" * 64),), commits=((GIT, f"{tag}{commit * 40}"),)),
                text,
                alarming,
            )
            for tag, commit, text, alarming in (
                ("tag ", "2", f"same tag, other commit: fetch {GIT} (111111111111 -> 222222222222)", True),
                ("", "2", f"another commit: fetch {GIT} (111111111111 -> 222222222222)", False),
                ("", "1", f"same address, other content: fetch {GIT} (eeeeeeeeeeee -> 777777777777)", True),
            )
        ),
    ],
)
def test_what_else_no_version_tells(after, text, alarming):
    assert (text, alarming) in [(change.text, change.alarming) for change in pin_changes.pin_changes(BEFORE, after)]


def test_sources_that_are_not_this_machines_are_named(monkeypatch):
    class Source:
        uri = "http://mirror.test/debian/"

    monkeypatch.setattr(pin_changes, "machine_sources", lambda: [Source])
    after = lock(NGINX, package("tool", "1", "c", "extra/pool/tool_1_all.deb"), sources=("http://other.test/extra",))
    (change,) = pin_changes.pin_changes(lock(NGINX), after)
    assert change.text == "apt tool 1: from http://other.test/extra, not this machine's mirror"
    after = lock(NGINX, package("tool", "1", "c", "vendor/pool/tool_1_all.deb"))
    (change,) = pin_changes.pin_changes(None, after)
    assert change.text == "apt tool 1: from a source that ends in /vendor, which is none of this machine's"
    direct = FLASK.replace(origin="build/https://x.test/flask-3.0.tar.gz")
    (change,) = pin_changes.pin_changes(lock(manager="pip"), lock(direct, manager="pip"))
    assert change.text == "pip flask 3.0: from https://x.test/flask-3.0.tar.gz, not this machine's index"
    assert pin_changes.pin_changes(None, lock(FLASK, manager="pip")) == []


def test_the_pins_for_another_architecture_are_compared_too():
    other = lock(NGINX, arch="m68k").own
    after = other.replace(stages=lock(NGINX.replace(hash=f"sha256:{'9' * 64}")).stages)
    (change,) = pin_changes.pin_changes(BEFORE.replace(others=(other,)), BEFORE.replace(others=(after,)))
    assert change.alarming
    assert change.text == f"{SAME}: apt nginx 1.22 (sha256:aaaaaaaaaaaa -> sha256:999999999999) on m68k"


def test_what_a_terminal_would_act_on_is_escaped(changed, git):
    bad = dump(lock(NGINX, fetched=(("https://x.test/\u202ef", "7" * 64),)))
    assert "\u202e" in bad
    changed(
        lock(NGINX, fetched=(("https://x.test/\u202ef", "6" * 64),)),
        lock(NGINX, fetched=(("https://x.test/\u202ef", "7" * 64),)),
    )
    assert "\u202e" not in git("diff", "HEAD~1..HEAD")


def test_a_lock_that_is_new_gone_or_none_is_shown_as_well(changed, git):
    project = changed(BEFORE, lock(NGINX, made_of=(LESS,), fetched=BEFORE.own.fetched, image="5"))
    assert git("diff", "HEAD~1..HEAD").splitlines()[1].startswith("--- a/web.env.lock")
    path = project.folder / "web.env.lock"
    path.write_text("<<<<<<< ours\n")
    assert "+<<<<<<< ours" in git("diff").splitlines()
    path.unlink()
    assert git("diff").splitlines()[1:3] == ["--- a/web.env.lock", "+++ /dev/null"]
    later = lock(NGINX, made_of=(LESS,), fetched=BEFORE.own.fetched, image="5")
    path.write_text(dump(later).replace("step 11", "step f1"))
    assert git("diff").splitlines()[1] == "only what follows from other lines differs: keys and trees"
    # Patches are made of what is in the files.
    assert f"+  - {architecture()} step f1" in git("format-patch", "--stdout", "-1") + git(
        "diff", "--no-ext-diff", "--no-textconv"
    )


def test_a_registrys_other_image_of_the_same_files_is_told():
    """Its facts are others: another start command, for one."""

    def locked(origin: str) -> Lock:
        stage = LockedStage("1", "registry:localhost:5000/web:1", "b" * 64, origin, 9)
        return Lock("web", Section(architecture(), (stage,)))

    first, second = (f"manifest sha256:{digit * 64}" for digit in "12")
    (change,) = pin_changes.pin_changes(locked(first), locked(second))
    assert "manifest sha256:111111111111 -> manifest sha256:222222222222" in change.text
    assert not pin_changes.pin_changes(locked(first), locked(f"{first} of index sha256:{'3' * 64}"))

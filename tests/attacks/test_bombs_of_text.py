"""Locks and files of services that a few lines make gigabytes of, or that keep a reader busy for ever."""

from __future__ import annotations

import pytest

from envbuild.linux.machine import architecture
from envbuild.lockfile import lock as locks
from envbuild.lockfile import lock_file
from tests.attacks import lowered
from tests.attacks.limited import limited, within
from tests.conftest import Project

HEAD = "version: 1\nrecipe: web.env\nimage: unknown\ntree: unknown\nsize: 0\nepoch: 0\nstages: []\n"

NOW = "version: 3\ncompatibility: 1\nrecipe: web\npins: {}\n"
STAGE = "{stage: a, base: b, origin: c, installs: [{install: apt, asks: unknown, wants: {a: b}}]}"

LOCKS = {
    "aliases": "a: &a [x,x,x,x,x,x,x,x,x]\n"
    + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{','.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(8))
    + HEAD,
    "one-alias": "a: &a 1\nb: *a\n" + HEAD,
    "merge-keys": "a: &a {x: 1}\n<<: *a\n" + HEAD,
    "deep": "a: " + "[" * 100_000 + "\n" + HEAD,
    "deep-blocks": "".join(f"{' ' * n}- \n" for n in range(1_500)) + HEAD,
    "many": "a: [" + "x," * 260_000 + "]\n" + HEAD,
    "large": HEAD,  # with a comment that is longer than a lock may be
    "digits": HEAD.replace("size: 0", "size: " + "9" * 10_000),
    "sexagesimal": HEAD.replace("size: 0", "size: 1:2:3"),
    "not-a-date": HEAD.replace("size: 0", "size: 2001-99-99"),
    "binary": HEAD.replace("size: 0", "size: !!binary x"),
    "float": HEAD.replace("epoch: 0", "epoch: .inf"),
    "steps": HEAD.replace(
        "stages: []", "stages: [{stage: a, base: b, digest: unknown, origin: c, epoch: 0, steps: {a: b}}]"
    ),
    "words": HEAD.replace("stages: []", "stages: [a, b]"),
    "text": HEAD.replace("stages: []", "stages: words"),
    "pairs": HEAD + "fetched: words\n",
    "nothing": "",
    "list": "- a\n",
    "results": NOW + "results: {a: b}\n",
    "digits-of-an-image": NOW + f"results: [amd64 image {'0' * 64} {'0' * 64} {'9' * 5_000}]\n",
    "architecture": NOW.replace("pins: {}", "pins: {../x: {}}") + "results: []\n",
    "wants": NOW.replace("pins: {}", f"pins: {{amd64: {{stages: [{STAGE}]}}}}") + "results: []\n",
    "a-later-number": NOW.replace("compatibility: 1", "compatibility: 99999999999999999") + "results: []\n",
}


LONG = ("many",)
"""Nightly: PyYAML takes seconds to read values up to the bounds. CI sees them lower."""


def without_long(cases: dict[str, str]) -> list:
    return [pytest.param(case, marks=pytest.mark.nightly if case in LONG else ()) for case in cases]


@pytest.mark.parametrize("case", without_long(LOCKS))
def test_a_lock_is_read_within_bounds(case: str):
    text = LOCKS[case] + ("#" * 17_000_000 if case == "large" else "")

    def read() -> None:
        with pytest.raises(lock_file.BadLock) as bad:
            lock_file.parse(text, "web.env.lock")
        assert len("".join(bad.value.text())) < 2_000

    within(read, memory=600 << 20, seconds=40)


def test_more_values_than_a_lock_may_have(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lock_file, "MAX_VALUES", 1_000)
    with pytest.raises(lock_file.BadLock, match="more than 1,000 values"):
        lock_file.parse("a: [" + "x," * 1_001 + "]\n" + HEAD, "web.env.lock")


@pytest.mark.parametrize("case", ["aliases", "deep", "large"])
def test_a_build_refuses_what_is_no_lock(project: Project, case: str):
    project.write("web.env", "from tar:busybox.tar")
    (project.folder / "web.env.lock").write_text(LOCKS[case] + ("#" * 17_000_000 if case == "large" else ""))
    done = limited(project, "build", "web.env", memory=600 << 20, seconds=40)
    assert done.returncode == 2, done.stderr
    assert "not a lock that envbuild can read" in done.stderr
    assert len(done.stderr) < 2_000


def test_a_large_lock_is_read(project: Project):
    """Two thousand packages are many, and allowed."""
    packages = tuple(
        locks.Package(f"package{n}", f"1.{n}", "sha256:" + "0" * 64, f"package{n}.deb") for n in range(2_000)
    )
    install = locks.LockedInstall("apt", ("many",), "2" * 64, packages)
    stage = locks.LockedStage("1", "tar:busybox.tar", "3" * 64, "tar", 0, (install,))
    lock = locks.Lock("web.env", locks.Section(architecture(), (stage,)))
    (read,) = lock_file.parse(lock_file.dump(lock), "web.env.lock").stages[0].installs
    assert read.packages == tuple(sorted(packages, key=lambda package: package.name))


SERVICES = {
    "aliases": "x-a: &a [x,x,x,x,x,x,x,x,x]\n"
    + "".join(f"x-{chr(98 + n)}: &{chr(98 + n)} [{','.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(8)),
    "deep": "services: " + "[" * 20_000,
    "deep-maps": "services: " + "{a: " * 20_000,
    "many": "services: [" + "x," * 300_000 + "]\n",
    "unknown-keys": "services:\n  web:\n    image: web\n" + "".join(f"    k{n}: 1\n" for n in range(1_500)),
    "a-long-key": "services:\n  web:\n    image: web\n    ? " + "k" * 500_000 + "\n    : 1\n",
    "one-long-line": "services: {" + ", ".join(f"s{n}: {{bad: 1}}" for n in range(1_000)) + "}\n",
    "references": 'services: {web: {image: "' + "${A:-" * 5_000 + "x" + "}" * 5_000 + '"}}\n',
    "growing": 'services: {web: {image: "' + "$BIG" * 100_000 + '"}}\n',
}


@pytest.mark.parametrize("case", without_long(SERVICES))
def test_a_file_of_services_is_read_within_bounds(project: Project, case: str):
    project.write("services.yaml", SERVICES[case])
    project.environment["BIG"] = "x" * 100_000
    done = limited(project, "up", "-f", "services.yaml", memory=600 << 20, seconds=40)
    assert done.returncode == 2, done.stderr
    assert "error" in done.stderr
    assert len(done.stderr) < 200_000


def test_more_values_than_a_file_of_services_may_have(project: Project):
    project.write("services.yaml", "services: [" + "x," * 1_001 + "]")
    done = project.call(lowered.few_values, "up", "-f", "services.yaml")
    assert done.returncode == 2, done.stderr
    assert "too many values" in done.stderr


def test_variables_that_double_with_each_line_end(project: Project):
    project.write("services.yaml", "services: {web: {image: web}}")
    doubling = "A0=" + "x" * 1000 + "\n" + "".join(f"A{n + 1}=$A{n}$A{n}\n" for n in range(60))
    project.write(".env", doubling)
    done = limited(project, "up", "-f", "services.yaml", memory=600 << 20, seconds=40)
    assert done.returncode == 2
    assert "characters" in done.stderr


def test_a_file_of_many_variables_takes_no_time(project: Project):
    project.write("services.yaml", "services: {web: {image: $V99999}}")
    project.write(".env", *(f"V{n}=" for n in range(110_000)))
    done = limited(project, "up", "-f", "services.yaml", memory=600 << 20, seconds=40)
    assert "ended by signal" not in done.stderr

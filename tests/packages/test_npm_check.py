"""What npm_check.js says of packages that npm has not chosen together, run by this machine's Node as in an image."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from envbuild.packages import npm_tasks
from envbuild.packages.manager import CHECK_ALL, CHECK_OTHERS

SCRIPT = Path(npm_tasks.__file__).parent / "inside/npm_check.js"
SEMVERS = ("/usr/lib/node_modules/npm/node_modules/semver", "/usr/share/nodejs/semver")
pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed")

RANGES = """\
const ours = require(process.argv[1]).satisfies
const semver = require(process.argv[2])
const labels = ['', '-0', '-alpha', '-alpha.1', '-alpha.10', '-rc.1', '+b']
const versions = ['0.0.0', '0.0.3', '0.1.0', '0.1.3', '1.0.0', '1.0.1', '1.2.0', '1.2.3', '2.0.0', '10.2.1']
  .flatMap(version => labels.map(label => version + label))
const parts = ['*', 'x', '0', '1', '1.x', '1.2', '1.2.x', '0.0', '0.1', '0.0.3', '0.1.0', '1.2.3', 'v1.2.3',
  '1.2.3-alpha.1', '0.0.3-rc.1', '1.0.0-0', '2.0.0+b']
const signs = ['', '=', '^', '~', '~>', '>', '>=', '<', '<=', '^ ', '>= ', '~ ']
const ranges = [...signs.flatMap(sign => parts.map(part => sign + part)), '1 ||', '|| 1', '>1 <3 || 10', ' ^1.0.0  ',
  ...parts.flatMap(a => parts.flatMap(b => [`${a} - ${b}`, `>=${a} <${b}`, `~${a} >1.0.0`]))]
for (const range of ranges) {
  for (const version of versions) {
    // For what is called "*", npm takes every version (its own dep-valid.js).
    if (ours(version, range) !== (range === '*' || semver.satisfies(version, range))) {
      console.log(JSON.stringify(range), version, ours(version, range))
    }
  }
}
for (const text of ['latest', 'git+ssh://a/b', 'a/b', 'file:../b', '1.x.3', '=='.padEnd(300, '1'), '1 nonsense']) {
  if (ours('1.0.0', text) !== undefined) console.log(text, 'is no range')
}
console.log(ranges.length * versions.length)
"""


def test_ranges_mean_what_npm_takes_them_for():
    semver = next((path for path in SEMVERS if os.path.exists(path)), None)
    if semver is None:
        pytest.skip("npm is not installed, whose own reading is compared")
    done = subprocess.run(["node", "-e", RANGES, SCRIPT, semver], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (f"{(204 + 4 + 3 * 17 * 17) * 70}\n", "")


@pytest.fixture
def said(tmp_path):
    """Returns what the check says of packages by their paths, of which those in `installed` came last."""

    def say(packages: dict[str, dict], installed: list[str], how: str = CHECK_ALL, **variables: str) -> list[str]:
        for path, about in packages.items():
            folder = tmp_path / "app" / (f"node_modules/{path}" if path else "")
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "package.json").write_text(json.dumps(about))
        order = tmp_path / "order.json"
        order.write_text(json.dumps({"into": str(tmp_path / "app"), "install": [{"path": name} for name in installed]}))
        words = ["node", SCRIPT, order, how]
        done = subprocess.run(words, capture_output=True, text=True, timeout=30, env={**os.environ, **variables})
        problem = "the packages of the lock don't go together\n" if done.stdout else ""
        assert (done.stderr, done.returncode) == (problem, 1 if problem else 0)
        return done.stdout.splitlines()

    return say


PAD_1, PAD_2 = {"version": "1.0.0"}, {"version": "2.0.0"}
BOX = {"version": "1.5.0", "dependencies": {"pad": "^1.0.0"}}


def test_what_a_package_needs_in_another_version_is_told(said):
    (line,) = said({"box": BOX, "pad": PAD_2}, ["box", "pad"])
    assert line == "box 1.5.0 requires pad@^1.0.0, but pad 2.0.0 is installed"
    assert npm_tasks.apart(f"unpacked\n{line}\n") == {"box", "pad"}


def test_node_finds_the_nearest_one(said):
    assert said({"box": BOX, "pad": PAD_2, "box/node_modules/pad": PAD_1}, ["box", "pad", "box/node_modules/pad"]) == []
    deep = {"a": {"version": "1.0.0"}, "a/node_modules/@b/box": BOX, "a/node_modules/pad": PAD_2, "pad": PAD_1}
    (line,) = said(deep, ["a/node_modules/@b/box"])
    assert line == "a/node_modules/@b/box 1.5.0 requires pad@^1.0.0, but a/node_modules/pad 2.0.0 is installed"
    assert npm_tasks.apart(line) == {"a/node_modules/@b/box", "a/node_modules/pad"}


def test_what_is_missing_is_told_unless_it_may_be(said):
    about = {**BOX, "optionalDependencies": {"may": "1"}, "peerDependencies": {"peer": "1"}}
    (line,) = said({"box": about}, ["box"])
    assert line == "box 1.5.0 requires pad@^1.0.0, which is not installed"
    assert npm_tasks.apart(line) == {"box"}


def test_a_peer_in_another_version_is_told_unless_npm_is_not_to_look_at_peers(said):
    packages = {"box": {"version": "1.0.0", "peerDependencies": {"pad": "1"}}, "pad": PAD_2}
    assert said(packages, ["box"]) == ["box 1.0.0 requires pad@1, but pad 2.0.0 is installed"]
    assert said(packages, ["box"], npm_config_legacy_peer_deps="true") == []


def test_packages_that_npm_chose_together_are_held_against_the_others_alone(said):
    packages = {"box": {**BOX, "dependencies": {"pad": "1", "gone": "1"}}, "pad": PAD_2}
    assert said(packages, ["box", "pad"], CHECK_OTHERS) == []
    assert said(packages, ["box"], CHECK_OTHERS) == ["box 1.5.0 requires pad@1, but pad 2.0.0 is installed"]
    assert said(packages, ["pad"], CHECK_OTHERS) == [], "what npm does not know of stays so when it is asked again"
    packages["box"] = {"version": "1.0.0", "peerDependencies": {"pad": "1"}}
    assert said(packages, ["box"], CHECK_OTHERS) == [], "npm takes other peers, with a warning"


def test_the_project_says_what_it_needs_and_what_it_overrides(said):
    packages = {"": {"dependencies": {"pad": "1", "none": "1"}}, "box": BOX, "pad": PAD_2}
    lines = said(packages, ["pad"])
    assert lines == [
        "package.json requires pad@1, but pad 2.0.0 is installed",
        "box 1.5.0 requires pad@^1.0.0, but pad 2.0.0 is installed",
    ]
    assert npm_tasks.apart("\n".join(lines)) == {"pad", "box"}
    assert said({**packages, "": {"overrides": {"box@1": {"pad@1": "2"}}}}, ["pad"]) == []


FITTING = ("latest", "git+https://a.test/b.git", "npm:other@latest", "npm:@a/other@^2.0.0", "*", "2 || 1")


def test_what_is_no_range_or_an_alias_that_fits_is_left_alone(said):
    boxes = {f"box{n}": {"version": "1.0.0", "dependencies": {"pad": wanted}} for n, wanted in enumerate(FITTING)}
    assert said({**boxes, "pad": PAD_2}, [*boxes, "pad"]) == []


def test_an_alias_that_does_not_fit_is_told(said):
    packages = {"box": {"version": "1.0.0", "dependencies": {"pad": "npm:@a/other@^1.0.0"}}, "pad": PAD_2}
    assert said(packages, ["box"]) == ["box 1.0.0 requires pad@^1.0.0, but pad 2.0.0 is installed"]


def test_what_packages_bring_along_in_their_archives_is_their_own(said):
    about = {**BOX, "bundleDependencies": ["pad"]}
    inner = {"version": "1.0.0", "dependencies": {"pad": "3"}}
    assert said({"box": about, "box/node_modules/pad": PAD_2, "box/node_modules/in": inner}, ["box"]) == []


HOSTILE = {
    "list": [],
    "version": {"version": {"a": 1}, "dependencies": {"pad": "1"}},
    "kinds": {"version": "1.0.0", "dependencies": ["pad"], "optionalDependencies": "pad", "peerDependencies": 5},
    "names": {"version": "1.0.0", "dependencies": {"../../../../etc": "1", "a\nb": "1", "pad": ["1"], "": "1"}},
    "long": {"version": "1.0.0", "dependencies": {"pad": "1 " * 100_000}},
    "escape": {"version": "1.0.0", "dependencies": {"pad": "1\x1b[31m"}},
}


def test_a_hostile_package_json_says_nothing_and_takes_no_time(said):
    lines = said({**HOSTILE, "pad": PAD_2}, [*HOSTILE])
    assert lines == ["version ? requires pad@1, but pad 2.0.0 is installed"]


def test_no_more_than_twenty_lines_are_told(said):
    packages = {f"box{number}": BOX for number in range(30)}
    assert len(said({**packages, "pad": PAD_2}, ["pad"])) == 20


def test_files_that_are_none_or_too_large_are_not_read(said, tmp_path):
    for name in ("pipe", "large"):
        (tmp_path / "app/node_modules" / name).mkdir(parents=True)
    os.mkfifo(tmp_path / "app/node_modules/pipe/package.json")
    (tmp_path / "app/node_modules/large/package.json").write_text(" " * (5 << 20))
    assert said({"box": {"version": "1.0.0", "dependencies": {"pipe": "latest"}}}, ["box"]) == []

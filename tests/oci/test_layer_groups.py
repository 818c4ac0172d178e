"""Which layer a path goes into, and what of them changes with an edit, a newer package, another package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from envbuild.oci.layer_groups import BIG, LARGE, PARTS, Layer, Step, by_steps, grouped
from envbuild.tree.entry import DIRECTORY, FILE, Entry
from envbuild.tree.lookup import MemoryTrees

Files = dict[str, str]
T = 1_600_000_000 * 10**9


def tree_of(trees: MemoryTrees, files: Files, times: Mapping[str, int] = {}) -> str:
    """The tree with these files and empty directories (`a/b/`), whose directories have the number of their entries as
    time unless it is given."""

    def save(prefix: str) -> str:
        names = {path[len(prefix) :].partition("/")[0] for path in files if path.startswith(prefix)} - {""}
        entries = []
        for name in sorted(names):
            path = prefix + name
            if path in files:
                text = files[path]
                size = int(text) if text.isdigit() else len(text)
                entries.append(Entry(name.encode(), FILE, 0o644, 0, 0, T, size, f"{hash(text) & (2**64 - 1):064x}"))
            else:
                digest = save(f"{path}/")
                inside = len(trees.load(digest))
                entries.append(Entry(name.encode(), DIRECTORY, 0o755, 0, 0, times.get(path, inside), 0, digest))
        return trees.save(entries)

    return save("")


BASE = {"etc/passwd": "root", "usr/bin/sh": "sh", "usr/bin/old": "old", "opt/keep/x": "x"}
PACKAGES = {
    "usr/bin/git": str(BIG + 1),
    "usr/lib/git/core": "core",
    "usr/bin/jq": "jq",
    "usr/share/doc/jq/copyright": "c",
    "usr/bin/tree": "tree",
}
APPLICATION = {"srv/app/main.py": "one", "srv/app/static/x.css": "css"}
UNITS = {"git": "git", "jq": "jq", "tree": "tree"}


def units_of(paths: Sequence[bytes]) -> dict[bytes, str]:
    units = {}
    for path in paths:
        for word, unit in UNITS.items():
            if word in path.decode().split("/") and not path.startswith(b"srv"):
                units[path] = unit
    return units


def layers(packages: Files = PACKAGES, application: Files = APPLICATION, limit: int = 60) -> list[Layer]:
    trees = MemoryTrees()
    base = tree_of(trees, BASE)
    kept = {path: text for path, text in BASE.items() if path != "usr/bin/old"}
    installed = tree_of(trees, {**kept, **packages, "var/lib/dpkg/status": "".join(sorted(packages.values()))})
    whole = {**kept, **packages, **application, "var/lib/dpkg/status": "".join(sorted(packages.values()))}
    final = tree_of(trees, whole)
    steps = [Step("apt git jq tree", base, installed), Step("copy app/ -> /srv/app/", installed, final)]
    return grouped(trees, Step("from base", "", base), final, steps, units_of, limit)


def test_each_path_is_in_one_layer_and_what_is_gone_is_hidden():
    made = layers()
    titles = [layer.title for layer in made]
    assert titles[0] == "from base"
    assert titles[-1] == "copy app/ -> /srv/app/"
    assert "packages: git" in titles
    files: dict[bytes, str] = {}
    for layer in made[1:]:
        for path, entry in layer.members:
            if entry is None or entry.kind != DIRECTORY:
                assert path not in files
                files[path] = layer.title
    assert files[b"usr/bin/git"] == files[b"usr/lib/git/core"] == "packages: git"
    assert files[b"srv/app/main.py"] == "copy app/ -> /srv/app/"
    assert files[b"usr/bin/old"] == files[b"var/lib/dpkg/status"] == "apt git jq tree"
    assert b"opt/keep/x" not in files


def test_directories_come_before_what_they_hold():
    for layer in layers():
        seen = set()
        for path, entry in layer.members:
            folder = path.rpartition(b"/")[0]
            assert not folder or folder in seen
            if entry is not None and entry.kind == DIRECTORY:
                seen.add(path)


def changed(before: list[Layer], after: list[Layer]) -> list[str]:
    """The titles of the layers that a registry would have to be sent."""
    return [layer.title for layer in after if layer.members not in {old.members for old in before}]


def test_each_layer_has_the_directories_that_lead_to_what_it_holds():
    trees = MemoryTrees()
    empty = Entry(b"empty", DIRECTORY, 0o755, 0, 0, 0, 0, trees.save([]))
    file = Entry(b"f", FILE, 0o644, 0, 0, T, 1, "1" * 64)
    large = Entry(b"g", FILE, 0o644, 0, 0, T, LARGE, "2" * 64)
    inner = trees.save([empty, file])
    tree = trees.save([Entry(b"a", DIRECTORY, 0o755, 0, 0, 0, 0, inner), large])
    for layer in grouped(trees, None, tree, [], lambda paths: {path: "unit" for path in paths if path == b"a/f"}):
        paths = {path for path, _ in layer.members}
        assert {path.rpartition(b"/")[0] for path in paths} <= {*paths, b""}


def test_an_edit_of_the_application_makes_one_new_layer():
    assert changed(layers(), layers(application={**APPLICATION, "srv/app/main.py": "two"})) == [
        "copy app/ -> /srv/app/"
    ]


def test_large_files_of_a_step_are_apart_from_each_other_and_from_the_small_ones():
    trees = MemoryTrees()
    large = {f"srv/large{number}": str(LARGE + number) for number in range(40)}
    files = {**BASE, **large, "srv/small": "small"}
    base, tree = tree_of(trees, BASE), tree_of(trees, files)
    changed = tree_of(trees, {**files, "srv/large7": str(LARGE + 100)})

    def layers(after: str, limit: int = 60) -> list[Layer]:
        steps = [Step("copy", base, after)]
        return grouped(trees, Step("base", "", base), after, steps, lambda paths: {}, limit)

    before, after = layers(tree), layers(changed)
    assert len(before) == len(after) == 2 + PARTS
    (different,) = [number for number, (old, new) in enumerate(zip(before, after, strict=True)) if old != new]
    paths = [path for path, entry in after[different].members if entry is not None and entry.kind == FILE]
    assert b"srv/large7" in paths
    assert len(paths) < 15
    assert [layer.title for layer in layers(tree, 1 + PARTS)] == ["base", "copy"]


def test_a_newer_package_makes_its_own_layer_and_that_of_the_records():
    newer = layers(packages={**PACKAGES, "usr/bin/git": str(BIG + 2)})
    assert changed(layers(), newer) == ["packages: git", "apt git jq tree"]


def test_one_package_more_leaves_the_large_ones_alone():
    more = layers(packages={**PACKAGES, "usr/bin/other": "o"})
    assert "packages: git" not in changed(layers(), more)
    assert changed(layers(), more)[-1] == "copy app/ -> /srv/app/"  # it has the attributes of /usr/bin


def test_no_more_layers_than_are_asked_for():
    for limit in (2, 3, 5, 60):
        assert len(layers(limit=limit)) <= limit


def test_a_layer_for_each_step_that_changed_something():
    trees = MemoryTrees()
    first, two, three = (tree_of(trees, files) for files in ({"a": "1"}, {"a": "2", "b": "1"}, {"b": "1"}))
    steps = [Step("run x", first, two), Step("env A=1", two, two), Step("run rm a", two, three)]
    made = by_steps(trees, Step("from base", "", first), steps, three)
    assert [layer.title for layer in made] == ["from base", "run x", "run rm a"]
    assert made[2].members == ((b"a", None),)


def test_what_leads_to_an_empty_directory_is_in_its_layer():
    for made in layers({**PACKAGES, "usr/lib/jq/plugins/own/": ""}), layers(application={"srv/app/empty/": ""}):
        for layer in made:
            paths = {path for path, entry in layer.members if entry is not None}
            assert {path.rpartition(b"/")[0] for path in paths} <= {*paths, b""}
        assert any(path.endswith((b"own", b"empty")) for layer in made for path, _ in layer.members)

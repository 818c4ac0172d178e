"""What Debian's packages make anew each time: found in a tree, as a recipe would discard it, and told by a build."""

from envbuild.debian.drawn_files import drawn_files
from envbuild.tree.entry import Digest
from envbuild.tree.lookup import MemoryTrees
from tests.tree.builders import tree

SNAKEOIL = b"ssl-cert-snakeoil.key"


def paths(before: dict, after: dict) -> list[str]:
    trees = MemoryTrees()
    first: Digest = tree(trees, before)
    return drawn_files(trees, first, tree(trees, after))


def test_keys_and_clusters_are_found_by_what_a_discard_takes():
    after = {
        b"etc": {b"ssl": {b"private": {SNAKEOIL: b"key"}}, b"ssh": {b"ssh_host_rsa_key": b"k", b"ssh_config": b""}},
        b"var": {b"lib": {b"postgresql": {b"15": {b"main": {b"PG_VERSION": b"15", b"global": {b"pg_control": b"1"}}}}}},
    }
    drawn = [f"/etc/ssl/private/{SNAKEOIL.decode()}", "/var/lib/postgresql/15/main", "/etc/ssh/ssh_host_rsa_key"]
    assert paths({}, after) == drawn
    assert paths(after, after) == []


def test_what_was_there_before_is_empty_or_no_file_is_not_told():
    before = {b"etc": {b"ssl": {b"private": {SNAKEOIL: b"key"}}}}
    after = {b"etc": {b"ssl": {b"private": {SNAKEOIL: b"key"}}, b"machine-id": b"", b"munge": {b"munge.key": {}}}}
    assert paths(before, after) == []
    assert paths(before, {**after, b"etc": {**after[b"etc"], b"machine-id": b"1\n"}}) == ["/etc/machine-id"]


def test_a_build_says_once_which_files_differ_and_nothing_of_what_is_discarded(project):
    key = "/etc/ssl/private/ssl-cert-snakeoil.key"
    lines = ("run mkdir -p /etc/ssl/private", f"run echo 1 > {key}", f"run echo 2 > {key}")
    notes = [event["message"] for event in project.build(*lines).of("notice")]
    assert [note for note in notes if "differ" in note] == [f"these files differ at each build: {key}"]
    done = project.build(f"discard {key}", *lines)
    assert not [event for event in done.of("notice") if "differ" in event["message"]]

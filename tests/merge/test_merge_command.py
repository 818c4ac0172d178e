"""`envbuild merge`, as a user gives it: on images from a handful of files."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.namespaces


def test_changes_of_both_are_in_the_merged_image(sides):
    text = "\n".join(f"line {number}" for number in range(9)) + "\n"
    sides.write("base", {"etc/app.conf": text, "gone": "1"})
    sides.write("ours", {"etc/app.conf": text.replace("line 1", "ours"), "gone": "1", "a": "ours"})
    sides.write("theirs", {"etc/app.conf": text.replace("line 7", "theirs"), "b/c": "theirs"})
    sides.build(ours=("env A=1", "expose 80"), theirs=("env B=2", 'start ["/b/c"]'))
    done = sides.merge()
    assert (done.code, done.out.split()[:2]) == (0, ["merged:", "ours:merged"])
    assert sides.cat("/etc/app.conf") == text.replace("line 1", "ours").replace("line 7", "theirs")
    assert set(sides.project.ls("/", "ours:merged")) == {"a", "b", "etc"}
    facts = sides.project.show("ours:merged")["facts"]
    assert (facts["env"], facts["expose"], facts["start"]["argv"]) == ({"A": "1", "B": "2"}, ["80/tcp"], ["/b/c"])
    log = json.loads(sides.project.command("log", "ours:merged", "--format", "json").out)
    assert (log[0]["action"], log[0]["from"], log[0]["base"]) == ("merge", "theirs", "base")


def test_conflicts_are_listed_with_three_sides_and_nothing_is_tagged(sides):
    sides.write("base", {"etc/app.conf": "a\nb\n", "edited": "1", "tool": "\0"})
    sides.write("ours", {"etc/app.conf": "a\nours\n", "tool": "\0ours", "new": "1"})
    sides.write("theirs", {"etc/app.conf": "a\ntheirs\n", "edited": "2", "tool": "\0theirs", "new": "2"})
    sides.build(ours=("env A=1",), theirs=("env A=2",))
    report = sides.report()
    kinds = {conflict["name"]: conflict["kind"] for conflict in report["conflicts"]}
    assert kinds == {
        "/edited": "deleted",
        "/etc/app.conf": "content",
        "/new": "added",
        "/tool": "binary",
        "env.A": "fact",
    }
    text = next(conflict for conflict in report["conflicts"] if conflict["kind"] == "content")
    assert "<<<<<<< ours\nours\n" in text["marked"]
    assert text["base"].startswith("file, 0644 0:0, 4 bytes")
    assert sides.merge().code == 1
    assert "ours:merged" not in sides.project.command("images").out


def test_choices_decide_by_path_by_directory_and_by_fact(sides):
    sides.write("base", {"etc/a": "1", "etc/b/c": "1", "d": "1"})
    sides.write("ours", {"etc/a": "ours", "etc/b/c": "ours"})
    sides.write("theirs", {"etc/a": "theirs", "etc/b/c": "theirs", "d": "2"})
    sides.build(ours=("env A=1",), theirs=("env A=2",))
    done = sides.merge("--ours", "/etc", "--theirs", "/etc/b", "--ours", "/d", "--theirs", "env.A", "-t", "both")
    assert done.code == 0, done.out
    project = sides.project
    assert [project.cat(path, "both") for path in ("/etc/a", "/etc/b/c")] == ["ours", "theirs"]
    assert "d" not in project.ls("/", "both")
    assert project.show("both")["facts"]["env"] == {"A": "2"}


def test_a_choice_for_nothing_is_refused(sides):
    sides.write("base", {"etc/app.conf": "1"})
    sides.write("ours", {"etc/app.conf": "2"})
    sides.write("theirs", {"etc/app.conf": "3"})
    sides.build()
    done = sides.merge("--ours", "/etc/app.cnf")
    assert done.code == 2
    assert "did you mean '/etc/app.conf'?" in done.err
    twice = sides.merge("--ours", "/etc/app.conf", "--theirs", "/etc/app.conf")
    assert (twice.code, "both sides" in twice.err) == (2, True)


def test_a_dry_run_writes_nothing(sides):
    sides.write("ours", {"a": "1"})
    sides.write("theirs", {"b": "2"})
    sides.build()
    assert sides.merge("--dry-run").out == "no conflicts\n"
    assert "merged" not in sides.project.command("images").out
    assert sides.report("--dry-run")["conflicts"] == []


def test_a_merge_with_nothing_to_merge_is_the_other_side(sides):
    sides.write("ours", {"a": "1"})
    sides.build()
    report = sides.report()
    assert report["image"] == sides.project.show("ours")["digest"]


def test_conflicts_are_edited_as_files(sides):
    sides.write("base", {"etc/app.conf": "a\nb\n", "tool": "\0"})
    sides.write("ours", {"etc/app.conf": "a\nours\n", "tool": "\0ours"})
    sides.write("theirs", {"etc/app.conf": "a\ntheirs\n", "tool": "\0theirs"})
    sides.build()
    folder = sides.project.folder / "conflicts"
    assert "2 conflicts written to conflicts" in sides.merge("--write", "conflicts").err
    assert (folder / "theirs/tool").read_text() == "\0theirs"
    edited = folder / "merged/etc/app.conf"
    assert "<<<<<<< ours" in edited.read_text()
    assert sides.merge("--resolved", "conflicts").code == 2, "it still has markers"
    edited.write_text("a\nours and theirs\n")
    (folder / "merged/tool").write_text("mine")
    assert sides.merge("--resolved", "conflicts").code == 0
    assert (sides.cat("/etc/app.conf"), sides.cat("/tool")) == ("a\nours and theirs\n", "mine")


def test_a_directory_whose_edits_were_dropped_is_gone(sides):
    sides.write("base", {"d/inner/x": "1", "kept": ""})
    sides.write("ours", {"kept": ""})
    sides.write("theirs", {"d/inner/x": "2", "kept": ""})
    sides.build()
    assert sides.conflicts() == {"/d/inner/x": "deleted"}
    assert sides.merge("--ours", "/d").code == 0
    assert set(sides.ls()) == {"kept"}
